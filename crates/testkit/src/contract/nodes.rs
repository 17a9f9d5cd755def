//! Leases are the nodes': who lives keeps what it holds, and what the dead held is taken over.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{ClaimFrom, Epoch, WorkRef};
use tokio::task::JoinSet;

use super::{
    Fixture, Harness,
    claiming::given,
    queue_steps::{FROM_QUEUE, LEASE},
};

/// Epochs are above zero, increase, and are never used again, not even those of nodes that left.
pub async fn epochs_are_never_reused<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let nodes = fixture.ports().nodes.clone();
        racers.spawn(async move {
            let node = nodes.join(LEASE).await.unwrap();
            nodes.leave(node).await.unwrap();
            node
        });
    }
    let epochs: HashSet<Epoch> = racers.join_all().await.into_iter().collect();
    assert_eq!(epochs.len(), 8);
    assert!(epochs.iter().all(|epoch| epoch.0 > 0));
    let next = fixture.node().await;
    assert!(epochs.iter().all(|epoch| *epoch < next));
}

/// A beat keeps a node alive; without one its lease runs out.
pub async fn a_beat_extends_the_lease<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let nodes = &fixture.ports().nodes;
    let node = fixture.node().await;
    fixture.accepted(&customer).await;
    fixture.claim_one(node).await;
    for _ in 0..3 {
        harness.age(Duration::from_secs(10)).await;
        assert!(nodes.beat(node, LEASE).await.unwrap());
        assert!(nodes.bury().await.unwrap().is_empty());
    }
    harness.age(LEASE).await;
    assert_eq!(nodes.bury().await.unwrap(), [node]);
}

/// A node that was declared dead stays so; its beat tells it.
pub async fn a_dead_node_is_told_by_its_beat<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let nodes = &fixture.ports().nodes;
    let (late, dead) = (fixture.node().await, fixture.node().await);
    harness.age(LEASE).await;
    assert!(
        nodes.beat(late, LEASE).await.unwrap(),
        "late, and not declared dead yet"
    );
    nodes.bury().await.unwrap();
    assert!(nodes.beat(late, LEASE).await.unwrap());
    for _ in 0..2 {
        assert!(!nodes.beat(dead, LEASE).await.unwrap());
    }
    let unknown = Epoch(dead.0 + 1_000);
    assert!(!nodes.beat(unknown, LEASE).await.unwrap());
}

/// What a living node holds is nobody else's, by whichever way it is asked for.
pub async fn rows_of_the_living_are_not_claimable<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let message = fixture.accepted(&customer).await;
    let held = fixture.claim_one(node).await;
    assert!(fixture.ports().nodes.bury().await.unwrap().is_empty());
    let queue = &fixture.ports().queue;
    for from in [FROM_QUEUE, ClaimFrom::Dead(node), ClaimFrom::Dead(other)] {
        assert!(queue.claim(other, from, 10).await.unwrap().is_empty(), "{from:?}");
    }
    let settled = fixture.delivered(message, postrider_domain::EndpointId::from_uuid(fixture.uuid()));
    assert!(!fixture.settle(other, held.work, settled).await);
}

/// What the dead held is taken over, under a higher claim number, by one of those who try.
pub async fn rows_of_the_dead_are_taken_over_once<H: Harness>(harness: &H) {
    const ROWS: usize = 12;
    let (fixture, _, customer) = given(harness).await;
    let dead = fixture.node().await;
    for _ in 0..ROWS {
        fixture.accepted(&customer).await;
    }
    let held: HashSet<_> = fixture
        .claim(dead)
        .await
        .into_iter()
        .map(|row| row.work.id)
        .collect();
    assert_eq!(held.len(), ROWS);
    harness.age(LEASE).await;
    assert_eq!(fixture.ports().nodes.bury().await.unwrap(), [dead]);

    let mut racers = JoinSet::new();
    for _ in 0..4 {
        let (queue, heir) = (fixture.ports().queue.clone(), fixture.node().await);
        racers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let rows = queue.claim(heir, ClaimFrom::Dead(dead), 2).await.unwrap();
                if rows.is_empty() {
                    return mine;
                }
                mine.extend(rows);
            }
        });
    }
    let taken = racers.join_all().await.concat();
    assert_eq!(taken.len(), ROWS, "no row twice");
    assert!(taken.iter().all(|row| row.work.claim == 2));
    assert_eq!(taken.iter().map(|row| row.work.id).collect::<HashSet<_>>(), held);
    assert!(
        fixture.ports().nodes.bury().await.unwrap().is_empty(),
        "nothing is left of it"
    );
}

/// The dead are named for as long as they own rows, however long ago they died; those without rows are not.
pub async fn the_dead_are_named_while_they_own_rows<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (nodes, queue) = (&fixture.ports().nodes, &fixture.ports().queue);
    let (dead, idle) = (fixture.node().await, fixture.node().await);
    for _ in 0..2 {
        fixture.accepted(&customer).await;
    }
    assert_eq!(fixture.claim(dead).await.len(), 2);
    harness.age(LEASE).await;
    assert_eq!(nodes.bury().await.unwrap(), [dead], "and not {idle}");

    harness.age(Duration::from_hours(24)).await;
    let heir = fixture.node().await;
    assert_eq!(nodes.bury().await.unwrap(), [dead]);
    assert_eq!(
        queue.claim(heir, ClaimFrom::Dead(dead), 1).await.unwrap().len(),
        1
    );
    assert_eq!(nodes.bury().await.unwrap(), [dead]);
    assert_eq!(
        queue.claim(heir, ClaimFrom::Dead(dead), 10).await.unwrap().len(),
        1
    );
    assert!(nodes.bury().await.unwrap().is_empty());
    assert!(!nodes.beat(idle, LEASE).await.unwrap());
}

/// What a dead node held and is not due goes back to the queue, where it waits for its time.
pub async fn rows_of_the_dead_that_are_not_due_go_back<H: Harness>(harness: &H) {
    const LATER: Duration = Duration::from_hours(1);
    let (fixture, _, customer) = given(harness).await;
    let dead = fixture.node().await;
    fixture.accepted(&customer).await;
    let later = fixture.claim_one(dead).await;
    harness.postpone(LATER).await;
    fixture.accepted(&customer).await;
    let due = fixture.claim_one(dead).await;
    let heir = fixture.node().await;

    let taken = fixture.take_over(dead, heir).await;
    let expected = WorkRef { claim: 2, ..due.work };
    assert_eq!(taken.iter().map(|row| row.work).collect::<Vec<_>>(), [expected]);
    assert!(
        fixture.ports().nodes.bury().await.unwrap().is_empty(),
        "the dead own nothing"
    );
    assert!(fixture.claim(heir).await.is_empty(), "not due");
    let wait = fixture.ports().queue.next_due(None).await.unwrap().unwrap();
    assert!(wait > LATER / 2, "{wait:?}");
    harness.age(LATER).await;
    assert_eq!(fixture.claim_one(heir).await.work.id, later.work.id);
}

/// A node that leaves gives back everything at once, and is dead.
pub async fn a_leaving_node_gives_back_what_it_holds<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let (endpoint, nodes) = (fixture.endpoint(&tenant, &customer).await, &fixture.ports().nodes);
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    nodes.leave(node).await.unwrap();

    let again = fixture.claim_one(other).await;
    assert_eq!((again.message, again.endpoint), (message, Some(endpoint)));
    let expected = WorkRef { claim: 2, ..work };
    assert_eq!(again.work, expected);
    // Its lease has not run out, and that does not bring it back.
    assert!(nodes.bury().await.unwrap().is_empty());
    assert!(!nodes.beat(node, LEASE).await.unwrap());
    assert!(
        !fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );
    assert!(
        fixture
            .settle(other, again.work, fixture.delivered(message, endpoint))
            .await
    );
}
