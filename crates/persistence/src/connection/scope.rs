//! The one place where a connection is taken and a transaction begins, with the scope that it is for.
//!
//! Today a scope decides nothing in the database. It is asked for everywhere all the same, because PostgreSQL's
//! roles and row-level security will be switched here (`set_config('role', ...)`, `app.tenant_id`) and nowhere
//! else.

use postrider_application::ports::StoreError;
use postrider_domain::TenantId;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};

use super::{Database, Dialect};
use crate::error::OrStoreError as _;

/// On whose behalf the database is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A tenant's: its rows and no other's.
    Tenant(TenantId),
    /// The operator's: tenants and people, signing keys, facts of the installation.
    Operator,
    /// Looking up a principal before its tenant is known.
    Identity,
    /// The engine's and the intake's: queue, history and nodes, across tenants.
    Engine,
}

impl Database {
    /// Begins a transaction that may write. Dropping it rolls back.
    pub(crate) async fn begin(&self, _scope: Scope) -> Result<DatabaseTransaction, StoreError> {
        let sqlite_transaction_mode = match self.inner.dialect {
            Dialect::Postgres => None,
            // A transaction that reads first and then writes would otherwise fail when another wrote in between.
            Dialect::Sqlite => Some(SqliteTransactionMode::Immediate),
        };
        let options = TransactionOptions {
            sqlite_transaction_mode,
            ..TransactionOptions::default()
        };
        self.inner
            .writer
            .begin_with_options(options)
            .await
            .or_store_error()
    }

    /// A connection for single statements that read.
    pub(crate) fn reader(&self, _scope: Scope) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// A connection for single statements that write, each a transaction of its own.
    pub(crate) fn writer(&self, _scope: Scope) -> &DatabaseConnection {
        &self.inner.writer
    }
}
