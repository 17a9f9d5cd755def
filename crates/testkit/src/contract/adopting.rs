//! Adopting: a node finds what it owns without knowing, because an answer was lost.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{ClaimedWork, NewMessage, NewWork, Settlement, WorkRef};
use postrider_domain::WorkId;

use super::{
    Harness,
    claiming::given,
    queue_steps::{FROM_QUEUE, alone, is_stored, write_one},
};

/// An answer of a claim, of a write and of an explosion is lost: the node finds the rows under the claim numbers that
/// they have, whole, and settles them by those.
pub async fn rows_of_lost_answers_are_adopted<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let queue = &fixture.ports().queue;
    fixture.accepted(&customer).await;
    let claimed: Vec<ClaimedWork> = fixture.claim(node).await;
    let new = NewMessage {
        owner: Some(node),
        ..alone(fixture.message(&customer), None)
    };
    let written = new.message.id;
    assert!(is_stored(&write_one(&*fixture.ports().writer, new).await));
    let (exploded, rows) = fixture.fanned_out(node, &customer, &[endpoint]).await;
    fixture.accepted(&customer).await;

    let owned = queue.owned(node, Duration::ZERO, None, 100).await.unwrap();
    let ids: Vec<_> = owned
        .iter()
        .map(|row| (row.work, row.message, row.endpoint))
        .collect();
    let of_written = WorkRef {
        id: WorkId::from(written),
        claim: 0,
    };
    let expected = [
        (claimed[0].work, claimed[0].message, None),
        (of_written, written, None),
        (rows[0], exploded, Some(endpoint)),
    ];
    assert_eq!(ids.iter().collect::<HashSet<_>>(), expected.iter().collect());
    assert!(owned.contains(&claimed[0]), "as it was claimed: {owned:?}");
    for (work, message, to) in expected {
        let settled = match to {
            Some(endpoint) => {
                fixture
                    .settle(node, work, fixture.delivered(message, endpoint))
                    .await
            }
            None => fixture.fan_out(node, work, vec![]).await,
        };
        assert!(settled, "{work:?}");
    }
    assert!(
        queue
            .owned(node, Duration::ZERO, None, 100)
            .await
            .unwrap()
            .is_empty()
    );
}

/// What a node owns is listed longest due first, page by page, each row once, though some be due at the same time.
pub async fn owned_rows_are_listed_in_pages<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    let mut expected = HashSet::new();
    for _ in 0..3 {
        let mut endpoints = Vec::new();
        for _ in 0..3 {
            endpoints.push(fixture.endpoint(&tenant, &customer).await);
        }
        // Rows of one explosion are due at the same time.
        let (_, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
        expected.extend(rows);
        harness.age(Duration::from_secs(1)).await;
    }
    let (mut after, mut listed) = (None, Vec::new());
    for page in [2, 2, 2, 2, 1, 0] {
        let rows = queue.owned(node, Duration::ZERO, after, 2).await.unwrap();
        assert_eq!(rows.len(), page);
        after = rows.last().map(|row| (row.due_at, row.work.id)).or(after);
        listed.extend(rows);
    }
    assert!(listed.is_sorted_by_key(|row| (row.due_at, row.work.id)));
    assert_eq!(
        listed.iter().map(|row| row.work).collect::<HashSet<_>>(),
        expected
    );
    assert_eq!(listed.len(), expected.len(), "no row twice");
}

/// Not listed are rows of others, of nobody, parked ones, and those that were not due for that long.
pub async fn only_what_a_node_owns_for_long_is_listed<H: Harness>(harness: &H) {
    const AGE: Duration = Duration::from_mins(1);
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let (queue, endpoint) = (&fixture.ports().queue, fixture.endpoint(&tenant, &customer).await);
    fixture.accepted(&customer).await;
    let foreign = fixture.claim_one(other).await;
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let open = fixture.open(endpoint);
    let parked = NewWork {
        parked: true,
        ..fixture.open(fixture.endpoint(&tenant, &customer).await)
    };
    let settlement = Settlement {
        work: fan_out.work,
        concluded: vec![],
        open: vec![open, parked],
    };
    assert!(fixture.settle_one(node, settlement).await);
    let (_, returned) = fixture.delivery(node, &customer, endpoint).await;
    queue.hand_back(node, vec![returned]).await.unwrap();

    let listed = async |age| -> Vec<WorkId> {
        let rows = queue.owned(node, age, None, 100).await.unwrap();
        rows.iter().map(|row| row.work.id).collect()
    };
    assert_eq!(listed(AGE).await, [], "just now");
    assert_eq!(listed(Duration::ZERO).await, [open.id]);
    harness.age(AGE).await;
    assert_eq!(listed(AGE).await, [open.id]);
    assert_eq!(listed(AGE * 2).await, []);
    let theirs = queue.owned(other, AGE, None, 100).await.unwrap();
    assert_eq!(
        theirs.iter().map(|row| row.work).collect::<Vec<_>>(),
        [foreign.work]
    );
    harness.postpone(AGE * 2).await;
    assert_eq!(listed(Duration::ZERO).await, [], "not due");
}

/// Looking changes nothing: a row keeps its claim number, and what was lost to another is not listed.
pub async fn listing_what_is_owned_changes_nothing<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, heir) = (fixture.node().await, fixture.node().await);
    let queue = &fixture.ports().queue;
    fixture.accepted(&customer).await;
    let held = fixture.claim_one(node).await;
    for _ in 0..2 {
        let rows = queue.owned(node, Duration::ZERO, None, 10).await.unwrap();
        assert_eq!(rows, std::slice::from_ref(&held));
    }
    assert!(queue.claim(heir, FROM_QUEUE, 10).await.unwrap().is_empty());
    let taken = fixture.take_over(node, heir).await;
    assert!(
        queue
            .owned(node, Duration::ZERO, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let rows = queue.owned(heir, Duration::ZERO, None, 10).await.unwrap();
    assert_eq!(rows, taken);
}
