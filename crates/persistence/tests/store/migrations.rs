//! Bringing a database up to this version.

use std::path::Path;

use postrider_application::ports::InstallationFacts as _;
use postrider_persistence::{Database, DatabaseOptions, SqliteOptions};
use tokio::task::JoinSet;

use crate::support::PostgresHarness;

async fn sqlite(directory: &Path) -> Database {
    Database::open(DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory)))
        .await
        .unwrap()
}

async fn an_empty_database_is_migrated_once(database: &Database) {
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(
        pending.first().map(String::as_str),
        Some("m20261122_000001_tenants_and_people")
    );
    assert!(pending.is_sorted() && pending.len() >= 12, "{pending:?}");
    database.migrate().await.unwrap();
    assert_eq!(database.pending_migrations().await.unwrap(), [""; 0]);
    database.get_or_insert("kept", vec![1]).await.unwrap();
    database.migrate().await.unwrap();
    assert_eq!(database.get_or_insert("kept", vec![2]).await.unwrap(), [1]);
    database.ping().await.unwrap();
}

#[tokio::test]
async fn an_empty_database_is_migrated_once_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let database = sqlite(directory.path()).await;
    an_empty_database_is_migrated_once(&database).await;
    database.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_database_is_migrated_once_on_postgres() {
    let name = PostgresHarness::create(None).await;
    let database = PostgresHarness::open(&name).await;
    an_empty_database_is_migrated_once(&database).await;
    database.close().await.unwrap();
    PostgresHarness::remove(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let name = PostgresHarness::create(None).await;
    let mut nodes = JoinSet::new();
    for _ in 0..4 {
        let name = name.clone();
        nodes.spawn(async move {
            let database = PostgresHarness::open(&name).await;
            database.migrate().await.unwrap();
            assert_eq!(database.pending_migrations().await.unwrap(), [""; 0]);
            database.close().await.unwrap();
        });
    }
    while let Some(node) = nodes.join_next().await {
        node.unwrap();
    }
    PostgresHarness::remove(&name).await;
}

/// An older version does not start on the tables of a newer one.
#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let name = PostgresHarness::create(None).await;
    let database = PostgresHarness::open(&name).await;
    database.migrate().await.unwrap();
    let outside = sqlx::PgPool::connect_lazy(secrecy_free_url(&name).as_str()).unwrap();
    sqlx::query("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_future', 0)")
        .execute(&outside)
        .await
        .unwrap();
    outside.close().await;
    assert!(database.pending_migrations().await.is_err());
    assert!(database.migrate().await.is_err());
    database.close().await.unwrap();
    PostgresHarness::remove(&name).await;
}

fn secrecy_free_url(name: &str) -> String {
    use secrecy::ExposeSecret as _;
    PostgresHarness::options(name).url.expose_secret().to_owned()
}
