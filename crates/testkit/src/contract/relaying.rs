//! What the relay keeps: cursors that one living node holds, events that were set aside, how far nodes have seen the
//! log, and what of the hot path is told in it.

use std::{collections::HashSet, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        AggregateKey, BlockedAggregate, Concluded, DeadLetterId, DeadLetterRepository as _, Epoch, EventBell,
        EventForm, Heard, HeldCursor, LoggedEvent, OperatorViews as _, PageRequest, SetAside, Start, StartAt,
        StatusView, Store as _, UnitOfWork as _,
    },
};
use postrider_domain::{
    EndpointId, MessageId,
    applications::OPERATIONAL_UID,
    deliveries::{Delivery, Outcome},
};
use tokio::task::JoinSet;

use super::{Customer, Fixture, Harness, Tenancy, claiming::given, queue_steps::LEASE};

pub(super) const NAME: &str = "listener";

/// Longer than anything takes to be heard.
const SURELY: Duration = Duration::from_secs(30);

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

async fn status<H: Harness>(fixture: &Fixture<'_, H>) -> StatusView {
    fixture.store().status(&fixture.operator().await).await.unwrap()
}

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
    assert_eq!(status(&fixture).await.subscribers[0].node, Some(winner));
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
    assert_eq!(status(&fixture).await.subscribers[0].node, Some(next));
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

/// The operator lists what was refused, both ways, and asks for it again.
pub async fn the_operator_has_dead_letters_delivered_again<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let aside = [refused(1, "a"), waiting(2, "a"), refused(3, "b"), refused(5, "c")];
    assert!(cursors.advance(node, NAME, 6, &aside).await.unwrap());
    let operator = fixture.operator().await;
    let list = async |start| {
        let page = PageRequest { limit: 2, start };
        let page = fixture.store().dead_letters(&operator, page).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|letter| letter.id.position).collect();
        (ids, page)
    };
    let (ids, page) = list(Start::Beginning).await;
    assert_eq!((ids, page.prev), (vec![1, 3], None));
    let letter = &page.items[0];
    assert_eq!(
        (&*letter.aggregate, &*letter.kind, &*letter.error, letter.attempts),
        ("a", "parcel.sent", "no_good", 3)
    );
    assert_eq!((letter.holds_back, letter.again, letter.tenant), (1, false, None));
    let (ids, page) = list(Start::After(page.next.unwrap())).await;
    assert_eq!((ids, page.next), (vec![5], None));
    let (ids, _) = list(Start::Before(page.prev.unwrap())).await;
    assert_eq!(ids, [1, 3]);

    let retry = async |position, commits: bool| {
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
        let found = tx.deliver_again(&operator, &id).await.unwrap();
        if commits {
            tx.commit(Record::InHistory).await.unwrap();
        }
        found
    };
    assert!(retry(3, false).await && !take(&fixture, node).await.unwrap().again);
    assert!(!retry(2, true).await, "it only waits");
    assert!(!retry(4, true).await);
    assert!(retry(3, true).await);
    assert!(take(&fixture, node).await.unwrap().again);
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        [refused(3, "b")]
    );
    let subscriber = status(&fixture).await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (3, 1));
}

/// What the operator gives up is listed no more, and told to whoever runs the subscriber; only the first of an aggregate
/// can be.
pub async fn the_operator_discards_dead_letters<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let aside = [refused(1, "a"), waiting(2, "a"), refused(3, "b"), waiting(4, "a")];
    assert!(cursors.advance(node, NAME, 6, &aside).await.unwrap());
    let operator = fixture.operator().await;
    let discard = async |position, commits: bool| {
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
        let held_back = tx.discard(&operator, &id).await.unwrap();
        let retried = tx.deliver_again(&operator, &id).await.unwrap();
        assert!(!retried || held_back.is_none() || !commits, "it is given up");
        if commits {
            tx.commit(Record::InHistory).await.unwrap();
        }
        held_back
    };
    assert_eq!((discard(2, true).await, discard(5, true).await), (None, None));
    assert_eq!(discard(1, false).await, Some(2));
    assert!(!take(&fixture, node).await.unwrap().again);
    assert_eq!(discard(1, true).await, Some(2));
    assert_eq!(discard(1, true).await, None, "it was before");
    assert!(take(&fixture, node).await.unwrap().again, "its holder is to look");
    let given_up = SetAside {
        discarded: true,
        ..refused(1, "a")
    };
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        std::slice::from_ref(&given_up)
    );
    assert_eq!(
        cursors.first_set_aside(NAME, &of("a")).await.unwrap(),
        Some(given_up)
    );
    let page = fixture
        .store()
        .dead_letters(&operator, PageRequest::first(9))
        .await;
    let listed: Vec<i64> = page
        .unwrap()
        .items
        .iter()
        .map(|letter| letter.id.position)
        .collect();
    assert_eq!(listed, [3]);
    let subscriber = status(&fixture).await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (1, 2));
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

/// Tenants with an application of the reserved uid listen, unless it is gone or they are.
pub async fn tenants_with_an_operational_application_listen<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let mut tenants = Vec::new();
    for name in ["listens", "never", "stopped", "goes"] {
        let tenant = fixture.tenant(name).await;
        if name != "never" {
            let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
            if name == "stopped" {
                super::resources::delete(&fixture, &tenant, &listener, fixture.now())
                    .await
                    .unwrap();
            }
        }
        fixture.application_named(&tenant, Some("another")).await;
        tenants.push(tenant);
    }
    fixture.order_deletion(&tenants[3], fixture.now()).await;
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    let listening = async |ids: &[_]| fixture.ports().listeners.listening(ids).await.unwrap();
    assert_eq!(listening(&ids).await, HashSet::from([ids[0]]));
    assert_eq!(listening(&ids[1..]).await, HashSet::new());
    assert_eq!(listening(&[]).await, HashSet::new());
    let tenant = fixture.tenant("asks").await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let another = fixture.application_named(&tenant, Some("another")).await;
    let directory = &fixture.ports().directory;
    for (application, of, expected) in [
        (&listener, &tenant, true),
        (&another, &tenant, false),
        (&listener, &tenants[0], false),
    ] {
        let found = directory.is_operational(&of.scope, application.id).await.unwrap();
        assert_eq!(found, expected);
    }
}

/// What a living node has not seen is waited for; what the dead have not, is not.
pub async fn living_nodes_are_waited_for_until_they_have_seen<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let sight = &fixture.ports().sight;
    let unseen = async |position| sight.unseen(position).await.unwrap().nodes;
    assert_eq!(sight.unseen(None).await.unwrap().position, 0);
    let (one, other) = (fixture.node().await, fixture.node().await);
    fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    let waited = sight.unseen(None).await.unwrap();
    assert_eq!((waited.position, waited.nodes), (head, 2));
    sight.note_seen(one, head).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 1);
    sight.note_seen(one, head - 1).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 1, "it does not go back");
    sight.note_seen(other, head - 1).await.unwrap();
    assert_eq!((unseen(Some(head - 1)).await, unseen(Some(head)).await), (0, 1));
    fixture.ports().nodes.leave(other).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 0);
    let late = fixture.node().await;
    assert_eq!(unseen(Some(head)).await, 1, "a new one has seen nothing yet");
    if harness.another_node().await.is_some() {
        harness.age(LEASE).await;
        assert_eq!(unseen(Some(head)).await, 0, "{late}: its lease ran out");
    }
}

/// What everybody is past may go, and nothing else.
pub async fn what_everybody_is_past_may_go<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (cursors, sight) = (&fixture.ports().cursors, &fixture.ports().sight);
    fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    assert!(head >= 3);
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head, "nobody listens");
    let node = held(&fixture).await;
    assert_eq!(cursors.all_done_up_to().await.unwrap(), 0);
    assert!(
        cursors
            .advance(node, NAME, head - 1, &[refused(2, "a")])
            .await
            .unwrap()
    );
    assert_eq!(
        cursors.all_done_up_to().await.unwrap(),
        0,
        "the node has seen nothing"
    );
    sight.note_seen(node, head).await.unwrap();
    assert_eq!(
        cursors.all_done_up_to().await.unwrap(),
        1,
        "what is set aside stays"
    );
    assert!(cursors.delivered(node, NAME, 2, &[]).await.unwrap());
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head - 1);
    // What is set aside for a subscriber that was switched off long ago holds nothing.
    assert!(
        cursors
            .advance(node, NAME, head - 1, &[refused(3, "a")])
            .await
            .unwrap()
    );
    assert_eq!(cursors.all_done_up_to().await.unwrap(), 2);
    fixture.ports().nodes.leave(node).await.unwrap();
    harness.age(Duration::from_hours(8 * 24)).await;
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head);
}

/// A commit of events is heard by other nodes, and so is what they have seen of it.
pub async fn commits_of_events_are_heard_by_every_node<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let Some(theirs) = harness.another_node().await else {
        return;
    };
    let hear = async |bell: &dyn EventBell, what| {
        let hearing = async { while bell.heard().await.unwrap() != what {} };
        tokio::time::timeout(SURELY, hearing).await.expect("it is heard");
    };
    let (our_bell, their_bell) = (fixture.ports().event_bell.clone(), theirs.event_bell.clone());
    // Listening begins with the first call, which answers at once where it is a connection.
    for bell in [&our_bell, &their_bell] {
        let _ = tokio::time::timeout(Duration::from_millis(500), bell.heard()).await;
    }
    fixture.tenant("acme").await;
    hear(&*our_bell, Heard::Events).await;
    hear(&*their_bell, Heard::Events).await;
    let node = fixture.node().await;
    theirs.sight.note_seen(node, 1).await.unwrap();
    hear(&*our_bell, Heard::Seen).await;
}

/// Ends a delivery for good.
fn given_up<H: Harness>(fixture: &Fixture<'_, H>, message: MessageId, endpoint: EndpointId) -> Concluded {
    let mut delivery = Delivery::begin(message, endpoint, fixture.now());
    let gone = Outcome::of_status(410);
    fixture.record(&mut delivery, gone);
    Concluded {
        attempt: Some(fixture.attempt(1, gone)),
        delivery,
        retry: None,
    }
}

async fn told<H: Harness>(fixture: &Fixture<'_, H>, after: i64) -> Vec<LoggedEvent> {
    let mut events = fixture.ports().events.after(after, 100).await.unwrap();
    events.retain(|event| event.kind == "delivery.failed");
    events
}

/// What failed for good is told once a batch and tenant, with the settle; what did not, and what would be told to those
/// who are told, is not.
pub async fn failed_deliveries_are_told_once_a_batch<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other = fixture.tenant("rival").await;
    let theirs = fixture.application(&other).await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let node = fixture.node().await;
    let fails = async |tenant: &Tenancy, customer: &Customer| {
        let endpoint = fixture.endpoint(tenant, customer).await;
        let (message, work) = fixture.delivery(node, customer, endpoint).await;
        let ends = super::queue_steps::ending(work, given_up(&fixture, message, endpoint));
        (ends, message, endpoint)
    };
    let (one, two) = (fails(&tenant, &customer).await, fails(&tenant, &customer).await);
    let (rivals, unheard) = (fails(&other, &theirs).await, fails(&tenant, &listener).await);
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (good, work) = fixture.delivery(node, &customer, endpoint).await;
    let good = super::queue_steps::ending(work, fixture.delivered(good, endpoint));
    let before = fixture.ports().events.head().await.unwrap();
    let queue = &fixture.ports().queue;
    assert_eq!(queue.settle(node, vec![good]).await.unwrap().len(), 1);
    assert_eq!(queue.settle(node, vec![unheard.0]).await.unwrap().len(), 1);
    assert_eq!(
        fixture.ports().events.head().await.unwrap(),
        before,
        "nothing to tell"
    );

    let batch = vec![one.0.clone(), rivals.0, two.0.clone()];
    for settled in [3, 0] {
        assert_eq!(queue.settle(node, batch.clone()).await.unwrap().len(), settled);
    }
    let events = told(&fixture, before).await;
    assert_eq!(events.len(), 2, "once a tenant, and once though it is repeated");
    assert!(events.iter().all(|event| event.form == EventForm::Known(1)));
    let of_tenant = |id| events.iter().find(|event| event.tenant == Some(id)).unwrap();
    let (ours, rival) = (of_tenant(tenant.id), of_tenant(other.id));
    for (_, message, endpoint) in [&one, &two] {
        let named = format!(
            r#"{{"application":"{}","message":"{message}","endpoint":"{endpoint}","reason":"gone"}}"#,
            customer.id
        );
        assert!(ours.body.contains(&named), "{}", ours.body);
        assert!(!rival.body.contains(&message.to_string()));
    }
    let first = one.1.min(two.1);
    assert_eq!(ours.aggregate, first.to_string());
    assert!(rival.body.contains(&rivals.1.to_string()));
    assert!(ours.body.starts_with(r#"{"v":1,"deliveries":["#), "{}", ours.body);
}

/// Of an application that was deleted nobody is told, and of the one that was told no more than before, though its uid
/// is free now.
pub async fn nobody_is_told_what_failed_of_a_deleted_application<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let node = fixture.node().await;
    let mut unheard = Vec::new();
    for gone in [&customer, &listener] {
        let endpoint = fixture.endpoint(&tenant, gone).await;
        let (message, work) = fixture.delivery(node, gone, endpoint).await;
        let ends = given_up(&fixture, message, endpoint);
        unheard.push(super::queue_steps::ending(work, ends));
        super::resources::delete(&fixture, &tenant, gone, fixture.now())
            .await
            .unwrap();
    }
    let before = fixture.ports().events.head().await.unwrap();
    let settled = fixture.ports().queue.settle(node, unheard).await.unwrap();
    assert_eq!(settled.len(), 2);
    assert!(told(&fixture, before).await.is_empty());
}
