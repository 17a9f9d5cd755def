//! Messages that are delivered later, cancelled, or lose their payload.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{
        Cancellation, Expunged, MessageRepository as _, MessageStatus, MessageView, MessageViews as _,
        ReadMessage, Store as _, StoreError, StoredPayload, UnitOfWork as _,
    },
};
use postrider_domain::{MessageId, Timestamp, messages::Message};

use super::{
    Customer, Fixture, Harness, Tenancy,
    accepting::queued,
    claiming::given,
    queue_steps::{alone, is_stored, write_one},
};

const HOUR: Duration = Duration::from_hours(1);

/// Accepts the message.
pub(super) async fn accept<H: Harness>(fixture: &Fixture<'_, H>, message: Message) -> MessageId {
    let id = message.id;
    let answer = write_one(&*fixture.ports().writer, alone(message, None)).await;
    assert!(is_stored(&answer), "{answer:?}");
    id
}

pub(super) async fn scheduled<H: Harness>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    at: Timestamp,
) -> MessageId {
    let message = Message {
        deliver_at: Some(at),
        ..fixture.message(customer)
    };
    accept(fixture, message).await
}

async fn view<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    id: MessageId,
) -> MessageView {
    let view = fixture.store().message(&tenant.scope, customer.id, id).await;
    view.unwrap().unwrap()
}

/// Cancels in a transaction of its own.
pub(super) async fn cancel<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    id: MessageId,
) -> Result<Cancellation, StoreError> {
    let mut tx = fixture.store().begin(&tenant.scope).await?;
    let outcome = tx.cancel_message(&tenant.scope, customer.id, id).await?;
    tx.commit(Record::InHistory).await?;
    Ok(outcome)
}

pub(super) async fn expunge<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    id: MessageId,
) -> Expunged {
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let outcome = tx.expunge_payload(&tenant.scope, customer.id, id).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    outcome
}

/// A scheduled message is nobody's to claim before its time; one whose time has passed is due at once.
pub async fn what_is_scheduled_is_due_in_time<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let at = fixture.now().plus(HOUR);
    let later = scheduled(&fixture, &customer, at).await;
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
    let queue = &fixture.ports().queue;
    let wait = queue.next_due(None).await.unwrap().unwrap();
    assert!(wait <= HOUR && wait > HOUR / 2, "{wait:?}");
    let shown = view(&fixture, &tenant, &customer, later).await;
    assert_eq!(
        (shown.deliver_at, shown.status),
        (Some(at), MessageStatus::Scheduled)
    );
    assert_eq!((shown.cancelled_at, shown.payload_expunged_at), (None, None));

    let past = Timestamp::from_micros(1);
    let now = scheduled(&fixture, &customer, past).await;
    let claimed = fixture.claim_one(node).await;
    assert_eq!(claimed.message, now);
    let shown = view(&fixture, &tenant, &customer, now).await;
    assert_eq!(
        (shown.deliver_at, shown.status),
        (Some(past), MessageStatus::Accepted)
    );

    harness.age(HOUR + Duration::from_secs(1)).await;
    assert_eq!(fixture.claim_one(node).await.message, later);
    let shown = view(&fixture, &tenant, &customer, later).await;
    assert_eq!(shown.status, MessageStatus::Accepted);
}

/// Writing a scheduled message again, after its answer was lost, changes nothing.
pub async fn a_rerun_of_a_scheduled_message_is_itself<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let message = Message {
        deliver_at: Some(fixture.now().plus(HOUR)),
        ..fixture.message(&customer)
    };
    for _ in 0..2 {
        accept(&fixture, message.clone()).await;
    }
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
}

/// A cancelled message is never delivered, and keeps its payload; only once, and only one's own.
pub async fn what_is_cancelled_is_never_due<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other = fixture.tenant("other").await;
    let sibling = fixture.application(&tenant).await;
    let id = scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    for (who, whose) in [(&other, &customer), (&tenant, &sibling)] {
        assert_eq!(
            cancel(&fixture, who, whose, id).await.unwrap(),
            Cancellation::Unknown
        );
    }
    // Who does not commit has not cancelled.
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let outcome = tx.cancel_message(&tenant.scope, customer.id, id).await.unwrap();
    assert_eq!(outcome, Cancellation::Cancelled);
    drop(tx);
    assert_eq!(
        view(&fixture, &tenant, &customer, id).await.status,
        MessageStatus::Scheduled
    );

    let outcome = cancel(&fixture, &tenant, &customer, id).await.unwrap();
    assert_eq!(outcome, Cancellation::Cancelled);
    let shown = view(&fixture, &tenant, &customer, id).await;
    assert_eq!(shown.status, MessageStatus::Cancelled);
    assert!(shown.cancelled_at.is_some());
    assert_eq!(
        cancel(&fixture, &tenant, &customer, id).await.unwrap(),
        Cancellation::Already
    );
    harness.age(2 * HOUR).await;
    let node = fixture.node().await;
    assert!(fixture.claim(node).await.is_empty());
    let payload = fixture
        .store()
        .payload(&tenant.scope, customer.id, id)
        .await
        .unwrap();
    assert!(matches!(payload, Some(StoredPayload::There(_))));
}

/// What is due, what a node has, and what was never scheduled, are not cancelled.
pub async fn it_is_too_late_to_cancel_what_is_due<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let at_once = fixture.accepted(&customer).await;
    let due = scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    harness.age(2 * HOUR).await;
    for id in [at_once, due] {
        assert_eq!(
            cancel(&fixture, &tenant, &customer, id).await.unwrap(),
            Cancellation::TooLate
        );
    }
    let node = fixture.node().await;
    assert_eq!(fixture.claim(node).await.len(), 2);
    harness.postpone(4 * HOUR).await;
    // Though it is not due: it is a node's.
    assert_eq!(
        cancel(&fixture, &tenant, &customer, due).await.unwrap(),
        Cancellation::TooLate
    );
    let unknown = MessageId::from_uuid(fixture.uuid());
    assert_eq!(
        cancel(&fixture, &tenant, &customer, unknown).await.unwrap(),
        Cancellation::Unknown
    );
}

/// Of many who cancel at the same time one does.
pub async fn racing_cancellers_have_one_winner<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let id = scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    let race = || cancel(&fixture, &tenant, &customer, id);
    let (a, b, c, d) = tokio::join!(race(), race(), race(), race());
    let won = [a, b, c, d]
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(Cancellation::Cancelled)))
        .count();
    assert_eq!(won, 1);
    assert!(queued(&fixture).await.is_empty());
}

/// An expunged payload is gone for readers and for the engine; its message and what is queued of it stay.
pub async fn an_expunged_payload_is_gone<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other = fixture.tenant("other").await;
    let (id, kept) = (
        fixture.accepted(&customer).await,
        fixture.accepted(&customer).await,
    );
    assert_eq!(expunge(&fixture, &other, &customer, id).await, Expunged::Unknown);
    assert_eq!(expunge(&fixture, &tenant, &customer, id).await, Expunged::Now);
    assert_eq!(expunge(&fixture, &tenant, &customer, id).await, Expunged::Already);
    let store = fixture.store();
    let payload = |id| store.payload(&tenant.scope, customer.id, id);
    assert_eq!(payload(id).await.unwrap(), Some(StoredPayload::Expunged));
    assert!(matches!(
        payload(kept).await.unwrap(),
        Some(StoredPayload::There(_))
    ));
    let shown = view(&fixture, &tenant, &customer, id).await;
    assert!(shown.payload_expunged_at.is_some());
    assert_eq!((shown.payload_bytes, shown.status), (7, MessageStatus::Accepted));
    let keys = [(tenant.id, id), (tenant.id, kept)];
    let found = fixture.ports().material.messages(&keys).await.unwrap();
    assert_eq!(found[&id], ReadMessage::Expunged);
    assert!(found[&kept].whole().is_some());
    let node = fixture.node().await;
    assert_eq!(fixture.claim(node).await.len(), 2, "the engine ends them");
}
