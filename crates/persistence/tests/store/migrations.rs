//! Bringing a database up to this version.

use postrider_application::ports::InstallationFacts as _;
use postrider_persistence::{DatabaseOptions, Schema, SqliteOptions};
use tokio::task::JoinSet;

use crate::support::PostgresHarness;

async fn an_empty_database_is_migrated_once(schema: Schema) {
    let pending = schema.pending().await.unwrap();
    assert_eq!(
        pending.first().map(String::as_str),
        Some("m20261122_000001_tenants_and_people")
    );
    assert!(pending.is_sorted() && pending.len() >= 14, "{pending:?}");
    schema.migrate().await.unwrap();
    assert_eq!(schema.pending().await.unwrap(), [""; 0]);
    let database = schema.into_database().await.unwrap();
    assert_eq!(database.pending_migrations().await.unwrap(), [""; 0]);
    database.get_or_insert("kept", vec![1]).await.unwrap();
    database.migrate().await.unwrap();
    assert_eq!(database.get_or_insert("kept", vec![2]).await.unwrap(), [1]);
    database.ping().await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_database_is_migrated_once_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
    an_empty_database_is_migrated_once(Schema::open(options).await.unwrap()).await;
}

#[tokio::test]
async fn an_empty_database_is_migrated_once_on_postgres() {
    let name = PostgresHarness::create(None).await;
    an_empty_database_is_migrated_once(PostgresHarness::schema(&name).await).await;
    PostgresHarness::remove(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let name = PostgresHarness::create(None).await;
    let mut nodes = JoinSet::new();
    for _ in 0..4 {
        let name = name.clone();
        nodes.spawn(async move {
            let schema = PostgresHarness::schema(&name).await;
            schema.migrate().await.unwrap();
            assert_eq!(schema.pending().await.unwrap(), [""; 0]);
            let database = schema.into_database().await.unwrap();
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
    let schema = PostgresHarness::schema(&name).await;
    schema.migrate().await.unwrap();
    let outside = PostgresHarness::outside(&name);
    sqlx::query("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_future', 0)")
        .execute(&outside)
        .await
        .unwrap();
    outside.close().await;
    assert!(schema.pending().await.is_err());
    assert!(schema.migrate().await.is_err());
    PostgresHarness::remove(&name).await;
}
