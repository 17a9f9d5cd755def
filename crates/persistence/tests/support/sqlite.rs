use std::time::Duration;

use postrider_application::access::TenantScope;
use postrider_domain::ApplicationId;
use postrider_persistence::{Database, DatabaseOptions, SqlStore, SqliteOptions};
use postrider_testkit::contract::{Harness, Ports};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{AGE, ENDPOINTS_VERSION, POSTPONE, micros, sealer};

/// A database in a directory of its own, gone with the harness.
pub(crate) struct SqliteHarness {
    store: SqlStore,
    /// Looks and meddles from outside, as another process would.
    pub(crate) outside: SqlitePool,
    pub(crate) directory: TempDir,
}

impl SqliteHarness {
    /// The harness of a directory, migrated to this version.
    pub(crate) async fn of(directory: TempDir) -> Self {
        let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        let database = Database::open(options).await.unwrap();
        database.migrate().await.unwrap();
        let outside = Self::outside(&directory).await;
        Self {
            store: SqlStore::new(database, sealer(1)),
            outside,
            directory,
        }
    }

    /// A pool from outside.
    pub(crate) async fn outside(directory: &TempDir) -> SqlitePool {
        let file = SqliteConnectOptions::new()
            .filename(directory.path().join("postrider.sqlite3"))
            .busy_timeout(Duration::from_secs(10));
        SqlitePool::connect_with(file).await.unwrap()
    }
}

impl Harness for SqliteHarness {
    type Store = SqlStore;

    async fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap()).await
    }

    fn store(&self) -> &SqlStore {
        &self.store
    }

    fn ports(&self) -> Ports {
        Ports::of(&self.store)
    }

    async fn another_node(&self) -> Option<Ports> {
        // The data directory is one process's.
        None
    }

    async fn age(&self, by: Duration) {
        for sql in AGE {
            sqlx::query(sql)
                .bind(micros(by))
                .execute(&self.outside)
                .await
                .unwrap();
        }
    }

    async fn postpone(&self, by: Duration) {
        sqlx::query(POSTPONE)
            .bind(micros(by))
            .execute(&self.outside)
            .await
            .unwrap();
    }

    async fn endpoints_version(&self, scope: &TenantScope, application: ApplicationId) -> i64 {
        sqlx::query_scalar(ENDPOINTS_VERSION)
            .bind(scope.tenant().as_uuid())
            .bind(application.as_uuid())
            .fetch_one(&self.outside)
            .await
            .unwrap()
    }

    async fn finish(self) {
        self.outside.close().await;
        self.store.database().close().await.unwrap();
        self.directory.close().unwrap();
    }
}
