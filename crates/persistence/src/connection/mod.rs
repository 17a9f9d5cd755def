//! The open database.

mod dialect;
mod directory;
mod fresh;
mod migrate;
mod options;
mod pools;
mod scope;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use postrider_application::ports::StoreError;
use sea_orm::DatabaseConnection;
use tokio::sync::OnceCell;

use self::directory::DataDirectory;
pub use self::{
    dialect::Dialect,
    options::{ConnectError, DatabaseOptions, PostgresOptions, SqliteOptions},
};
pub(crate) use self::{
    dialect::{postgres_now, sqlite_now},
    scope::Scope,
};
use crate::error::OrStoreError as _;

/// An open database: its pools, and on SQLite the lock of its data directory. Cheap to clone.
///
/// It can be migrated and holds the facts of the installation; everything else is [`crate::SqlStore`]'s, which
/// needs the master key.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    dialect: Dialect,
    /// Where changes are made. On SQLite one connection, so that writers take turns here, fairly, and not in
    /// SQLite's busy handler.
    writer: DatabaseConnection,
    /// Where is looked up. On PostgreSQL the same pool.
    reader: DatabaseConnection,
    options: DatabaseOptions,
    directory: Mutex<Option<DataDirectory>>,
    /// Whether this process has declared its predecessors dead ([`Database::bury_predecessors`]).
    predecessors: OnceCell<()>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("dialect", &self.inner.dialect)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Connects, and on SQLite makes and locks the data directory. Changes nothing in the database: see
    /// [`Database::migrate`].
    pub async fn open(options: DatabaseOptions) -> Result<Self, ConnectError> {
        let (dialect, writer, reader, directory) = match &options {
            DatabaseOptions::Sqlite(sqlite) => {
                let directory = DataDirectory::open(&sqlite.directory)?;
                let (writer, reader) = pools::sqlite(sqlite, directory.database()).await?;
                (Dialect::Sqlite, writer, reader, Some(directory))
            }
            DatabaseOptions::Postgres(postgres) => {
                let pool = pools::postgres(postgres).await?;
                (Dialect::Postgres, pool.clone(), pool, None)
            }
        };
        let predecessors = OnceCell::new();
        let directory = Mutex::new(directory);
        Ok(Self {
            inner: Arc::new(Inner {
                dialect,
                writer,
                reader,
                options,
                directory,
                predecessors,
            }),
        })
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// How long a statement waits for a connection.
    pub(crate) fn acquire_timeout(&self) -> Duration {
        match &self.inner.options {
            DatabaseOptions::Sqlite(options) => options.acquire_timeout,
            DatabaseOptions::Postgres(options) => options.acquire_timeout,
        }
    }

    /// How many messages may be accepted at the same time, so that publishers, however many, leave connections
    /// (on SQLite: turns at the one writer) to the engine and its lease.
    pub(crate) fn accepts_at_once(&self) -> usize {
        match &self.inner.options {
            DatabaseOptions::Sqlite(_) => 32,
            DatabaseOptions::Postgres(options) => (options.max_connections as usize * 3 / 4).max(1),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.inner.reader.ping().await.or_store_error()?;
        self.inner.writer.ping().await.or_store_error()
    }

    /// Closes all connections, waiting for statements under way, and lets another process have the data directory.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.writer.close_by_ref().await.or_store_error()?;
        self.inner.reader.close_by_ref().await.or_store_error()?;
        let directory = self
            .inner
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(directory) = directory {
            directory.release();
        }
        Ok(())
    }

    /// Declares dead, once in the life of this process, all nodes of earlier processes. Only on SQLite: there the
    /// data directory's lock proves that they are gone, and nobody need wait for their leases to run out.
    pub(crate) async fn bury_predecessors(&self) -> Result<(), StoreError> {
        if self.inner.dialect == Dialect::Postgres {
            return Ok(());
        }
        let bury = || crate::nodes::bury_all(self);
        self.inner.predecessors.get_or_try_init(bury).await.copied()
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait as _;

    use super::*;

    /// SQLite has rolled back by itself, as it does when the disk is full at COMMIT; the driver does not know.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_swallow_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        let database = Database::open(options).await.unwrap();
        database.migrate().await.unwrap();
        let fact = |verb: &str, name: &str| {
            let sql = format!("{verb} INTO installation (name, value) VALUES ('{name}', x'00')");
            database.dialect().exactly(&sql, [])
        };
        let transaction = database.begin(Scope::Engine).await.unwrap();
        transaction.execute_raw(fact("INSERT", "lost")).await.unwrap();
        transaction
            .execute_raw(fact("INSERT OR ROLLBACK", "lost"))
            .await
            .unwrap_err();
        drop(transaction);

        // A transaction that is undone, and one that is committed: another connection must see the latter.
        drop(database.begin(Scope::Engine).await.unwrap());
        let transaction = database.begin(Scope::Engine).await.unwrap();
        transaction.execute_raw(fact("INSERT", "kept")).await.unwrap();
        transaction.commit().await.unwrap();
        let read = database.dialect().exactly("SELECT name FROM installation", []);
        let rows = database.reader(Scope::Engine).query_all_raw(read).await.unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        assert_eq!(names, ["kept"]);
    }
}
