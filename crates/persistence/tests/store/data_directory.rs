//! The data directory of SQLite.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use postrider_application::ports::{ClaimFrom, DeliveryQueue as _, NodeRegistry as _};
use postrider_persistence::{ConnectError, Database, DatabaseOptions, SqlStore, SqliteOptions};
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::support::{SqliteHarness, sealer};

async fn open(directory: &Path) -> Result<Database, ConnectError> {
    Database::open(DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory))).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_directory_is_used_by_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await.unwrap();
    let refused = open(directory.path()).await.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Locked { path } if path == directory.path()),
        "{refused:?}"
    );
    assert!(refused.to_string().contains(directory.path().to_str().unwrap()));

    first.close().await.unwrap();
    let second = open(directory.path()).await.expect("the first has let it go");
    drop(first);
    assert!(
        open(directory.path()).await.is_err(),
        "dropping a handle that was closed lets nobody else in"
    );
    second.close().await.unwrap();
}

/// A command that is run beside a server works on its tables, and does not change them.
#[tokio::test]
async fn a_guest_leaves_the_schema_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let host = open(directory.path()).await.unwrap();
    let as_guest = || {
        let options = SqliteOptions::in_directory(directory.path());
        Database::open(DatabaseOptions::Sqlite(SqliteOptions {
            guest: true,
            ..options
        }))
    };
    let guest = as_guest().await.unwrap();
    assert!(guest.is_guest() && !host.is_guest());
    let refused = guest.migrate().await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::OlderHost { pending } if pending >= 14),
        "{refused:?}"
    );
    host.migrate().await.unwrap();
    guest.migrate().await.unwrap();
    guest.close().await.unwrap();
    host.close().await.unwrap();
    let alone = as_guest().await.unwrap();
    assert!(!alone.is_guest(), "there is no host");
    alone.close().await.unwrap();
}

#[tokio::test]
async fn a_lock_ends_with_its_last_handle() {
    let directory = tempfile::tempdir().unwrap();
    let (first, clone) = {
        let database = open(directory.path()).await.unwrap();
        (database.clone(), database)
    };
    drop(first);
    assert!(matches!(
        open(directory.path()).await,
        Err(ConnectError::Locked { .. })
    ));
    drop(clone);
    open(directory.path())
        .await
        .expect("nobody holds it any more")
        .close()
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_made_is_for_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/data");
    let database = open(&directory).await.unwrap();
    database.migrate().await.unwrap();
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        files.iter().any(|file| file.ends_with("postrider.sqlite3-wal")),
        "{files:?}"
    );
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    let directory = file.join("data");
    let refused = open(&directory).await.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Directory { path, .. } if *path == directory),
        "{refused:?}"
    );
    assert!(std::error::Error::source(&refused).is_some());
}

/// The lock proves that the processes before this one are gone: nobody waits for their leases.
#[tokio::test]
async fn nodes_of_earlier_processes_are_dead_at_once() {
    let harness = SqliteHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let message = fixture.accepted(&customer).await;
    let predecessor = fixture.node().await;
    assert_eq!(fixture.claim(predecessor).await.len(), 1);
    harness.store().database().close().await.unwrap();

    let database = open(harness.directory.path()).await.unwrap();
    let store = SqlStore::new(database.clone(), sealer(1));
    let node = store.join(Duration::from_secs(15)).await.unwrap();
    let sibling = store.join(Duration::from_secs(15)).await.unwrap();
    assert!(node > predecessor, "epochs are never used again");
    assert!(
        store.beat(node, Duration::from_secs(15)).await.unwrap(),
        "only predecessors are dead"
    );
    assert!(store.beat(sibling, Duration::from_secs(15)).await.unwrap());
    assert!(!store.beat(predecessor, Duration::from_secs(15)).await.unwrap());
    assert_eq!(store.bury().await.unwrap(), [predecessor]);
    let taken = store.claim(node, ClaimFrom::Dead(predecessor), 10).await.unwrap();
    assert_eq!(
        taken.iter().map(|work| work.message).collect::<Vec<_>>(),
        [message]
    );
    assert_eq!(store.bury().await.unwrap(), []);
    database.close().await.unwrap();
}

#[tokio::test]
async fn what_is_committed_is_in_the_log_of_the_file() {
    let harness = SqliteHarness::new().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&harness.outside)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    harness.finish().await;
}
