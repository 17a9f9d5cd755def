//! Whom a held row holds up, and whom not.

use postrider_application::ports::{PersonRepository as _, Store as _};
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::support::PostgresHarness;

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
