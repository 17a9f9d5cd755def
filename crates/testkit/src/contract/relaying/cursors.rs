//! Cursors that one living node holds, and what is set aside on their way.

use std::collections::HashSet;

use postrider_application::ports::{AggregateKey, BlockedAggregate, Epoch, HeldCursor, SetAside, StartAt};
use tokio::task::JoinSet;

use super::{NAME, held, of, refused, take, waiting};
use crate::contract::{Fixture, Harness, Tenancy, queue_steps::LEASE};

/// A cursor is made once, where it is declared to begin.
pub async fn a_new_cursor_begins_where_it_is_declared<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    fixture.tenant("acme").await;
    let (cursors, node) = (&fixture.ports().cursors, fixture.node().await);
    let head = fixture.ports().events.head().await.unwrap();
    assert!(head > 0);
    for (name, start, position) in [
        ("a", StartAt::Beginning, 0),
        ("b", StartAt::Head, head),
        ("c", StartAt::After(2), 2),
    ] {
        cursors.declare(name, start).await.unwrap();
        cursors.declare(name, StartAt::After(77)).await.unwrap();
        let taken = cursors.take(node, &[name, "nobody"]).await.unwrap();
        let expected = HeldCursor {
            subscriber: name.to_owned(),
            position,
            again: false,
        };
        assert_eq!(taken, [expected]);
    }
}

/// Of racing nodes one has it, and keeps it for as long as it lives.
pub async fn a_cursor_is_one_living_nodes<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let cursors = &fixture.ports().cursors;
    cursors.declare(NAME, StartAt::Beginning).await.unwrap();
    let mut racers = JoinSet::new();
    for _ in 0..6 {
        let (cursors, node) = (cursors.clone(), fixture.node().await);
        racers.spawn(async move { (node, cursors.take(node, &[NAME]).await.unwrap().len()) });
    }
    let raced = racers.join_all().await;
    let winners: Vec<Epoch> = raced
        .iter()
        .filter(|(_, held)| *held > 0)
        .map(|(node, _)| *node)
        .collect();
    let [winner] = <[_; 1]>::try_from(winners).unwrap();
    assert_eq!(fixture.status().await.subscribers[0].node, Some(winner));
    for (node, _) in raced {
        assert_eq!(take(&fixture, node).await.is_some(), node == winner);
    }
    // It leaves, and somebody else may have it at once.
    fixture.ports().nodes.leave(winner).await.unwrap();
    let heir = fixture.node().await;
    assert!(take(&fixture, heir).await.is_some());
    assert!(take(&fixture, winner).await.is_none(), "the dead take nothing");
    // Its lease runs out: the same.
    harness.age(LEASE).await;
    let next = fixture.node().await;
    assert!(take(&fixture, next).await.is_some());
    assert_eq!(fixture.status().await.subscribers[0].node, Some(next));
}

/// It moves forward, and for its holder only: a node that was paused moves nothing any more.
pub async fn a_cursor_moves_forward_for_its_holder_only<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    assert!(cursors.advance(node, NAME, 5, &[]).await.unwrap());
    assert!(
        cursors.advance(node, NAME, 5, &[]).await.unwrap(),
        "repeating it does nothing"
    );
    assert!(!cursors.advance(node, NAME, 4, &[]).await.unwrap());
    let other = fixture.node().await;
    assert!(!cursors.advance(other, NAME, 9, &[refused(9, "a")]).await.unwrap());
    harness.age(LEASE).await;
    let heir = fixture.node().await;
    assert_eq!(take(&fixture, heir).await.unwrap().position, 5);
    assert!(cursors.advance(heir, NAME, 6, &[]).await.unwrap());
    assert!(!cursors.advance(node, NAME, 8, &[refused(8, "a")]).await.unwrap());
    assert_eq!(take(&fixture, heir).await.unwrap().position, 6);
    assert_eq!(
        cursors.blocked(NAME).await.unwrap().aggregates,
        [],
        "nor anything aside"
    );
}

/// What is set aside is written with the cursor, known by its aggregate, and taken up in order.
pub async fn what_is_set_aside_is_kept_in_order<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let aside = [refused(1, "a"), waiting(2, "a"), refused(3, "b"), waiting(4, "a")];
    for _ in 0..2 {
        assert!(cursors.advance(node, NAME, 4, &aside).await.unwrap());
    }
    let blocked = cursors.blocked(NAME).await.unwrap();
    let aggregates: HashSet<_> = blocked.aggregates.into_iter().collect();
    let known = |aggregate, events| BlockedAggregate {
        of: of(aggregate),
        events,
        later_in_log: false,
    };
    assert_eq!(aggregates, HashSet::from([known("a", 3), known("b", 1)]));
    assert_eq!(cursors.blocked("nobody").await.unwrap().aggregates, []);
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        [],
        "nobody asked"
    );
    let first = async |of: &AggregateKey| cursors.first_set_aside(NAME, of).await.unwrap();
    assert_eq!(first(&of("a")).await, Some(refused(1, "a")));
    assert_eq!(first(&of("c")).await, None);
    let elsewhere = AggregateKey {
        tenant: Some(fixture.tenant("acme").await.id),
        ..of("a")
    };
    assert_eq!(first(&elsewhere).await, None, "another of that name");

    // Refused once more.
    assert!(
        cursors
            .refused_again(node, NAME, 1, 2, "still_no_good")
            .await
            .unwrap()
    );
    let again = SetAside {
        attempts: 5,
        error: Some("still_no_good".to_owned()),
        ..refused(1, "a")
    };
    assert_eq!(first(&of("a")).await, Some(again));
    // By its holder only.
    let other = fixture.node().await;
    assert!(!cursors.delivered(other, NAME, 1, &[]).await.unwrap());
    assert!(!cursors.refused_again(other, NAME, 1, 1, "x").await.unwrap());
    assert!(cursors.delivered(node, NAME, 1, &[]).await.unwrap());
    assert!(!cursors.delivered(node, NAME, 1, &[]).await.unwrap());
    assert_eq!(first(&of("a")).await, Some(waiting(2, "a")));
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        [waiting(2, "a")],
        "it waits for nothing any more, though whoever delivered the first may have died"
    );
    cursors.reconsider(NAME, "no_good").await.unwrap();
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        [waiting(2, "a"), refused(3, "b")]
    );
}

/// Of an aggregate of which more waits than is written down, what follows takes the place of the last that is.
pub async fn more_of_an_aggregate_takes_the_place_of_the_last<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let last = |position| SetAside {
        later_in_log: true,
        ..waiting(position, "a")
    };
    let aside = [refused(1, "a"), last(2)];
    assert!(cursors.advance(node, NAME, 9, &aside).await.unwrap());
    let blocked = || async { cursors.blocked(NAME).await.unwrap().aggregates };
    let known = |events, later_in_log| BlockedAggregate {
        of: of("a"),
        events,
        later_in_log,
    };
    assert_eq!(blocked().await, [known(2, true)]);
    assert!(cursors.delivered(node, NAME, 1, &[]).await.unwrap());
    let next = [waiting(5, "a"), waiting(7, "a")];
    let other = fixture.node().await;
    assert!(!cursors.delivered(other, NAME, 2, &next).await.unwrap());
    assert_eq!(blocked().await, [known(1, true)]);
    assert!(cursors.delivered(node, NAME, 2, &next).await.unwrap());
    assert_eq!(blocked().await, [known(2, false)]);
    assert!(
        !cursors
            .delivered(node, NAME, 2, &[waiting(8, "a")])
            .await
            .unwrap()
    );
    assert_eq!(
        blocked().await,
        [known(2, false)],
        "nothing in the place of nothing"
    );
    assert_eq!(
        cursors.first_set_aside(NAME, &of("a")).await.unwrap(),
        Some(waiting(5, "a"))
    );
}

/// A tenant that is being deleted gets no dead letters any more: whoever erases it may have been here.
pub async fn nothing_is_set_aside_of_a_tenant_that_goes<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let (stays, goes) = (fixture.tenant("acme").await, fixture.tenant("rival").await);
    fixture.order_deletion(&goes, fixture.now()).await;
    let of_tenant = |position, tenant: &Tenancy| SetAside {
        of: AggregateKey {
            tenant: Some(tenant.id),
            aggregate: "a".to_owned(),
        },
        ..refused(position, "a")
    };
    let aside = [of_tenant(1, &stays), of_tenant(2, &goes), refused(3, "a")];
    let cursors = &fixture.ports().cursors;
    assert!(cursors.advance(node, NAME, 3, &aside).await.unwrap());
    let blocked = cursors.blocked(NAME).await.unwrap().aggregates;
    let tenants: HashSet<_> = blocked.into_iter().map(|known| known.of.tenant).collect();
    assert_eq!(tenants, HashSet::from([Some(stays.id), None]));
}
