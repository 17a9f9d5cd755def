//! Bringing the database's tables up to this version.

use postrider_application::ports::StoreError;
use postrider_migrations::Migrator;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sea_orm_migration::MigratorTrait as _;

use super::{Database, DatabaseOptions, PostgresOptions, pools};
use crate::error::{OrStoreError as _, advisory_lock};

impl Database {
    /// The migrations that the database lacks, by name, in order. Writes nothing. `Err` too if it has one that
    /// this version does not know: it belongs to a newer one.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let pending = Migrator::get_pending_migrations_read_only(&self.inner.reader)
            .await
            .or_store_error()?;
        Ok(pending
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect())
    }

    /// Applies what the database lacks, each migration whole or not at all. Of several nodes that start at once
    /// one does it and the others wait.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.inner.options {
            DatabaseOptions::Sqlite(_) => apply(&self.inner.writer).await,
            DatabaseOptions::Postgres(options) => migrate_postgres(options).await,
        }
    }
}

async fn apply(connection: &DatabaseConnection) -> Result<(), StoreError> {
    Migrator::up(connection, None).await.or_store_error()
}

/// The lock is a session's, not a transaction's, so that a later migration may run outside of one. Closing the
/// connection gives it up, however this ends.
async fn migrate_postgres(options: &PostgresOptions) -> Result<(), StoreError> {
    let unavailable = |error| StoreError::Unavailable(Box::new(error));
    let pool = pools::postgres_for_migrations(options)
        .await
        .map_err(unavailable)?;
    let mut holder = pool.acquire().await.or_store_error()?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(advisory_lock::MIGRATIONS)
        .execute(&mut *holder)
        .await
        .or_store_error()?;
    let applied = apply(&SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone())).await;
    // Ends the session, and with it the lock.
    let closed = holder.close().await.or_store_error();
    pool.close().await;
    applied.and(closed)
}
