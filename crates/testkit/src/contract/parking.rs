//! Parking: rows of a full lane are set aside, and claimed by their endpoint only.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{ClaimFrom, WorkRef};
use postrider_domain::EndpointId;
use tokio::task::JoinSet;

use super::{
    Harness,
    claiming::given,
    queue_steps::{FROM_QUEUE, LEASE},
};

/// What is parked is in nobody's way: it is not claimed from the queue, wakes nobody, and is no dead node's. Asked for
/// by its endpoint it is there, under a higher claim number.
pub async fn parked_rows_are_claimed_by_endpoint_only<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let (endpoint, neighbour) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    let (queue, nodes) = (&fixture.ports().queue, &fixture.ports().nodes);
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    queue.park(node, vec![work]).await.unwrap();

    assert!(queue.still_held(node, &[work]).await.unwrap().is_empty());
    assert_eq!(queue.next_due(None).await.unwrap(), None);
    nodes.leave(node).await.unwrap();
    harness.age(LEASE).await;
    assert!(nodes.bury().await.unwrap().is_empty());
    let third = fixture.node().await;
    for from in [
        FROM_QUEUE,
        ClaimFrom::Parked {
            endpoint: neighbour,
            low: None,
        },
        ClaimFrom::Dead(node),
        ClaimFrom::Dead(other),
    ] {
        assert!(queue.claim(third, from, 10).await.unwrap().is_empty(), "{from:?}");
    }
    let rows = queue
        .claim(third, ClaimFrom::Parked { endpoint, low: None }, 10)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].work, WorkRef { claim: 2, ..work });
    assert_eq!((rows[0].message, rows[0].endpoint), (message, Some(endpoint)));
    assert!(
        queue
            .claim(third, ClaimFrom::Parked { endpoint, low: None }, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let delivered = fixture.delivered(message, endpoint);
    assert!(!fixture.settle(node, work, delivered.clone()).await);
    assert!(fixture.settle(third, rows[0].work, delivered).await);
}

/// The longest due goes first, and never more than asked for; what is not due waits.
pub async fn parked_rows_are_claimed_in_due_order<H: Harness>(harness: &H) {
    const LATER: Duration = Duration::from_hours(1);
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let queue = &fixture.ports().queue;
    let mut parked = Vec::new();
    for _ in 0..4 {
        parked.push(fixture.delivery(node, &customer, endpoint).await);
        harness.age(Duration::from_secs(1)).await;
    }
    // Parked in another order than they are due.
    for nth in [2, 0, 3, 1] {
        queue.park(node, vec![parked[nth].1]).await.unwrap();
    }
    let from = ClaimFrom::Parked { endpoint, low: None };
    harness.postpone(LATER).await;
    assert!(queue.claim(node, from, 10).await.unwrap().is_empty(), "not due");
    harness.age(LATER).await;
    assert!(queue.claim(node, from, 0).await.unwrap().is_empty());
    for expected in [&parked[..3], &parked[3..]] {
        let rows = queue.claim(node, from, 3).await.unwrap();
        let messages: Vec<_> = rows.iter().map(|row| row.message).collect();
        let expected: Vec<_> = expected.iter().map(|(message, _)| *message).collect();
        assert_eq!(messages, expected);
        assert!(rows.is_sorted_by_key(|row| row.due_at));
    }
}

/// Any node refills its lanes, and of those that do at the same time one gets a row.
pub async fn racing_refillers_share_no_row<H: Harness>(harness: &H) {
    const ROWS: usize = 40;
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let mut parked = HashSet::new();
    for _ in 0..ROWS {
        let (_, work) = fixture.delivery(node, &customer, endpoint).await;
        fixture.ports().queue.park(node, vec![work]).await.unwrap();
        parked.insert(work.id);
    }
    let mut racers = JoinSet::new();
    for _ in 0..4 {
        let (queue, mine) = (fixture.ports().queue.clone(), fixture.node().await);
        racers.spawn(async move {
            let mut rows = Vec::new();
            loop {
                let more = queue
                    .claim(mine, ClaimFrom::Parked { endpoint, low: None }, 3)
                    .await
                    .unwrap();
                if more.is_empty() {
                    return rows;
                }
                rows.extend(more);
            }
        });
    }
    let claimed = racers.join_all().await.concat();
    assert_eq!(claimed.len(), ROWS, "no row twice");
    assert_eq!(
        claimed.iter().map(|row| row.work.id).collect::<HashSet<_>>(),
        parked
    );
}

/// Which endpoints have parked rows is listed in the order of their ids, page by page, each once.
pub async fn parked_endpoints_are_listed_in_pages<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    assert_eq!(queue.parked_endpoints(None, 10).await.unwrap(), []);
    let mut endpoints: Vec<EndpointId> = Vec::new();
    for _ in 0..5 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    for _ in 0..3 {
        let (_, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
        queue.park(node, rows).await.unwrap();
    }
    // One that has rows, none of them parked.
    let held = fixture.endpoint(&tenant, &customer).await;
    fixture.delivery(node, &customer, held).await;
    endpoints.sort();
    let (mut after, mut listed) = (None, Vec::new());
    for expected in [2, 2, 1, 0] {
        let page = queue.parked_endpoints(after, 2).await.unwrap();
        assert_eq!(page.len(), expected);
        after = page.last().copied().or(after);
        listed.extend(page);
    }
    assert_eq!(listed, endpoints);

    let from = ClaimFrom::Parked {
        endpoint: endpoints[0],
        low: None,
    };
    for left in [5, 5, 4] {
        assert_eq!(queue.claim(node, from, 1).await.unwrap().len(), 1);
        assert_eq!(queue.parked_endpoints(None, 10).await.unwrap().len(), left);
    }
    let rest = queue.parked_endpoints(None, 10).await.unwrap();
    assert_eq!(rest, endpoints[1..], "the last of its rows was claimed");
}

/// Nobody sets aside what they do not hold; what is parked is not handed back by who had it.
pub async fn only_the_holder_parks<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let (queue, endpoint) = (&fixture.ports().queue, fixture.endpoint(&tenant, &customer).await);
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    let unknown = WorkRef {
        id: fixture.work_id(),
        claim: 1,
    };
    let (earlier, later) = (WorkRef { claim: 0, ..work }, WorkRef { claim: 2, ..work });
    queue.park(other, vec![work]).await.unwrap();
    queue.park(node, vec![earlier, later, unknown]).await.unwrap();
    queue.park(node, vec![]).await.unwrap();
    assert_eq!(queue.parked_endpoints(None, 10).await.unwrap(), []);
    assert_eq!(queue.still_held(node, &[work]).await.unwrap(), [work.id]);

    queue.park(node, vec![work, unknown]).await.unwrap();
    queue.park(node, vec![work]).await.unwrap();
    queue.hand_back(node, vec![work]).await.unwrap();
    assert!(fixture.claim(other).await.is_empty(), "it is parked still");
    assert!(
        !fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );
    let rows = queue
        .claim(other, ClaimFrom::Parked { endpoint, low: None }, 10)
        .await
        .unwrap();
    queue.park(node, vec![work]).await.unwrap();
    assert_eq!(queue.still_held(other, &[rows[0].work]).await.unwrap(), [work.id]);
    queue.hand_back(other, vec![rows[0].work]).await.unwrap();
    assert_eq!(fixture.claim_one(node).await.work, WorkRef { claim: 3, ..work });
}
