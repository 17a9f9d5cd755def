//! What proves that a tenant is gone, where the contract cannot look: tables that a later version adds, tables too
//! large to look through at once, rows that come or stay behind the eraser.

mod held;

use std::{collections::BTreeMap, time::Duration};

use postrider_application::ports::{ErasureStep, Housekeeping as _, StoreError, WorkRef};
use postrider_domain::{EndpointId, MessageId, TenantId};
use postrider_testkit::contract::{Fixture, Tenancy};
use uuid::Uuid;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// The most rows of one step.
const LIMIT: u32 = 500;

/// A tenant that is to be erased at once.
async fn doomed<H: Outside>(fixture: &Fixture<'_, H>) -> Tenancy {
    let tenant = fixture.tenant("doomed").await;
    order(fixture, &tenant, 1).await;
    tenant
}

/// Its erasure was ordered so many hours ago. From then on nobody finds its applications.
async fn order<H: Outside>(fixture: &Fixture<'_, H>, tenant: &Tenancy, hours: u64) {
    let at = fixture.ago(Duration::from_hours(hours));
    fixture.order_deletion(tenant, at).await;
}

/// Puts the eraser of the tenant into that phase, before that table.
async fn stand_at<H: Outside>(harness: &H, tenant: &Tenancy, phase: &str, table: Option<&str>) {
    let table = table.map_or("NULL".to_owned(), |table| format!("'{table}'"));
    harness
        .run(&format!(
            "INSERT INTO erasures (tenant, ordered_at, phase, at_table, removed)
             VALUES ({}, 0, '{phase}', {table}, '[]')",
            H::literal(tenant.id.as_uuid())
        ))
        .await;
}

async fn step<H: Outside>(harness: &H) -> Result<ErasureStep, StoreError> {
    let step = harness.store().erase(LIMIT, Duration::ZERO).await;
    if let Ok(ErasureStep::Removed { rows, .. }) = step {
        assert!(rows <= u64::from(LIMIT), "{rows}");
    }
    step
}

/// Steps until it is over; how many, and how many rows of which table went.
async fn erase<H: Outside>(harness: &H) -> (u32, BTreeMap<String, u64>) {
    for steps in 1..1_000 {
        match step(harness).await.unwrap() {
            ErasureStep::Erased { rows, .. } => return (steps, rows.into_iter().collect()),
            ErasureStep::Removed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not end");
}

/// Whoever adds a table and forgets to say where its rows go is told, and no tenant is declared gone.
async fn a_table_that_was_forgotten_is_found<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let kind = if H::IS_POSTGRES { "uuid" } else { "blob" };
    harness
        .run(&format!(
            "CREATE TABLE forgotten (id {kind} PRIMARY KEY, tenant {kind} NOT NULL)"
        ))
        .await;
    let tenant = doomed(&fixture).await;
    let refused = loop {
        match step(harness).await {
            Ok(ErasureStep::Removed { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, StoreError::Internal(why) if why.to_string().contains("order of erasure")));
    assert_eq!(harness.rows(Some(tenant.id)).await["tenants"], 1);
    harness.run("DROP TABLE forgotten").await;
    erase(harness).await;
    assert!(harness.rows(Some(tenant.id)).await.is_empty());
}

/// The proof is one: it finds what the walk left, here everything, and the walk begins anew.
async fn rows_that_were_left_behind_are_found<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = doomed(&fixture).await;
    harness.run(&H::messages(tenant.id.as_uuid(), 7, 1, 1)).await;
    stand_at(harness, &tenant, "proof", None).await;
    let stored = harness.rows(Some(tenant.id)).await;
    let (_, mut rows) = erase(harness).await;
    assert_eq!(rows.remove("users"), Some(1));
    assert_eq!(rows, stored);
    assert!(harness.rows(Some(tenant.id)).await.is_empty());
}

/// Windows end in the middle of the tenant's rows, of others', and of nobody's; none is passed over, and no other
/// tenant's row goes.
async fn large_tables_are_walked_through_in_windows<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = doomed(&fixture).await;
    let (ours, other) = (tenant.id.as_uuid(), Uuid::from_u128(0xb));
    for (tenant, first, step, rows) in [
        // A stretch of others, one of ours, and then every third is ours.
        (other, 1, 1, 5_000),
        (ours, 10_000, 1, 3_000),
        (other, 20_001, 3, 2_000),
        (other, 20_002, 3, 2_000),
        (ours, 20_003, 3, 2_000),
    ] {
        harness.run(&H::messages(tenant, first, step, rows)).await;
    }
    let others = TenantId::from_uuid(other);
    assert_eq!(harness.rows(Some(others)).await["messages"], 9_000);
    let (steps, rows) = erase(harness).await;
    assert_eq!(rows["messages"], 5_000);
    assert!((10..60).contains(&steps), "{steps} steps");
    assert!(harness.rows(Some(tenant.id)).await.is_empty());
    assert_eq!(harness.rows(Some(others)).await["messages"], 9_000);
}

/// The installation's own log says that a tenant was erased, by nobody but the system.
async fn an_erasure_is_in_the_installations_log<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = doomed(&fixture).await;
    erase(harness).await;
    let entries = "SELECT actor_kind || ' ' || action || ' ' || target || ' ' || outcome FROM audit_entries
         WHERE tenant IS NULL AND action = 'tenant.erase'";
    let expected = format!("system tenant.erase {} done", tenant.id);
    assert_eq!(harness.texts(entries).await, [expected]);
}

/// A proof that stands at its end, though something is queued: it looks at the queue once more.
async fn what_is_queued_at_the_end_is_found<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("doomed").await;
    let customer = fixture.application(&tenant).await;
    fixture.accepted(&customer).await;
    order(&fixture, &tenant, 1).await;
    stand_at(harness, &tenant, "proof", Some("sessions")).await;
    let stored = harness.rows(Some(tenant.id)).await;
    assert_eq!(stored["outbox_work"], 1);
    let (_, mut rows) = erase(harness).await;
    rows.remove("users");
    assert_eq!(rows, stored);
    assert!(harness.rows(Some(tenant.id)).await.is_empty());
}

/// What is queued at the beginning of the proof becomes history after that history was counted.
async fn what_is_settled_during_the_proof_is_found<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, node) = (doomed(&fixture).await, fixture.node().await);
    while harness.texts("SELECT phase FROM erasures").await != ["proof"] {
        let step = step(harness).await.unwrap();
        assert!(matches!(step, ErasureStep::Removed { .. }), "{step:?}");
    }
    harness
        .run("UPDATE erasures SET at_table = NULL, after_key = NULL")
        .await;
    let (message, endpoint) = (fixture.uuid(), fixture.uuid());
    let id = fixture.work_id();
    let ids = [
        id.as_uuid(),
        tenant.id.as_uuid(),
        fixture.uuid(),
        message,
        endpoint,
    ]
    .map(H::literal);
    harness
        .run(&format!(
            "INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes)
             VALUES ({}, 0, {node}, 1, 0, 0, 1, 7)",
            ids.join(", ")
        ))
        .await;
    // It counts half of the tables, but if it finds something.
    step(harness).await.unwrap();
    let delivered = fixture.delivered(MessageId::from_uuid(message), EndpointId::from_uuid(endpoint));
    fixture.settle(node, WorkRef { id, claim: 1 }, delivered).await;
    erase(harness).await;
    assert!(harness.rows(Some(tenant.id)).await.is_empty());
}

/// Steps until one fails; who was erased until then.
async fn until_it_fails<H: Outside>(harness: &H) -> Vec<TenantId> {
    let mut erased = Vec::new();
    for _ in 0..1_000 {
        match step(harness).await {
            Ok(ErasureStep::Removed { .. }) => {}
            Ok(ErasureStep::Erased { tenant, .. }) => erased.push(tenant),
            Ok(other) => panic!("{other:?}"),
            Err(StoreError::Internal(_)) => return erased,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("it does not fail");
}

/// A tenant whose rows cannot be removed lets the others go first, and is tried again.
async fn an_erasure_that_fails_holds_no_other_up<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (stuck, next) = (fixture.tenant("stuck").await, fixture.tenant("next").await);
    let kind = if H::IS_POSTGRES { "uuid" } else { "blob" };
    for (tenant, hours) in [(&stuck, 2), (&next, 1)] {
        fixture.application(tenant).await;
        order(&fixture, tenant, hours).await;
    }
    harness
        .run(&format!(
            "CREATE TABLE anchors (of {kind}, app {kind}, FOREIGN KEY (of, app) REFERENCES applications (tenant, id))"
        ))
        .await;
    harness
        .run(&format!(
            "INSERT INTO anchors SELECT tenant, id FROM applications WHERE tenant = {}",
            H::literal(stuck.id.as_uuid())
        ))
        .await;
    // The older one's turn is first, and fails; then it is the other's, to the end; and then it fails again.
    assert_eq!(until_it_fails(harness).await, []);
    assert_eq!(until_it_fails(harness).await, [next.id]);
    assert!(harness.rows(Some(next.id)).await.is_empty());
    assert_eq!(harness.rows(Some(stuck.id)).await["applications"], 1);
    harness.run("DROP TABLE anchors").await;
    erase(harness).await;
    assert!(harness.rows(Some(stuck.id)).await.is_empty());
}

/// An endpoint that somebody held while its table's turn was keeps its application: the way begins anew.
async fn a_row_that_was_passed_over_is_gone_back_to<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("doomed").await;
    let customer = fixture.application(&tenant).await;
    fixture.endpoint(&tenant, &customer).await;
    order(&fixture, &tenant, 1).await;
    stand_at(harness, &tenant, "walk", Some("applications")).await;
    let refused = step(harness).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal(_)), "{refused}");
    let (_, rows) = erase(harness).await;
    assert_eq!((rows["endpoints"], rows["applications"]), (1, 1));
}

on_both! {
    a_table_that_was_forgotten_is_found;
    rows_that_were_left_behind_are_found;
    large_tables_are_walked_through_in_windows;
    an_erasure_is_in_the_installations_log;
    what_is_queued_at_the_end_is_found;
    what_is_settled_during_the_proof_is_found;
    an_erasure_that_fails_holds_no_other_up;
    a_row_that_was_passed_over_is_gone_back_to;
}
