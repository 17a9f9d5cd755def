//! Sending one delivery again.

use postrider_application::{
    audit::Record,
    ports::{
        Concluded, DeliveryRepository as _, Expunged, MessageRepository as _, Store as _, StoreError,
        UniqueRule, UnitOfWork as _,
    },
};
use postrider_domain::{
    EndpointId, MessageId, WorkId,
    deliveries::{Delivery, DeliveryStatus, Outcome},
    messages::TraceParent,
};
use tokio::task::JoinSet;

use super::{
    Customer, Fixture, Harness, Tenancy,
    claiming::given,
    deliveries::{deliveries, find},
    queue_steps::WAIT,
    scheduling::expunge,
};

/// The trace that resends are asked for in.
fn asked_in() -> TraceParent {
    TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap()
}

/// Requeues in a transaction of its own.
async fn requeue<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    delivery: &Delivery,
    work: WorkId,
) -> Result<(), StoreError> {
    let mut tx = fixture.store().begin(&tenant.scope).await?;
    tx.requeue(&tenant.scope, customer.id, delivery, work, Some(&asked_in()))
        .await?;
    tx.commit(Record::InHistory).await
}

impl<H: Harness> Fixture<'_, H> {
    /// Sends a delivery again that came to an end.
    pub(super) async fn resent(
        &self,
        tenant: &Tenancy,
        customer: &Customer,
        message: MessageId,
        endpoint: EndpointId,
    ) {
        let found = find(self, tenant, customer, message, endpoint).await;
        let mut delivery = found.unwrap();
        delivery.resend(self.now()).unwrap();
        requeue(self, tenant, customer, &delivery, self.work_id())
            .await
            .unwrap();
    }
}

/// A delivery that was given up after one attempt.
async fn given_up<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
) -> (MessageId, EndpointId) {
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(tenant, customer).await);
    let (message, work) = fixture.delivery(node, customer, endpoint).await;
    let given_up = fixture.given_up(message, endpoint);
    assert!(fixture.settle(node, work, given_up).await);
    (message, endpoint)
}

/// A resend is queued, due at once, and goes on counting where the delivery stood.
pub async fn a_resend_is_queued_at_once<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let mut delivery = find(&fixture, &tenant, &customer, message, endpoint)
        .await
        .unwrap();
    delivery.resend(fixture.now()).unwrap();
    let work = fixture.work_id();
    requeue(&fixture, &tenant, &customer, &delivery, work)
        .await
        .unwrap();

    let views = deliveries(&fixture, &tenant, &customer, message).await;
    assert!(matches!(views[0].status, DeliveryStatus::Pending { .. }));
    assert_eq!((views.len(), views[0].attempts), (1, 1));
    let node = fixture.node().await;
    let row = fixture.claim_one(node).await;
    assert_eq!((row.work.id, row.work.claim), (work, 1));
    assert_eq!((row.tenant, row.application), (tenant.id, customer.id));
    assert_eq!((row.message, row.endpoint), (message, Some(endpoint)));
    assert_eq!(
        (row.attempts, row.failures),
        (1, 0),
        "the whole schedule is before it again"
    );

    assert_eq!(
        (row.asked_for, row.asked_in),
        (true, Some(asked_in())),
        "it says that it was asked for, and in which trace"
    );

    let attempt = fixture.attempt(2, Outcome::of_status(200));
    fixture.record(&mut delivery, attempt.outcome);
    let settled = Concluded {
        delivery,
        attempt: Some(attempt),
        retry: None,
    };
    assert!(fixture.settle(node, row.work, settled).await);
    let views = deliveries(&fixture, &tenant, &customer, message).await;
    assert_eq!(
        (views[0].status, views[0].attempts),
        (DeliveryStatus::Delivered, 2)
    );
}

/// The attempt that follows was asked for; the one after it, if that failed, was not.
pub async fn the_retry_of_a_resend_was_not_asked_for<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    fixture.resent(&tenant, &customer, message, endpoint).await;
    let node = fixture.node().await;
    let resent = fixture.claim_one(node).await;
    assert_eq!((resent.asked_for, resent.asked_in), (true, Some(asked_in())));
    let attempt = fixture.attempt(2, Outcome::of_status(500));
    let (failed, retry) = fixture.retried(message, endpoint, attempt);
    assert!(fixture.settle(node, resent.work, failed).await);
    harness.age(WAIT).await;
    let retried = fixture.claim_one(node).await;
    assert_eq!((retried.work.id, retried.attempts), (retry, 2));
    assert_eq!((retried.asked_for, retried.asked_in), (false, None));
}

/// What has lost its payload is not sent again; a transaction sees that it has, as soon as it took the payload itself.
pub async fn what_has_lost_its_payload_is_not_sent_again<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let sibling = fixture.application(&tenant).await;
    let other_tenant = fixture.tenant("other").await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let unknown = MessageId::from_uuid(fixture.uuid());
    for (tenant, customer, message, expected) in [
        (&tenant, &customer, message, true),
        (&tenant, &customer, unknown, false),
        (&tenant, &sibling, message, false),
        (&other_tenant, &customer, message, false),
    ] {
        let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
        let there = tx.has_payload(&tenant.scope, customer.id, message).await;
        assert_eq!(there.unwrap(), expected);
    }
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let scope = &tenant.scope;
    tx.expunge_payload(scope, customer.id, message).await.unwrap();
    assert!(!tx.has_payload(scope, customer.id, message).await.unwrap());
    drop(tx);
    let found = find(&fixture, &tenant, &customer, message, endpoint).await;
    let mut delivery = found.unwrap();
    delivery.resend(fixture.now()).unwrap();

    assert_eq!(
        expunge(&fixture, &tenant, &customer, message).await,
        Expunged::Now
    );
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    assert!(!tx.has_payload(scope, customer.id, message).await.unwrap());
    drop(tx);
    let refused = requeue(&fixture, &tenant, &customer, &delivery, fixture.work_id()).await;
    assert!(matches!(refused, Err(StoreError::Internal(_))), "{refused:?}");
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
}

/// What is queued already is not queued twice: neither a waiting delivery nor one that a node holds.
pub async fn a_resend_of_what_is_queued_is_a_conflict<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    let delivery = Delivery::begin(message, endpoint, fixture.now());
    for handed_back in [false, true] {
        if handed_back {
            fixture.ports().queue.hand_back(node, vec![work]).await.unwrap();
        }
        let refused = requeue(&fixture, &tenant, &customer, &delivery, fixture.work_id()).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(UniqueRule::PendingDelivery))),
            "{refused:?}"
        );
    }
    assert_eq!(
        fixture.claim_one(node).await.work.id,
        work.id,
        "only the first row"
    );
}

/// Of many resends at the same time one is queued; the others are told.
pub async fn racing_resends_are_queued_once<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let mut delivery = find(&fixture, &tenant, &customer, message, endpoint)
        .await
        .unwrap();
    delivery.resend(fixture.now()).unwrap();
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (store, scope, application) = (fixture.store().clone(), tenant.scope.clone(), customer.id);
        let (delivery, work) = (delivery.clone(), fixture.work_id());
        racers.spawn(async move {
            let mut tx = store.begin(&scope).await?;
            tx.requeue(&scope, application, &delivery, work, None).await?;
            tx.commit(Record::InHistory).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for refused in lost {
        assert!(
            matches!(refused, Err(StoreError::Conflict(UniqueRule::PendingDelivery))),
            "{refused:?}"
        );
    }
    let node = fixture.node().await;
    fixture.claim_one(node).await;
}

/// A resend that is rolled back is not queued, and the delivery stands where it stood.
pub async fn a_resend_rolled_back_is_not_queued<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let before = find(&fixture, &tenant, &customer, message, endpoint)
        .await
        .unwrap();
    let mut delivery = before.clone();
    delivery.resend(fixture.now()).unwrap();
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.requeue(&tenant.scope, customer.id, &delivery, fixture.work_id(), None)
        .await
        .unwrap();
    drop(tx);

    let after = find(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(after, Some(before));
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
}

/// A resend that was decided before somebody else's was attempted is told so: its next attempt would have a number
/// that is taken.
pub async fn a_resend_decided_on_an_old_state_is_stale<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let mut delivery = find(&fixture, &tenant, &customer, message, endpoint)
        .await
        .unwrap();
    delivery.resend(fixture.now()).unwrap();
    requeue(&fixture, &tenant, &customer, &delivery, fixture.work_id())
        .await
        .unwrap();
    let node = fixture.node().await;
    let row = fixture.claim_one(node).await;
    let mut attempted = delivery.clone();
    let attempt = fixture.attempt(2, Outcome::of_status(410));
    fixture.record(&mut attempted, attempt.outcome);
    let settled = Concluded {
        delivery: attempted.clone(),
        attempt: Some(attempt),
        retry: None,
    };
    assert!(fixture.settle(node, row.work, settled).await);

    let refused = requeue(&fixture, &tenant, &customer, &delivery, fixture.work_id()).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    assert!(fixture.claim(node).await.is_empty());
    let found = find(&fixture, &tenant, &customer, message, endpoint).await;
    assert_eq!(found, Some(attempted));
}

/// A message is sent again by its own application only.
pub async fn a_resend_of_another_applications_message_is_refused<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other_tenant = fixture.tenant("other").await;
    let stranger = fixture.application(&other_tenant).await;
    let sibling = fixture.application(&tenant).await;
    let (message, endpoint) = given_up(&fixture, &tenant, &customer).await;
    let before = find(&fixture, &tenant, &customer, message, endpoint).await;
    let mut delivery = before.clone().unwrap();
    delivery.resend(fixture.now()).unwrap();
    for (tenant, customer) in [
        (&tenant, &sibling),
        (&other_tenant, &stranger),
        (&other_tenant, &customer),
    ] {
        let refused = requeue(&fixture, tenant, customer, &delivery, fixture.work_id()).await;
        assert!(matches!(refused, Err(StoreError::Internal(_))), "{refused:?}");
    }
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
    assert_eq!(
        find(&fixture, &tenant, &customer, message, endpoint).await,
        before
    );
}
