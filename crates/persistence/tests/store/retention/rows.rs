//! Rows that go one by one, on SQLite, and in logs on both.

use postrider_application::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome},
    ports::{
        DeliveryRepository as _, ReplayLimits, ReplayStep, ReplayWorker as _, Retention as _,
        RetentionPolicy, Store as _,
    },
};
use postrider_domain::{
    AuditEntryId, ReplayId, Timestamp,
    deliveries::Delivery,
    replays::{NewReplay, Replay, ReplayLimit, ReplayMode},
};
use postrider_testkit::contract::{Census, Fixture, Harness, Tenancy};

use super::{DAY, days, delivered, queued, rows};
use crate::support::{PostgresHarness, SqliteHarness};

/// Rows go by the batch; those that the queue refers to are passed over.
#[tokio::test]
async fn rows_go_by_the_batch() {
    let harness = SqliteHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let whose = (&tenant, &customer);
    for ago in [0, 45, 75, 76, 77] {
        delivered(&fixture, whose, ago).await;
    }
    let (node, message, row, endpoint) = queued(&fixture, whose, 80).await;
    let policy = days(60, 30, 30);
    let first = harness.store().remove_old(&policy, None, 2).await.unwrap();
    assert!(first.more && first.rows == 8, "{first:?}");
    while harness.store().remove_old(&policy, None, 2).await.unwrap().more {}
    assert_eq!(rows(&harness, &tenant).await, [3, 2, 2, 1]);
    assert!(
        fixture
            .settle(node, row, fixture.delivered(message, endpoint))
            .await
    );
    while harness.store().remove_old(&policy, None, 2).await.unwrap().more {}
    assert_eq!(rows(&harness, &tenant).await, [2, 1, 2, 1]);
    harness.finish().await;
}

/// What has no payload any more is sent to nobody: neither again nor by a replay.
#[tokio::test]
async fn what_has_no_payload_is_not_sent_again() {
    let harness = SqliteHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (node, message, row, endpoint) = queued(&fixture, (&tenant, &customer), 45).await;
    assert!(
        fixture
            .settle(node, row, fixture.delivered(message, endpoint))
            .await
    );
    let policy = RetentionPolicy {
        payloads: Some(30 * DAY),
        ..RetentionPolicy::default()
    };
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(rows(&harness, &tenant).await, [1, 0, 1, 1]);
    let mut tx = harness.store().begin(&tenant.scope).await.unwrap();
    assert!(!tx.has_payload(&tenant.scope, customer.id, message).await.unwrap());
    let mut delivery = Delivery::begin(message, endpoint, fixture.now());
    delivery.attempts = 1;
    let requeued = tx
        .requeue(&tenant.scope, customer.id, &delivery, fixture.work_id(), None)
        .await;
    assert!(requeued.is_err());
    drop(tx);
    let new = NewReplay {
        mode: ReplayMode::All,
        from: Timestamp::from_micros(0),
        to: None,
        limit: ReplayLimit::default(),
    };
    let id = ReplayId::from_uuid(fixture.uuid());
    let mut replay = Replay::begin(id, tenant.id, (customer.id, endpoint), new, fixture.now()).unwrap();
    fixture.save(&tenant.scope, &mut replay).await.unwrap();
    let ids = postrider_testkit::memory::SequentialIds::new(harness.clock());
    let step = harness
        .store()
        .step(&ReplayLimits::default(), &ids, fixture.now())
        .await
        .unwrap();
    assert!(
        matches!(
            step,
            ReplayStep::Made {
                queued: 0,
                finished: true,
                ..
            }
        ),
        "{step:?}"
    );
    harness.finish().await;
}

/// Of two entries of the audit log the one that is old enough goes.
async fn old_audit_entries_go<H: Census>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let at = fixture.now().minus(400 * DAY);
    let millis = u64::try_from(at.as_unix_millis()).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid();
    let old = AuditEntry {
        at,
        id: AuditEntryId::from_uuid(id),
        ..entry(&fixture, &tenant)
    };
    let young = entry(&fixture, &tenant);
    let house = &fixture.ports().housekeeping;
    house.append_audit(&[old, young]).await.unwrap();
    let count = async || harness.rows(Some(tenant.id)).await.get("audit_entries").copied();
    let before = count().await.unwrap();
    let policy = RetentionPolicy {
        audit: Some(365 * DAY),
        ..RetentionPolicy::default()
    };
    let removed = fixture
        .ports()
        .retention
        .remove_old(&policy, None, 100)
        .await
        .unwrap();
    assert_eq!(removed.rows, 1);
    assert_eq!(count().await, Some(before - 1));
}

fn entry<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy) -> AuditEntry {
    AuditEntry {
        id: AuditEntryId::from_uuid(fixture.uuid()),
        tenant: Some(tenant.id),
        at: fixture.now(),
        actor: Actor {
            kind: ActorKind::System,
            id: "case".into(),
        },
        action: "case.of.retention".into(),
        target: None,
        outcome: AuditOutcome::Denied,
        times: 1,
        address: None,
        request_id: None,
    }
}

#[tokio::test]
async fn the_audit_log_forgets_in_time() {
    let sqlite = SqliteHarness::new().await;
    old_audit_entries_go(&sqlite).await;
    // The door is shut again behind it.
    let refused = sqlx::query("DELETE FROM audit_entries")
        .execute(&sqlite.outside)
        .await;
    assert!(refused.is_err(), "the audit log is only appended to");
    sqlite.finish().await;
    let postgres = PostgresHarness::new().await;
    old_audit_entries_go(&postgres).await;
    postgres.finish().await;
}
