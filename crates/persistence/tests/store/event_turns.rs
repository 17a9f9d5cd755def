//! Taking turns at the event log, on PostgreSQL: whoever holds it for long holds up only what has something to tell, and
//! a node that is paused with it in its hands loses it.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{
        Concluded, DeliveryQueue as _, Epoch, Repository as _, Settlement, Store as _, StoreError,
        UnitOfWork as _, WorkRef,
    },
};
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{Delivery, Outcome},
};
use postrider_testkit::contract::{Census as _, Customer, Fixture, Harness as _};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::{
    support::PostgresHarness,
    until::{SURELY, until},
    wire::{Trouble, with_a_wire},
};

/// The lock of the log.
const EVENT_LOG: i64 = 0x706f_7374_0002;

async fn concluded(
    fixture: &Fixture<'_, PostgresHarness>,
    node: Epoch,
    customer: &Customer,
    endpoint: EndpointId,
    status: u16,
) -> (MessageId, Settlement) {
    let (message, work): (MessageId, WorkRef) = fixture.delivery(node, customer, endpoint).await;
    let mut delivery = Delivery::begin(message, endpoint, fixture.now());
    let outcome = Outcome::of_status(status);
    fixture.record(&mut delivery, outcome);
    let concluded = Concluded {
        attempt: Some(fixture.attempt(1, outcome)),
        delivery,
        retry: None,
    };
    let settlement = Settlement {
        work,
        concluded: vec![concluded],
        open: Vec::new(),
    };
    (message, settlement)
}

async fn status(pool: &PgPool, message: MessageId) -> Option<String> {
    sqlx::query_scalar("SELECT status FROM deliveries WHERE message = $1")
        .bind(message.as_uuid())
        .fetch_optional(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_has_nothing_to_tell_does_not_wait_for_the_log() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let (good, delivered) = concluded(&fixture, node, &customer, endpoint, 204).await;
    let (bad, gone) = concluded(&fixture, node, &customer, endpoint, 410).await;
    let head = fixture.ports().events.head().await.unwrap();

    let mut holder = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(EVENT_LOG)
        .execute(&mut *holder)
        .await
        .unwrap();
    let store = harness.store().clone();
    let mut settling = JoinSet::new();
    settling.spawn(async move { store.settle(node, vec![delivered, gone]).await });
    until(async || status(&harness.outside, good).await.is_some()).await;
    assert_eq!(status(&harness.outside, good).await.as_deref(), Some("delivered"));
    assert_eq!(status(&harness.outside, bad).await, None, "it has to be told");
    assert!(settling.try_join_next().is_none(), "it waits for its turn");
    holder.rollback().await.unwrap();
    let settled = tokio::time::timeout(SURELY, settling.join_next()).await.unwrap();
    assert_eq!(settled.unwrap().unwrap().unwrap().len(), 2);
    assert_eq!(status(&harness.outside, bad).await.as_deref(), Some("failed"));
    let told = fixture.ports().events.after(head, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind, "delivery.failed");
}

/// All others who have something to tell wait for it, but not for as long as any transaction may stand idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_paused_with_the_log_in_its_hands_loses_it() {
    const HELD: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    /// The server ends it after two seconds; an ordinary transaction after fifteen.
    const SOON: Duration = Duration::from_secs(10);
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let (store, wire) = with_a_wire(&harness).await;
    let mut tx = store.begin(&tenant.scope).await.unwrap();
    let mut lost = fixture.new_application(&tenant, None);
    tx.save(&tenant.scope, &mut lost).await.unwrap();
    wire.trouble(&EVENT_LOG.to_be_bytes(), Trouble::Paused);
    let another = async {
        until(async || {
            let held = sqlx::query_scalar::<_, i64>(HELD);
            held.fetch_one(&harness.outside).await.unwrap() == 1
        })
        .await;
        tokio::time::timeout(SOON, fixture.application(&tenant)).await
    };
    let (paused, another) = tokio::join!(tx.commit(Record::InHistory), another);
    assert!(another.is_ok(), "it waits for the paused one");
    assert!(matches!(paused, Err(StoreError::Unavailable(_))), "{paused:?}");
    assert_eq!(harness.rows(Some(tenant.id)).await["applications"], 1);
    store.database().close().await.unwrap();
    harness.finish().await;
}
