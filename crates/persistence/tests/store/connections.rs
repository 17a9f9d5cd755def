//! Connections that are not had, and what errors show.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{ApplicationViews as _, EventLog as _, Repository as _, Store as _, StoreError, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, MembershipId, UserId,
    access::{Grant, Role},
    users::Membership,
};
use postrider_persistence::{ConnectError, Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_without_the_password() {
    // A port that was free a moment ago, and nobody listens on.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for url in [
        format!("postgres://ada:s3cret@127.0.0.1:{port}/db"),
        "mysql://ada:s3cret@localhost/db".to_owned(),
    ] {
        let options = PostgresOptions {
            acquire_timeout: Duration::from_millis(300),
            ..PostgresOptions::at(url)
        };
        assert!(!format!("{options:?}").contains("s3cret"));
        let refused = Database::open(DatabaseOptions::Postgres(options))
            .await
            .unwrap_err();
        assert!(matches!(refused, ConnectError::Database(_) | ConnectError::Url));
        assert!(!format!("{refused:?} {refused}").contains("s3cret"));
    }
}

#[tokio::test]
async fn waiting_too_long_for_a_connection_is_unavailable() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let options = PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(1),
        ..PostgresHarness::options(&harness.name)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let small = SqlStore::new(database.clone(), sealer(1));
    let held = small.begin(&tenant.scope).await.unwrap();
    let waited = small.application(&tenant.scope, customer.id).await;
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "{waited:?}");
    drop(held);
    assert!(
        small
            .application(&tenant.scope, customer.id)
            .await
            .unwrap()
            .is_some()
    );
    database.close().await.unwrap();
    harness.finish().await;
}

/// A restart of the server costs each connection that was idle one error, and no more.
#[tokio::test]
async fn ended_sessions_are_unavailable_and_then_replaced() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    store.head().await.unwrap();
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&harness.outside)
    .await
    .unwrap();
    let mut errors = 0;
    while let Err(error) = store.head().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        errors += 1;
        assert!(errors <= 4, "no more than the pool has connections");
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let harness = SqliteHarness::new().await;
    harness.store().database().close().await.unwrap();
    assert!(matches!(
        harness.store().head().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(harness.store().database().ping().await.is_err());
}

/// What the database says of a row stays with the database.
async fn an_error_shows_no_values<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let nobody = UserId::from_uuid(fixture.uuid());
    let grants = vec![Grant::tenant(Role::Viewer)];
    let id = MembershipId::from_uuid(fixture.uuid());
    let mut orphan = Membership::join(id, tenant.id, nobody, grants, fixture.now());
    let mut tx = harness.store().begin(&tenant.scope).await.unwrap();
    // SQLite looks at foreign keys at the end of the statement, PostgreSQL too: neither waits for the commit.
    let refused = tx.save(&tenant.scope, &mut orphan).await;
    let Err(StoreError::Internal(cause)) = refused else {
        panic!("{refused:?}")
    };
    let shown = format!("{cause:?} {cause}");
    assert!(shown.to_lowercase().contains("foreign key"), "{shown}");
    assert!(
        !shown.contains(&nobody.as_uuid().to_string())
            && !shown.contains(&nobody.as_uuid().simple().to_string())
    );
    drop(tx);

    // The transaction took nothing with it.
    let tx = harness.store().begin(&tenant.scope).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert!(orphan.version().is_new());
}

on_both! { an_error_shows_no_values; }
