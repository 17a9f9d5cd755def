//! Whom a held row holds up, and whom not.

use std::time::Duration;

use postrider_application::ports::{Epoch, PersonRepository as _, Settlement, Store as _};
use postrider_domain::EndpointId;
use postrider_testkit::contract::{Customer, Fixture, Harness as _};

use crate::{outside::Outside as _, support::PostgresHarness};

/// Who changes a person's own affairs holds up others who do so, and nobody who merely refers to the person: another
/// tenant that takes them in, a session, a password reset.
#[tokio::test]
async fn a_person_who_is_held_may_be_referred_to() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let me = fixture.person_in(tenant.id, tenant.owner).await;
    let mut tx = harness.store().begin_as_person(&me).await.unwrap();
    tx.find_me(&me).await.unwrap().unwrap();

    let mut outside = harness.outside.begin().await.unwrap();
    let refer = "INSERT INTO password_resets (user_id, id, token_hash, expires_at) VALUES ($1, $1, '', 0)";
    sqlx::query("SET LOCAL lock_timeout = '5s'")
        .execute(&mut *outside)
        .await
        .unwrap();
    sqlx::query(refer)
        .bind(tenant.owner.as_uuid())
        .execute(&mut *outside)
        .await
        .unwrap();
    outside.rollback().await.unwrap();
    let held = sqlx::query("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE NOWAIT")
        .bind(tenant.owner.as_uuid())
        .execute(&harness.outside)
        .await
        .unwrap_err();
    let code = held
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("55P03"), "{held}");
    drop(tx);
    harness.finish().await;
}

/// An attempt of a delivery of its own fails, and is settled without waiting for anybody.
async fn fails(
    fixture: &Fixture<'_, PostgresHarness>,
    node: Epoch,
    (customer, endpoint): (&Customer, EndpointId),
) {
    let (message, work) = fixture.delivery(node, customer, endpoint).await;
    let failed = Settlement {
        work,
        concluded: vec![fixture.failed(message, endpoint).0],
        open: Vec::new(),
    };
    let settled = fixture.ports().queue.settle(node, vec![failed]);
    let settled = tokio::time::timeout(Duration::from_secs(20), settled).await;
    assert_eq!(settled.expect("it waits").unwrap(), [work.id]);
}

/// A failing endpoint costs one update an hour: until then its row is not even locked. Whoever holds the row holds up
/// no settlement; the last failure is noted with a later one.
#[tokio::test]
async fn a_failing_endpoints_row_is_written_by_the_hour_and_never_waited_for() {
    const ROW: &str = "SELECT ctid || ' ' || xmin || ' ' || xmax FROM endpoint_failures";
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let mut written = Vec::new();
    for minutes in [0, 30, 29, 1, 30] {
        harness.age(Duration::from_mins(minutes)).await;
        let before = harness.texts(ROW).await;
        fails(&fixture, node, (&customer, endpoint)).await;
        written.push(harness.texts(ROW).await != before);
    }
    assert_eq!(written, [true, false, false, true, false]);

    harness.age(Duration::from_hours(2)).await;
    let last_at = async || {
        let failing = fixture.ports().health.failing_for(Duration::ZERO, 10).await;
        failing.unwrap()[0].last_at
    };
    let before = last_at().await;
    let mut outside = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT endpoint FROM endpoint_failures FOR UPDATE")
        .execute(&mut *outside)
        .await
        .unwrap();
    fails(&fixture, node, (&customer, endpoint)).await;
    outside.rollback().await.unwrap();
    assert_eq!(last_at().await, before);
    fails(&fixture, node, (&customer, endpoint)).await;
    assert!(last_at().await > before);
    harness.finish().await;
}
