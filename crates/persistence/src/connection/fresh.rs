//! Asking by a connection that is certainly not the one that was lost.

use postrider_application::ports::StoreError;
use postrider_domain::MessageId;
use sqlx::{Connection as _, PgConnection};

use super::{Database, DatabaseOptions, Dialect};
use crate::error::OrStoreError as _;

impl Database {
    /// Whether a message is committed, asked by a new connection: those in the pool may be lost as well. Waits as
    /// long as for a connection of the pool. It has the engine's role, as those of the pool have.
    pub(crate) async fn is_stored_by_a_fresh_connection(&self, id: MessageId) -> Result<bool, StoreError> {
        let (Dialect::Postgres, DatabaseOptions::Postgres(options)) =
            (self.inner.dialect, &self.inner.options)
        else {
            // A file is not lost under way.
            return Ok(false);
        };
        let asked = tokio::time::timeout(options.acquire_timeout, self.ask(id)).await;
        asked
            .map_err(|elapsed| StoreError::Unavailable(Box::new(elapsed)))?
            .or_store_error()
    }

    async fn ask(&self, id: MessageId) -> Result<bool, sqlx::Error> {
        let connect = self.engine().get_postgres_connection_pool().connect_options();
        let mut connection = PgConnection::connect_with(&connect).await?;
        let stored = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM messages WHERE id = $1)")
            .bind(id.as_uuid())
            .fetch_one(&mut connection)
            .await?;
        // The answer is had; whether the farewell succeeds changes nothing.
        let _ = connection.close().await;
        Ok(stored)
    }
}
