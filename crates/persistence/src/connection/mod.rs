//! The open database.

mod dialect;
mod directory;
mod examine;
mod failures;
mod guarded;
mod operations;
mod options;
mod patience;
mod pools;
mod roles;
mod schema;
mod scope;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use postrider_application::ports::StoreError;
use tokio::sync::OnceCell;

pub use self::{
    dialect::Dialect,
    examine::{Reached, SchemaState, reach},
    options::{ConnectError, DatabaseOptions, PostgresOptions, SqliteOptions, TooMuch},
    schema::Schema,
};
pub(crate) use self::{
    dialect::{postgres_now, sqlite_now},
    failures::FailureKind,
    guarded::{Guarded, Reading, Single, Transaction},
    operations::Operation,
    patience::Patience,
    scope::Scope,
};
use self::{directory::DataDirectory, operations::Operations, pools::Pools};
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
    pools: Pools,
    operations: Arc<Operations>,
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
    /// Connects, and on SQLite makes and locks the data directory. Changes nothing in the database, which must have
    /// been migrated: see [`Schema`].
    ///
    /// On PostgreSQL the login is checked first, and refused if row-level security would not bind it, or if it
    /// cannot become each of Postrider's roles.
    pub async fn open(options: DatabaseOptions) -> Result<Self, ConnectError> {
        Schema::open(options).await?.into_database().await
    }

    async fn open_sqlite(options: SqliteOptions) -> Result<Self, ConnectError> {
        let directory = DataDirectory::open(&options.directory, options.guest)?;
        let pools = pools::sqlite(&options, directory.database()).await?;
        Ok(Self::new(
            pools,
            DatabaseOptions::Sqlite(options),
            Some(directory),
        ))
    }

    async fn open_postgres(options: PostgresOptions) -> Result<Self, ConnectError> {
        let schema = roles::check(&options).await?;
        let pools = pools::postgres(&options, &schema).await?;
        Ok(Self::new(pools, DatabaseOptions::Postgres(options), None))
    }

    fn new(pools: Pools, options: DatabaseOptions, directory: Option<DataDirectory>) -> Self {
        let dialect = match pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres { .. } => Dialect::Postgres,
        };
        failures::show();
        let inner = Inner {
            dialect,
            pools,
            operations: Operations::new(dialect),
            options,
            directory: Mutex::new(directory),
            predecessors: OnceCell::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether another process serves from the same data directory: then its schema is left as it is, and nothing
    /// is delivered here.
    pub fn is_guest(&self) -> bool {
        let directory = self
            .inner
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        directory.as_ref().is_some_and(DataDirectory::is_guest)
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// How long the answer to a statement is waited for, on a connection that is had.
    fn for_answer(&self) -> Patience {
        Patience::for_answer(&self.inner.options)
    }

    /// How long a connection and the answer to a statement on it are waited for.
    fn for_connection(&self) -> Patience {
        Patience::for_connection(&self.inner.options)
    }

    /// How long a statement waits for a connection.
    pub(crate) fn acquire_timeout(&self) -> Duration {
        match &self.inner.options {
            DatabaseOptions::Sqlite(options) => options.acquire_timeout,
            DatabaseOptions::Postgres(options) => options.acquire_timeout,
        }
    }

    /// Lets the pools be read as gauges, from now on; once, by whoever composes.
    pub fn observe(&self) {
        self.inner.pools.observe();
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let patience = self.for_connection();
        for pool in self.inner.pools.both() {
            patience.wait_for(pool.ping()).await.or_store_error()?;
        }
        Ok(())
    }

    /// Closes all connections, waiting for statements under way, and lets another process have the data directory.
    pub async fn close(&self) -> Result<(), StoreError> {
        for pool in self.inner.pools.both() {
            pool.close_by_ref().await.or_store_error()?;
        }
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
    use postrider_domain::TenantId;
    use sea_orm::ConnectionTrait as _;
    use uuid::Uuid;

    use super::*;

    async fn sqlite(directory: &tempfile::TempDir) -> Database {
        let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        let database = Database::open(options).await.unwrap();
        database.migrate().await.unwrap();
        database
    }

    /// Whatever the statement says: a tenant's must carry its tenant.
    #[tokio::test]
    async fn a_statement_that_names_no_tenant_is_refused_in_a_tenants_scope() {
        let directory = tempfile::tempdir().unwrap();
        let database = sqlite(&directory).await;
        let (tenant, other) = (TenantId::from_uuid(Uuid::from_u128(1)), Uuid::from_u128(2));
        let select = "SELECT id FROM applications WHERE tenant = $1";
        let statement = |id: Uuid| database.dialect().exactly(select, [id.into()]);
        for scope in [
            Scope::Tenant(tenant),
            Scope::Operator,
            Scope::Identity,
            Scope::Engine,
        ] {
            let of_tenant = scope == Scope::Tenant(tenant);
            let reading = database.read(scope).await.unwrap();
            let transaction = database.begin(scope).await.unwrap();
            assert!(reading.query_all_raw(statement(tenant.as_uuid())).await.is_ok());
            assert!(transaction.execute_raw(statement(tenant.as_uuid())).await.is_ok());
            for sql in [
                statement(other),
                database.dialect().exactly("SELECT id FROM applications", []),
            ] {
                assert_eq!(reading.query_all_raw(sql.clone()).await.is_err(), of_tenant);
                assert_eq!(reading.query_one_raw(sql.clone()).await.is_err(), of_tenant);
                assert_eq!(transaction.execute_raw(sql.clone()).await.is_err(), of_tenant);
                let refused = transaction.query_one_raw(sql).await.or_store_error();
                assert_eq!(matches!(refused, Err(StoreError::Internal(_))), of_tenant);
            }
            assert_eq!(
                transaction
                    .execute_unprepared("DELETE FROM applications")
                    .await
                    .is_err(),
                of_tenant
            );
        }
        database.close().await.unwrap();
    }

    /// SQLite has rolled back by itself, as it does when the disk is full at COMMIT; the driver does not know.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_swallow_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        let database = sqlite(&directory).await;
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
        let rows = database
            .read(Scope::Engine)
            .await
            .unwrap()
            .query_all_raw(read)
            .await
            .unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        assert_eq!(names, ["kept"]);
    }
}
