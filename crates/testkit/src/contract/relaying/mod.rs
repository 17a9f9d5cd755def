//! What the relay keeps: cursors that one living node holds, events that were set aside, how far nodes have seen the
//! log.

mod cursors;
mod dead_letters;
mod sight;

use postrider_application::ports::{AggregateKey, Epoch, HeldCursor, SetAside, StartAt};

pub use self::{
    cursors::{
        a_cursor_is_one_living_nodes, a_cursor_moves_forward_for_its_holder_only,
        a_new_cursor_begins_where_it_is_declared, more_of_an_aggregate_takes_the_place_of_the_last,
        nothing_is_set_aside_of_a_tenant_that_goes, what_is_set_aside_is_kept_in_order,
    },
    dead_letters::{
        the_operator_discards_dead_letters, the_operator_has_dead_letters_delivered_again,
        what_is_refused_again_is_wanted_no_more,
    },
    sight::{
        commits_of_events_are_heard_by_every_node, living_nodes_are_waited_for_until_they_have_seen,
        what_everybody_is_past_may_go,
    },
};
use super::{Fixture, Harness};

pub(super) const NAME: &str = "listener";

async fn take<H: Harness>(fixture: &Fixture<'_, H>, node: Epoch) -> Option<HeldCursor> {
    let mut held = fixture.ports().cursors.take(node, &[NAME]).await.unwrap();
    assert!(held.len() <= 1);
    held.pop()
}

/// A cursor at the beginning, and the node that holds it.
async fn held<H: Harness>(fixture: &Fixture<'_, H>) -> Epoch {
    let cursors = &fixture.ports().cursors;
    cursors.declare(NAME, StartAt::Beginning).await.unwrap();
    let node = fixture.node().await;
    assert!(take(fixture, node).await.is_some());
    node
}

fn of(aggregate: &str) -> AggregateKey {
    AggregateKey {
        tenant: None,
        aggregate: aggregate.to_owned(),
    }
}

pub(super) fn refused(position: i64, aggregate: &str) -> SetAside {
    SetAside {
        position,
        of: of(aggregate),
        kind: "parcel.sent".to_owned(),
        attempts: 3,
        error: Some("no_good".to_owned()),
        discarded: false,
        later_in_log: false,
    }
}

pub(super) fn waiting(position: i64, aggregate: &str) -> SetAside {
    SetAside {
        attempts: 0,
        error: None,
        ..refused(position, aggregate)
    }
}
