//! What proves that a tenant is gone, where the contract cannot look: tables that a later version adds, tables too
//! large to look through at once, and nodes that are at it already.

use std::{collections::BTreeMap, time::Duration};

use postrider_application::ports::{ErasureStep, Housekeeping as _, StoreError};
use postrider_domain::TenantId;
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
    fixture
        .order_deletion(&tenant, fixture.ago(Duration::from_hours(1)))
        .await;
    tenant
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
    harness
        .run(&format!(
            "INSERT INTO erasures (tenant, ordered_at, phase, removed) VALUES ({}, 0, 'proof', '[]')",
            H::literal(tenant.id.as_uuid())
        ))
        .await;
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

on_both! {
    a_table_that_was_forgotten_is_found;
    rows_that_were_left_behind_are_found;
    large_tables_are_walked_through_in_windows;
    an_erasure_is_in_the_installations_log;
}

/// One node at a time.
#[tokio::test]
async fn whoever_finds_another_at_it_lets_it_be() {
    use postrider_testkit::contract::Harness as _;

    let harness = PostgresHarness::new().await;
    doomed(&Fixture::new(&harness)).await;
    let mut another = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(x'706f73740004'::bigint)")
        .execute(&mut *another)
        .await
        .unwrap();
    assert_eq!(step(&harness).await.unwrap(), ErasureStep::Busy);
    another.rollback().await.unwrap();
    erase(&harness).await;
    harness.finish().await;
}

/// A row that somebody holds is passed over, not waited for, and gone in the end.
#[tokio::test]
async fn a_row_that_is_held_holds_nothing_up() {
    use postrider_testkit::contract::{Census as _, Harness as _};

    let harness = PostgresHarness::new().await;
    let tenant = doomed(&Fixture::new(&harness)).await;
    harness
        .run(&PostgresHarness::messages(tenant.id.as_uuid(), 1, 1, 3))
        .await;
    let mut holder = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT id FROM messages ORDER BY id LIMIT 1 FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    // Twice through everything: the proof found it, and so did the next walk.
    for _ in 0..10 {
        let step = step(&harness).await.unwrap();
        assert!(matches!(step, ErasureStep::Removed { .. }), "{step:?}");
    }
    assert_eq!(harness.rows(Some(tenant.id)).await["messages"], 1);
    holder.rollback().await.unwrap();
    let (_, rows) = erase(&harness).await;
    assert_eq!(rows["messages"], 3);
    harness.finish().await;
}
