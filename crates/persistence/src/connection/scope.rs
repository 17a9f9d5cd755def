//! The one place where a connection is taken and a transaction begins, with the scope that it is for.
//!
//! On PostgreSQL a scope is a role, and row-level security decides with the settings that go with it; the login has
//! no rights of its own, so that whoever passes this place by is refused. On SQLite, and there as well, a statement
//! in a tenant's scope must name the tenant: see [`super::Guarded`].

use std::panic::Location;

use postrider_application::ports::StoreError;
use postrider_domain::{TenantId, UserId};
use postrider_migrations::roles;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};

use super::{Database, Dialect, Guarded, Operation, Reading, Single, Transaction, pools::Pools};
use crate::error::OrStoreError as _;

/// On whose behalf the database is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A tenant's: its rows and no other's.
    Tenant(TenantId),
    /// A person's own affairs: logging in, refreshing, a password, accepting an invitation. Written are rows of that
    /// person, and of that tenant if there is one.
    Person {
        /// Whose, if it is known already.
        user: Option<UserId>,
        /// The tenant that they enter, or leave.
        tenant: Option<TenantId>,
    },
    /// Looking up a principal before its tenant is known.
    Identity,
    /// The operator's: tenants and people, signing keys, facts of the installation, chores.
    Operator,
    /// The engine's and the intake's: queue, history and nodes, across tenants.
    Engine,
}

/// What PostgreSQL is told of a scope. Each setting ends with the transaction.
const ENTER: &str = "SELECT set_config('role', $1, true), set_config('app.tenant_id', $2, true),
    set_config('app.user_id', $3, true)";
const ENTER_TO_READ: &str = "SELECT set_config('role', $1, true), set_config('app.tenant_id', $2, true),
    set_config('app.user_id', $3, true), set_config('transaction_read_only', 'on', true)";

impl Scope {
    const fn role(self) -> &'static str {
        match self {
            Self::Tenant(_) => roles::API,
            Self::Person { .. } | Self::Identity => roles::IDENTITY,
            Self::Operator => roles::ADMIN,
            Self::Engine => roles::ENGINE,
        }
    }

    const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Person { tenant, .. } => tenant,
            Self::Identity | Self::Operator | Self::Engine => None,
        }
    }

    const fn user(self) -> Option<UserId> {
        match self {
            Self::Person { user, .. } => user,
            _ => None,
        }
    }

    /// The tenant that each statement must name.
    const fn named(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }
}

impl Database {
    /// Begins a transaction that may write. Dropping it rolls back. How long it took is measured under the caller's
    /// name, and so it is with all of these.
    #[track_caller]
    pub(crate) fn begin(&self, scope: Scope) -> impl Future<Output = Result<Transaction, StoreError>> + Send {
        let operation = self.operation();
        async move {
            let transaction = match &self.inner.pools {
                Pools::Postgres { engine, .. } if scope == Scope::Engine => {
                    let begin = self.for_connection().wait_for(engine.begin());
                    begin.await.or_store_error()?
                }
                Pools::Postgres { login, .. } => self.enter(login, scope, ENTER).await?,
                Pools::Sqlite { writer, .. } => {
                    let options = TransactionOptions {
                        // A transaction that reads first and then writes would otherwise fail when another wrote in
                        // between.
                        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                        ..TransactionOptions::default()
                    };
                    writer.begin_with_options(options).await.or_store_error()?
                }
            };
            Ok(Guarded::new(
                transaction,
                scope.named(),
                self.for_answer(),
                operation,
            ))
        }
    }

    /// A connection for statements that read. On PostgreSQL a transaction that cannot write, and only the engine's
    /// scope goes without.
    #[track_caller]
    pub(crate) fn read(&self, scope: Scope) -> impl Future<Output = Result<Reading<'_>, StoreError>> + Send {
        let operation = self.operation();
        async move {
            let connection = match &self.inner.pools {
                Pools::Postgres { engine, .. } if scope == Scope::Engine => {
                    DatabaseExecutor::Connection(engine)
                }
                Pools::Postgres { login, .. } => {
                    DatabaseExecutor::OwnedTransaction(self.enter(login, scope, ENTER_TO_READ).await?)
                }
                Pools::Sqlite { readers, .. } => DatabaseExecutor::Connection(readers),
            };
            // Of the engine's it may be that there is none yet.
            let patience = self.for_connection();
            Ok(Guarded::new(connection, scope.named(), patience, operation))
        }
    }

    /// Something of the caller's begins that is none of the above, and lasts until the answer is dropped.
    #[track_caller]
    pub(crate) fn operation(&self) -> Operation {
        self.inner.operations.begin(Location::caller())
    }

    /// The connections that become a role for each transaction, of PostgreSQL: for who needs one of the same kind that
    /// is its own.
    pub(crate) fn login_pool(&self) -> Result<&sqlx::PgPool, StoreError> {
        match &self.inner.pools {
            Pools::Postgres { login, .. } => Ok(login.get_postgres_connection_pool()),
            Pools::Sqlite { .. } => Err(crate::error::fault("SQLite knows no logins")),
        }
    }

    /// One of the engine's connections, for a single statement, which is a transaction of its own. They have the
    /// engine's role for as long as they live, so that the hot way costs no round trip more.
    #[track_caller]
    pub(crate) fn engine(&self) -> Single<'_> {
        let connection = DatabaseExecutor::Connection(self.engine_connections());
        Guarded::new(connection, None, self.for_connection(), self.operation())
    }

    /// All of them, for who needs the driver's own.
    pub(crate) fn engine_connections(&self) -> &DatabaseConnection {
        match &self.inner.pools {
            Pools::Postgres { engine, .. } => engine,
            Pools::Sqlite { writer, .. } => writer,
        }
    }

    /// A transaction of the login that has become the scope's role.
    async fn enter(
        &self,
        login: &DatabaseConnection,
        scope: Scope,
        sql: &'static str,
    ) -> Result<DatabaseTransaction, StoreError> {
        let begin = self.for_connection().wait_for(login.begin());
        let transaction = begin.await.or_store_error()?;
        let text = |id: Option<String>| id.unwrap_or_default();
        let settings = [
            scope.role().into(),
            text(scope.tenant().map(|tenant| tenant.as_uuid().to_string())).into(),
            text(scope.user().map(|user| user.as_uuid().to_string())).into(),
        ];
        let enter = transaction.query_one_raw(Dialect::Postgres.exactly(sql, settings));
        self.for_answer().wait_for(enter).await.or_store_error()?;
        Ok(transaction)
    }
}
