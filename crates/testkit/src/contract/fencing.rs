//! Settling is fenced: exactly the rows that are held are settled, once, whoever else tries.

use std::collections::HashSet;

use postrider_application::ports::{NewWork, Settlement, WorkRef};

use super::{
    Harness,
    claiming::given,
    queue_steps::{WAIT, ending, fanning_out},
    settling::history,
};

/// Settling the same batch again does nothing, not even for its retries.
pub async fn settling_again_does_nothing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let (a, b) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    let (message, rows) = fixture.fanned_out(node, &customer, &[a, b]).await;
    let batch = vec![
        ending(rows[0], fixture.delivered(message, a)),
        ending(rows[1], fixture.failed(message, b).0),
    ];
    let queue = &fixture.ports().queue;
    let done = queue.settle(node, batch.clone()).await.unwrap();
    assert_eq!(
        done.into_iter().collect::<HashSet<_>>(),
        HashSet::from([rows[0].id, rows[1].id])
    );
    assert!(queue.settle(node, batch).await.unwrap().is_empty());

    let seen = history(&fixture, &tenant, &customer, message, a).await;
    assert_eq!(seen, (Some(("delivered", 1)), 1));
    let seen = history(&fixture, &tenant, &customer, message, b).await;
    assert_eq!(seen, (Some(("pending", 1)), 1));
    harness.age(WAIT).await;
    fixture.claim_one(node).await;
}

/// A node that was declared dead and wakes up writes nothing; the one that took over does.
pub async fn a_zombie_settles_nothing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (zombie, heir) = (fixture.node().await, fixture.node().await);
    let (message, work) = fixture.delivery(zombie, &customer, endpoint).await;
    let taken = fixture.take_over(zombie, heir).await;
    assert_eq!(taken.len(), 1);

    assert!(
        !fixture
            .settle(zombie, work, fixture.failed(message, endpoint).0)
            .await
    );
    let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(seen, (Some(("pending", 0)), 0));
    harness.age(WAIT).await;
    assert!(fixture.claim(heir).await.is_empty(), "no retry of the zombie's");

    assert!(
        fixture
            .settle(heir, taken[0].work, fixture.delivered(message, endpoint))
            .await
    );
    assert!(
        !fixture
            .settle(zombie, work, fixture.failed(message, endpoint).0)
            .await
    );
    let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(seen, (Some(("delivered", 1)), 1));
}

/// A zombie explodes nothing either.
pub async fn a_zombie_fans_out_nothing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (zombie, heir) = (fixture.node().await, fixture.node().await);
    fixture.accepted(&customer).await;
    let held = fixture.claim_one(zombie).await;
    let taken = fixture.take_over(zombie, heir).await;

    let (lost, kept) = (fixture.open(endpoint), fixture.open(endpoint));
    assert!(!fixture.fan_out(zombie, held.work, vec![lost]).await);
    assert!(fixture.fan_out(heir, taken[0].work, vec![kept]).await);
    let delivered = fixture.delivered(held.message, endpoint);
    let row = |new: NewWork| WorkRef { id: new.id, claim: 1 };
    assert!(!fixture.settle(zombie, row(lost), delivered.clone()).await);
    assert!(fixture.settle(heir, row(kept), delivered).await);
}

/// A node that handed a row back and claimed it anew settles it under the new claim only.
pub async fn an_earlier_claim_of_the_same_node_settles_nothing<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let node = fixture.node().await;
    fixture.accepted(&customer).await;
    let first = fixture.claim_one(node).await;
    fixture
        .ports()
        .queue
        .hand_back(node, vec![first.work])
        .await
        .unwrap();
    assert!(!fixture.fan_out(node, first.work, vec![]).await, "nobody's");
    let second = fixture.claim_one(node).await;
    assert!(
        !fixture.fan_out(node, first.work, vec![]).await,
        "a later claim's"
    );
    assert!(fixture.fan_out(node, second.work, vec![]).await);
}

/// In a batch of rows that are held, lost, foreign and unknown exactly the held ones are settled.
pub async fn a_mixed_batch_settles_exactly_what_is_held<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let mut endpoints = Vec::new();
    for _ in 0..4 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    let (message, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let (elsewhere, foreign) = fixture.fanned_out(other, &customer, &endpoints[..1]).await;
    fixture
        .ports()
        .queue
        .hand_back(node, vec![rows[1]])
        .await
        .unwrap();

    let unknown = WorkRef {
        id: fixture.work_id(),
        claim: 1,
    };
    let batch: Vec<Settlement> = vec![
        ending(rows[0], fixture.delivered(message, endpoints[0])),
        ending(rows[1], fixture.delivered(message, endpoints[1])),
        ending(rows[2], fixture.failed(message, endpoints[2]).0),
        ending(rows[3], fixture.cancelled(message, endpoints[3])),
        ending(foreign[0], fixture.delivered(elsewhere, endpoints[0])),
        ending(unknown, fixture.failed(message, endpoints[1]).0),
        fanning_out(fan_out.work, vec![fixture.open(endpoints[0])]),
    ];
    let done = fixture.ports().queue.settle(node, batch).await.unwrap();

    let held = [rows[0].id, rows[2].id, rows[3].id, fan_out.work.id];
    assert_eq!(done.len(), held.len());
    assert_eq!(done.into_iter().collect::<HashSet<_>>(), HashSet::from(held));
    for (message, endpoint, expected) in [
        (message, endpoints[0], (Some(("delivered", 1)), 1)),
        (message, endpoints[1], (Some(("pending", 0)), 0)),
        (message, endpoints[2], (Some(("pending", 1)), 1)),
        (message, endpoints[3], (Some(("cancelled", 0)), 0)),
        (elsewhere, endpoints[0], (Some(("pending", 0)), 0)),
        (fan_out.message, endpoints[0], (Some(("pending", 0)), 0)),
    ] {
        let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
        assert_eq!(seen, expected);
    }
}
