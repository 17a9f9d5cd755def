//! Settling: what became of a row is written, whole.

use postrider_application::ports::{MessageViews as _, PageRequest, Settlement, WorkRef};
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{DeliveryStatus, Outcome},
};

use super::{
    Customer, Fixture, Harness, Tenancy,
    claiming::given,
    queue_steps::{LEASE, WAIT, ending},
};

/// Status and number of attempts of each delivery, and how many attempts are kept.
pub(super) async fn history<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    message: MessageId,
    endpoint: EndpointId,
) -> (Option<(&'static str, u32)>, usize) {
    let (store, scope) = (fixture.store(), &tenant.scope);
    let page = PageRequest::first(100);
    let deliveries = store.deliveries(scope, customer.id, message, page).await.unwrap();
    let ours = deliveries.items.iter().find(|view| view.endpoint == endpoint);
    let page = PageRequest::first(100);
    let attempts = store
        .attempts(scope, customer.id, message, endpoint, page)
        .await
        .unwrap();
    (
        ours.map(|view| (view.status.as_str(), view.attempts)),
        attempts.items.len(),
    )
}

/// A delivery that succeeded: its state and its attempt are written, and its row is gone.
pub async fn a_delivered_row_leaves_its_history<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    assert!(
        fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );

    let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(seen, (Some(("delivered", 1)), 1));
    fixture.ports().nodes.leave(node).await.unwrap();
    let other = fixture.node().await;
    assert!(fixture.claim(other).await.is_empty(), "its row is gone");
}

/// A delivery that failed with a wait left: a row for the next attempt, which carries on where this one ended.
pub async fn a_retry_carries_on<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let message = fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let row = fixture.open(endpoint);
    assert!(fixture.fan_out(node, fan_out.work, vec![row]).await);
    let mut work = WorkRef { id: row.id, claim: 1 };

    for attempts in 1..=2 {
        let attempt = fixture.attempt(attempts, Outcome::of_status(500));
        let (settled, retry) = fixture.retried(message, endpoint, attempt);
        assert!(fixture.settle(node, work, settled).await);
        let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
        assert_eq!(seen, (Some(("pending", attempts)), attempts as usize));
        assert!(fixture.claim(node).await.is_empty(), "its wait is not over");

        harness.age(WAIT).await;
        let claimed = fixture.claim_one(node).await;
        assert_eq!((claimed.attempts, claimed.failures), (attempts, attempts));
        assert_eq!((claimed.message, claimed.endpoint), (message, Some(endpoint)));
        assert_eq!((claimed.tenant, claimed.application), (tenant.id, customer.id));
        assert_eq!(claimed.seq, fan_out.seq, "the order of acceptance is kept");
        assert_eq!(claimed.work, WorkRef { id: retry, claim: 1 });
        work = claimed.work;
    }
}

/// A fan-out becomes one row for each endpoint, held by the settling node and by nobody else.
pub async fn a_fan_out_explodes_into_rows_that_are_held<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    let (message, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
    assert!(fixture.claim(other).await.is_empty());
    assert!(fixture.claim(node).await.is_empty(), "held is not claimable");
    assert!(
        !fixture
            .settle(other, rows[0], fixture.delivered(message, endpoints[0]))
            .await
    );
    for (row, endpoint) in rows.iter().zip(&endpoints) {
        assert!(
            fixture
                .settle(node, *row, fixture.delivered(message, *endpoint))
                .await
        );
    }
    fixture.ports().nodes.leave(node).await.unwrap();
    assert!(
        fixture.claim(other).await.is_empty(),
        "neither the fan-out nor a delivery is left"
    );
}

/// A message that no endpoint wants just ends.
pub async fn a_fan_out_to_nobody_ends<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let (message, rows) = fixture.fanned_out(node, &customer, &[]).await;
    assert!(rows.is_empty());
    fixture.ports().nodes.leave(node).await.unwrap();
    let other = fixture.node().await;
    assert!(fixture.claim(other).await.is_empty());
    let page = PageRequest::first(10);
    let store = fixture.store();
    let deliveries = store
        .deliveries(&tenant.scope, customer.id, message, page)
        .await
        .unwrap();
    assert!(deliveries.items.is_empty());
    assert!(
        store
            .message(&tenant.scope, customer.id, message)
            .await
            .unwrap()
            .is_some()
    );
}

/// A delivery that nobody wants any more ends without an attempt.
pub async fn a_cancelled_row_ends_without_an_attempt<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    let cancelled = fixture.cancelled(message, endpoint);
    assert!(fixture.settle(node, work, cancelled).await);
    let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(seen, (Some(("cancelled", 0)), 0));
    assert_eq!(fixture.ports().queue.next_due(None).await.unwrap(), None);
}

/// A delivery that was given up leaves no row.
pub async fn a_delivery_that_is_given_up_leaves_no_row<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    let given_up = fixture.given_up(message, endpoint);
    assert!(fixture.settle(node, work, given_up).await);
    let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(seen, (Some(("failed", 1)), 1));
    assert_eq!(fixture.ports().queue.next_due(None).await.unwrap(), None);
    harness.age(LEASE).await;
    assert!(
        fixture.ports().nodes.bury().await.unwrap().is_empty(),
        "the dead node holds nothing"
    );
}

/// Batches of the size that the engine makes: more rows than a statement of a database may have parameters for.
pub async fn a_large_batch_is_settled_whole<H: Harness>(harness: &H) {
    const ROWS: usize = 1_000;
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoints: Vec<_> = (0..ROWS).map(|_| EndpointId::from_uuid(fixture.uuid())).collect();
    let (message, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
    let settlement = |(place, (work, endpoint)): (usize, (&WorkRef, &EndpointId))| -> Settlement {
        let concluded = if place % 2 == 0 {
            fixture.delivered(message, *endpoint)
        } else {
            fixture.failed(message, *endpoint).0
        };
        ending(*work, concluded)
    };
    let batch: Vec<_> = rows.iter().zip(&endpoints).enumerate().map(settlement).collect();
    let queue = &fixture.ports().queue;
    assert_eq!(queue.settle(node, batch.clone()).await.unwrap().len(), ROWS);
    assert!(queue.settle(node, batch).await.unwrap().is_empty());

    let page = PageRequest::first(2_000);
    let store = fixture.store();
    let deliveries = store
        .deliveries(&tenant.scope, customer.id, message, page)
        .await
        .unwrap();
    let delivered = deliveries
        .items
        .iter()
        .filter(|view| view.status == DeliveryStatus::Delivered);
    assert_eq!((deliveries.items.len(), delivered.count()), (ROWS, ROWS / 2));
}

/// An empty batch is no fault.
pub async fn an_empty_batch_settles_nothing<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = fixture.node().await;
    assert!(
        fixture
            .ports()
            .queue
            .settle(node, Vec::new())
            .await
            .unwrap()
            .is_empty()
    );
}
