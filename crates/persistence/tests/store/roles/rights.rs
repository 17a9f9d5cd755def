//! What a role may not do even in the right tenant: change the logs, reach what is no affair of a person's, or of the
//! engine's.

use postrider_testkit::contract::Harness as _;
use sqlx::Connection as _;
use uuid::Uuid;

use super::{
    accounts::connect,
    probe::{Reached, enter, run},
    rows::Filled,
};
use crate::support::PostgresHarness;

#[tokio::test]
async fn nobody_changes_the_logs() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let mut connection = connect(&harness.name).await;
    for role in ["postrider_api", "postrider_identity", "postrider_engine"] {
        for log in ["audit_entries", "outbox_events"] {
            for statement in [
                format!("UPDATE {log} SET tenant = tenant RETURNING tenant"),
                format!("DELETE FROM {log} RETURNING tenant"),
                format!("TRUNCATE {log}"),
            ] {
                let mut transaction = connection.begin().await.unwrap();
                enter(&mut transaction, role, &filled.tenant.to_string()).await;
                let outcome = run(&mut transaction, &statement).await;
                transaction.rollback().await.unwrap();
                assert_eq!(outcome, Err("42501".to_owned()), "{role}: {statement}");
            }
            // And yet they are written.
            let table = filled.tables.iter().find(|table| table.name == log).unwrap();
            let mut transaction = connection.begin().await.unwrap();
            enter(&mut transaction, role, &filled.tenant.to_string()).await;
            let outcome = run(
                &mut transaction,
                &table.insert(filled.tenant, Uuid::from_u128(0xc)),
            )
            .await;
            transaction.rollback().await.unwrap();
            assert_eq!(outcome, Ok(Reached::Rows(1)), "{role}: {log}");
        }
    }
    connection.close().await.unwrap();
    harness.finish().await;
}

/// Who logs in, or accepts an invitation, writes into the tenant that they enter; who leaves everywhere, their own
/// sessions only.
#[tokio::test]
async fn a_persons_affairs_touch_no_other_tenant() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let (tenant, other) = (filled.tenant, filled.other);
    let mut connection = connect(&harness.name).await;
    let mut transaction = connection.begin().await.unwrap();
    enter(&mut transaction, "postrider_identity", &tenant.to_string()).await;
    let forbidden = || Err("42501".to_owned());
    let table = |name: &str| filled.tables.iter().find(|table| table.name == name).unwrap();

    let sessions = run(&mut transaction, "SELECT tenant FROM sessions").await;
    assert_eq!(
        sessions,
        Ok(Reached::Of(vec![tenant, other])),
        "a session is looked up before the tenant is known"
    );
    for name in ["memberships", "sessions"] {
        let foreign = run(&mut transaction, &table(name).insert(other, filled.people[0])).await;
        assert_eq!(foreign, forbidden(), "{name}");
    }
    let touch = "UPDATE sessions SET version = 2 RETURNING tenant";
    let nobodys = run(&mut transaction, touch).await;
    assert_eq!(nobodys, Ok(Reached::Of(Vec::new())), "whose?");
    sqlx::query("SELECT set_config('app.user_id', $1, true)")
        .bind(filled.people[0].to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(run(&mut transaction, touch).await, Ok(Reached::Of(vec![tenant])));
    for name in ["memberships", "sessions"] {
        let somebody_elses = run(&mut transaction, &table(name).insert(tenant, filled.people[1])).await;
        assert_eq!(somebody_elses, forbidden(), "{name}");
    }
    for (statement, outcome) in [
        (
            "DELETE FROM invitations RETURNING tenant",
            Ok(Reached::Of(vec![tenant])),
        ),
        ("UPDATE memberships SET version = 2 RETURNING tenant", forbidden()),
        ("DELETE FROM memberships RETURNING tenant", forbidden()),
        ("UPDATE invitations SET version = 2 RETURNING tenant", forbidden()),
        ("UPDATE api_keys SET version = 2 RETURNING tenant", forbidden()),
        ("UPDATE tenants SET version = 2 RETURNING id", forbidden()),
        ("DELETE FROM users RETURNING id", forbidden()),
        ("SELECT tenant FROM messages", forbidden()),
        ("SELECT tenant FROM endpoints", forbidden()),
        ("SELECT id FROM applications ORDER BY name", forbidden()),
        (
            "SELECT tenant FROM applications ORDER BY tokens_valid_after",
            Ok(Reached::Of(vec![tenant, other])),
        ),
    ] {
        assert_eq!(run(&mut transaction, statement).await, outcome, "{statement}");
    }
    transaction.rollback().await.unwrap();

    let mut transaction = connection.begin().await.unwrap();
    enter(&mut transaction, "postrider_identity", "").await;
    let left = run(&mut transaction, "DELETE FROM sessions RETURNING tenant").await;
    assert_eq!(left, Ok(Reached::Of(Vec::new())), "whose?");
    sqlx::query("SELECT set_config('app.user_id', $1, true)")
        .bind(filled.people[1].to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let left = run(&mut transaction, "DELETE FROM sessions RETURNING tenant").await;
    assert_eq!(left, Ok(Reached::Of(vec![other])));
    transaction.rollback().await.unwrap();
    connection.close().await.unwrap();
    harness.finish().await;
}

/// The engine works for all tenants, with what it needs and no more.
#[tokio::test]
async fn the_engine_reaches_no_secrets_of_people() {
    let harness = PostgresHarness::new().await;
    let filled = Filled::fill(&harness.outside).await;
    let mut connection = connect(&harness.name).await;
    let mut transaction = connection.begin().await.unwrap();
    enter(&mut transaction, "postrider_engine", "").await;
    let both = || Ok(Reached::Of(vec![filled.tenant, filled.other]));
    let forbidden = || Err("42501".to_owned());
    for (statement, outcome) in [
        ("SELECT tenant FROM messages", both()),
        ("SELECT tenant FROM endpoints", both()),
        ("UPDATE outbox_work SET owner = 1 RETURNING tenant", both()),
        (
            "UPDATE api_keys SET last_used_at = 5 WHERE last_used_at IS NULL RETURNING tenant",
            both(),
        ),
        (
            "UPDATE api_keys SET secret_hash = '' RETURNING tenant",
            forbidden(),
        ),
        ("SELECT tenant FROM api_keys ORDER BY secret_hash", forbidden()),
        ("UPDATE endpoints SET version = 2 RETURNING tenant", forbidden()),
        ("SELECT id FROM users", forbidden()),
        ("SELECT tenant FROM sessions", forbidden()),
        ("SELECT tenant FROM audit_entries", forbidden()),
        ("SELECT NULL::uuid FROM signing_keys", forbidden()),
    ] {
        assert_eq!(run(&mut transaction, statement).await, outcome, "{statement}");
    }
    transaction.rollback().await.unwrap();
    connection.close().await.unwrap();
    harness.finish().await;
}
