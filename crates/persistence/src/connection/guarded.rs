//! A tenant's statements name the tenant.

use async_trait::async_trait;
use postrider_domain::TenantId;
use sea_orm::{
    ConnectionTrait, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, Value,
};
use uuid::Uuid;

use postrider_application::ports::StoreError;

use super::{Dialect, Operation, Patience};
use crate::error::OrStoreError as _;

/// A connection or transaction in a scope. In a tenant's, a statement that does not carry the tenant's id among its
/// parameters is refused before the database sees it: on SQLite this is what keeps tenants apart, on PostgreSQL it
/// stands before the roles.
///
/// It is no proof that the statement uses the id well; the contract's cases are.
#[derive(Debug)]
pub(crate) struct Guarded<C> {
    connection: C,
    tenant: Option<Uuid>,
    /// For each statement.
    patience: Patience,
    /// Ends with it.
    _operation: Operation,
}

/// For statements that change something, until it is committed. Dropping it rolls back.
pub(crate) type Transaction = Guarded<DatabaseTransaction>;
/// For statements that read.
pub(crate) type Reading<'d> = Guarded<DatabaseExecutor<'d>>;
/// For one statement of the engine's, which is a transaction by itself.
pub(crate) type Single<'d> = Guarded<DatabaseExecutor<'d>>;

impl<C> Guarded<C> {
    pub(super) fn new(
        connection: C,
        tenant: Option<TenantId>,
        patience: Patience,
        operation: Operation,
    ) -> Self {
        Self {
            connection,
            tenant: tenant.map(|tenant| tenant.as_uuid()),
            patience,
            _operation: operation,
        }
    }

    fn admit(&self, statement: &Statement) -> Result<(), DbErr> {
        let Some(tenant) = self.tenant else {
            return Ok(());
        };
        let mut values = statement.values.iter().flat_map(|values| &values.0);
        if values.any(|value| matches!(value, Value::Uuid(Some(id)) if *id == tenant)) {
            return Ok(());
        }
        Err(unnamed())
    }
}

/// The statement is not repeated: it may hold values.
fn unnamed() -> DbErr {
    DbErr::Custom("a statement in a tenant's scope does not name the tenant".to_owned())
}

impl Transaction {
    /// Waits for its turn at what is numbered so, until the transaction ends. A statement of its own, so that the
    /// next one sees what the former holder committed. Only PostgreSQL has several writers.
    pub(crate) async fn take_turn(&self, lock: i64) -> Result<(), StoreError> {
        if self.get_database_backend() == DbBackend::Postgres {
            let lock = Dialect::Postgres.exactly("SELECT pg_advisory_xact_lock($1)", [lock.into()]);
            let call = self.connection.execute_raw(lock);
            self.patience.wait_for(call).await.or_store_error()?;
        }
        Ok(())
    }

    /// The same, for a turn for which everybody else waits: a transaction that stands idle with it for two seconds is
    /// ended by the server.
    pub(crate) async fn take_turn_briefly(&self, lock: i64) -> Result<(), StoreError> {
        if self.get_database_backend() == DbBackend::Postgres {
            let sql = "SELECT set_config('idle_in_transaction_session_timeout', '2s', true), \
                pg_advisory_xact_lock($1)";
            let lock = Dialect::Postgres.exactly(sql, [lock.into()]);
            let call = self.connection.execute_raw(lock);
            self.patience.wait_for(call).await.or_store_error()?;
        }
        Ok(())
    }

    /// Makes the changes last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.try_commit().await.or_store_error()
    }

    /// The same, for who must know why it failed.
    pub(crate) async fn try_commit(self) -> Result<(), DbErr> {
        self.patience.wait_for(self.connection.commit()).await
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> ConnectionTrait for Guarded<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.admit(&statement)?;
        let call = self.connection.execute_raw(statement);
        self.patience.wait_for(call).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        if self.tenant.is_some() {
            return Err(unnamed());
        }
        let call = self.connection.execute_unprepared(sql);
        self.patience.wait_for(call).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.admit(&statement)?;
        let call = self.connection.query_one_raw(statement);
        self.patience.wait_for(call).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.admit(&statement)?;
        let call = self.connection.query_all_raw(statement);
        self.patience.wait_for(call).await
    }
}
