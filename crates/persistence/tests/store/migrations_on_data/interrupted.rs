//! A node dies while it builds an index beside the writers: what is left of the index is of no use, and the next one
//! that migrates begins it again. Somebody reads a table for long: the migration gives up, and is run again.

use std::time::Duration;

use postrider_persistence::{DatabaseOptions, PostgresOptions, Schema};
use postrider_testkit::contract::{Fixture, Harness as _};
use sqlx::Executor as _;

use super::{old::Old, seed};
use crate::support::PostgresHarness;

const BUILDS: &str = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database()
    AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock' AND state = 'active'";
const INVALID: &str = "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i'";

async fn is_begun_again(last: &str, index: &str) {
    let source = PostgresHarness::new().await;
    let seed = seed(&Fixture::new(&source)).await;
    let (old, name) = Old::postgres(last).await;
    old.take_from_server(&source.outside).await;
    old.fill(&seed).await;
    // It has read what no migration touches. For its snapshot an index that is built concurrently waits, at the end.
    let outside = PostgresHarness::outside(&name);
    let mut reader = outside.begin().await.unwrap();
    reader
        .execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    reader.execute("SELECT count(*) FROM installation").await.unwrap();
    let mut node = tokio::task::JoinSet::new();
    node.spawn({
        let name = name.clone();
        async move { PostgresHarness::schema(&name).await.migrate().await }
    });
    let wait = async {
        loop {
            if let Some(pid) = old.texts(BUILDS).await.pop() {
                break pid;
            }
            assert!(node.try_join_next().is_none(), "it did not wait");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let pid = tokio::time::timeout(Duration::from_mins(1), wait).await.unwrap();
    old.texts(&format!("SELECT pg_terminate_backend({pid})::text"))
        .await;
    assert!(node.join_next().await.unwrap().unwrap().is_err());
    let left = old.texts(INVALID).await;
    assert!(left.iter().any(|name| name.ends_with(index)), "{left:?}");
    reader.rollback().await.unwrap();

    let before = old.rows().await;
    let columns = old.all_columns().await;
    PostgresHarness::migrate(&name).await;
    assert_eq!(old.texts(INVALID).await, [""; 0]);
    // Also those of the parents, which are valid once every partition has its own.
    let broken = "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid";
    assert_eq!(old.texts(broken).await, [""; 0]);
    let now = old.rows_of(&columns).await;
    assert!(now == before, "rows have changed");
    assert_eq!(
        PostgresHarness::schema(&name).await.pending().await.unwrap(),
        [""; 0]
    );
    outside.close().await;
    old.close().await;
    PostgresHarness::remove(&name).await;
    source.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_of_messages_is_begun_again() {
    is_begun_again("m20261123_000017_endpoint_resources", "_app_idx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_indexes_of_deliveries_are_begun_again() {
    is_begun_again("m20261123_000020_relay", "_undelivered_tenant").await;
}

/// Whoever waits for the queue waits behind the migration that waits for the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_does_not_wait_behind_a_reader_for_ever() {
    const LAST: &str = "m20261123_000024_asked_in";
    let (old, name) = Old::postgres("m20261123_000023_replays_outstanding").await;
    let outside = PostgresHarness::outside(&name);
    let mut dump = outside.begin().await.unwrap();
    dump.execute("SELECT count(*) FROM outbox_work").await.unwrap();

    let options = PostgresOptions {
        migration_lock_timeout: Duration::from_millis(100),
        ..PostgresHarness::options(&name)
    };
    let impatient = Schema::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_mins(1), impatient.migrate()).await;
    assert!(given_up.unwrap().is_err());
    assert_eq!(impatient.pending().await.unwrap(), [LAST]);

    dump.rollback().await.unwrap();
    impatient.migrate().await.unwrap();
    assert_eq!(impatient.pending().await.unwrap(), [""; 0]);
    outside.close().await;
    old.close().await;
    PostgresHarness::remove(&name).await;
}
