//! A node that is dead to others may still commit what it had begun: rows that appear under its epoch after it was
//! swept are found by the next who look.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use postrider_application::ports::{ClaimFrom, ClaimedWork, Epoch, NewMessage, WorkRef};
use postrider_domain::WorkId;

use super::{
    Customer, Fixture, Harness,
    claiming::given,
    queue_steps::{FROM_QUEUE, LEASE, alone, is_stored},
};

fn owned_by<H: Harness>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    node: Epoch,
    rows: usize,
) -> Vec<NewMessage> {
    let new = |_| NewMessage {
        owner: Some(node),
        ..alone(fixture.message(customer), None)
    };
    (0..rows).map(new).collect()
}

fn rows_of(batch: &[NewMessage], claim: i32) -> HashSet<WorkRef> {
    let row = |new: &NewMessage| WorkRef {
        id: WorkId::from(new.message.id),
        claim,
    };
    batch.iter().map(row).collect()
}

/// Takes what a dead node owns, as the buried are named to a taker.
async fn taken<H: Harness>(fixture: &Fixture<'_, H>, dead: Epoch, heir: Epoch) -> Vec<ClaimedWork> {
    let ports = fixture.ports();
    assert_eq!(ports.nodes.bury().await.unwrap(), [dead]);
    let rows = ports
        .queue
        .claim(heir, ClaimFrom::Dead(dead), 1_000)
        .await
        .unwrap();
    assert_eq!(ports.nodes.bury().await.unwrap(), []);
    rows
}

/// Dead, swept, and then its last batch arrives: it is named again, and the rows are taken over like the first.
pub async fn what_a_dead_node_still_commits_is_taken_over<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (dead, heir) = (fixture.node().await, fixture.node().await);
    let writer = &fixture.ports().writer;
    let early = owned_by(&fixture, &customer, dead, 3);
    writer.write(&early).await.unwrap();
    harness.age(LEASE).await;
    assert!(fixture.ports().nodes.beat(heir, LEASE).await.unwrap());
    let rows = taken(&fixture, dead, heir).await;
    assert_eq!(
        rows.iter().map(|row| row.work).collect::<HashSet<_>>(),
        rows_of(&early, 1)
    );

    for _ in 0..2 {
        let late = owned_by(&fixture, &customer, dead, 2);
        let answers = writer.write(&late).await.unwrap();
        assert!(answers.iter().all(is_stored), "{answers:?}");
        assert!(fixture.claim(heir).await.is_empty(), "it is the dead node's");
        let rows = taken(&fixture, dead, heir).await;
        assert_eq!(
            rows.iter().map(|row| row.work).collect::<HashSet<_>>(),
            rows_of(&late, 1)
        );
        for row in rows_of(&late, 0) {
            assert!(
                !fixture.fan_out(dead, row, vec![]).await,
                "the dead settle nothing"
            );
        }
    }
}

/// So it is with what a node commits after it left in good order.
pub async fn what_a_node_commits_after_it_left_is_taken_over<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (left, heir) = (fixture.node().await, fixture.node().await);
    let early = owned_by(&fixture, &customer, left, 2);
    fixture.ports().writer.write(&early).await.unwrap();
    fixture.ports().nodes.leave(left).await.unwrap();
    let rows = fixture.claim(heir).await;
    assert_eq!(
        rows.iter().map(|row| row.work).collect::<HashSet<_>>(),
        rows_of(&early, 1)
    );
    let late = owned_by(&fixture, &customer, left, 2);
    fixture.ports().writer.write(&late).await.unwrap();
    let rows = taken(&fixture, left, heir).await;
    assert_eq!(
        rows.iter().map(|row| row.work).collect::<HashSet<_>>(),
        rows_of(&late, 1)
    );
}

/// A node of which nothing is known any more, as it died long ago, is dead as others are.
pub async fn what_a_node_that_nobody_knows_commits_is_taken_over<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let heir = fixture.node().await;
    let unknown = Epoch(heir.0 + 1_000);
    let late = owned_by(&fixture, &customer, unknown, 2);
    fixture.ports().writer.write(&late).await.unwrap();
    assert!(fixture.claim(heir).await.is_empty());
    let rows = taken(&fixture, unknown, heir).await;
    assert_eq!(
        rows.iter().map(|row| row.work).collect::<HashSet<_>>(),
        rows_of(&late, 1)
    );
}

/// While a dead node goes on committing, and two take over: each row is taken once, and none is left.
pub async fn takers_find_all_that_a_dead_node_goes_on_to_commit<H: Harness>(harness: &H) {
    const BATCHES: usize = 30;
    let (fixture, _, customer) = given(harness).await;
    let dead = fixture.node().await;
    harness.age(LEASE).await;
    let mut takers = Vec::new();
    for _ in 0..2 {
        takers.push(fixture.node().await);
    }
    fixture.ports().nodes.bury().await.unwrap();
    let batches: Vec<Vec<NewMessage>> = (0..BATCHES)
        .map(|_| owned_by(&fixture, &customer, dead, 5))
        .collect();
    let expected = rows_of(&batches.concat(), 1);
    let done = Arc::new(AtomicBool::new(false));
    let (writer, finished) = (fixture.ports().writer.clone(), done.clone());
    let writing = async move {
        for batch in batches {
            let answers = writer.write(&batch).await.unwrap();
            assert!(answers.iter().all(is_stored), "{answers:?}");
        }
        finished.store(true, Ordering::SeqCst);
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        writing.await;
        Vec::new()
    });
    for heir in takers {
        let (queue, nodes, done) = (
            fixture.ports().queue.clone(),
            fixture.ports().nodes.clone(),
            done.clone(),
        );
        tasks.spawn(async move {
            let mut rows = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                for epoch in nodes.bury().await.unwrap() {
                    assert_eq!(epoch, dead);
                    rows.extend(queue.claim(heir, ClaimFrom::Dead(epoch), 7).await.unwrap());
                }
                if last && nodes.bury().await.unwrap().is_empty() {
                    return rows;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let mut rows = tasks.join_all().await.concat();
    // What was committed between a taker's beginning and its look was not yet due for it, and went back to the queue.
    let third = fixture.node().await;
    let queue = &fixture.ports().queue;
    rows.extend(queue.claim(third, FROM_QUEUE, 500).await.unwrap());
    assert_eq!(rows.len(), expected.len(), "no row twice");
    assert_eq!(rows.iter().map(|row| row.work).collect::<HashSet<_>>(), expected);
    assert!(queue.claim(third, FROM_QUEUE, 10).await.unwrap().is_empty());
}
