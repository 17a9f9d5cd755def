//! Waking other nodes that look at the same queue: NOTIFY on PostgreSQL, never within a transaction that does anything
//! else. On SQLite there is no other node.

use std::{fmt, future, mem};

use async_trait::async_trait;
use postrider_application::ports::{StoreError, WorkBell};
use sea_orm::ConnectionTrait as _;
use sqlx::{
    Row as _,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    SqlStore,
    connection::{Database, Dialect},
    error::OrStoreError as _,
};

/// Channels are a database's, and an installation is one of its schemas: two of them do not wake each other.
macro_rules! channel {
    () => {
        "'postrider_work_' || (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    };
}
const RING: &str = concat!("SELECT pg_notify(", channel!(), ", '')");
const CHANNEL: &str = concat!("SELECT ", channel!());

/// Where rings are heard: a connection of its own, made when somebody listens for the first time.
#[derive(Default)]
pub(crate) struct Bell {
    listener: Mutex<Option<PgListener>>,
}

/// What was heard by a connection that listens.
pub(crate) enum Listening {
    /// This.
    Said(String),
    /// The connection is new, or was lost and is there again: what was said before was not heard.
    Anew,
}

impl Bell {
    /// Waits for what is said on the channel that `channel` selects the name of. One caller at a time.
    pub(crate) async fn next(
        &self,
        database: &Database,
        channel: &'static str,
    ) -> Result<Listening, StoreError> {
        let mut listener = self.listener.lock().await;
        if let Some(listening) = listener.as_mut() {
            match listening.try_recv().await {
                Ok(Some(said)) => return Ok(Listening::Said(said.payload().to_owned())),
                // It was lost and is there again.
                Ok(None) => return Ok(Listening::Anew),
                Err(error) => tracing::debug!(%error, "the connection that listens is made anew"),
            }
            *listener = None;
        }
        // What was said before it was listened to was not heard.
        *listener = Some(listen(database, channel).await.or_store_error()?);
        Ok(Listening::Anew)
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl Drop for Bell {
    /// The driver says good-bye in a task, and panics where there is no runtime any more to run it. The connection then
    /// ends with the process.
    fn drop(&mut self) {
        if Handle::try_current().is_err() {
            mem::forget(self.listener.get_mut().take());
        }
    }
}

/// Listens by a connection that has the engine's role and settings, and is none of its pool's.
async fn listen(database: &Database, channel: &'static str) -> Result<PgListener, sqlx::Error> {
    let options = database
        .engine_connections()
        .get_postgres_connection_pool()
        .connect_options();
    let alone = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(database.acquire_timeout())
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*options).clone());
    let mut listener = PgListener::connect_with(&alone).await?;
    let channel: String = sqlx::query(channel).fetch_one(&mut listener).await?.try_get(0)?;
    listener.listen(&channel).await?;
    Ok(listener)
}

#[async_trait]
impl WorkBell for SqlStore {
    async fn ring(&self) -> Result<(), StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let notify = Dialect::Postgres.exactly(RING, []);
        let notified = self.database.engine().query_one_raw(notify).await;
        notified.or_store_error().map(drop)
    }

    async fn rung(&self) -> Result<(), StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            future::pending::<()>().await;
        }
        // Something was heard, or may have been missed: either way it counts as rung.
        self.bell.next(&self.database, CHANNEL).await.map(drop)
    }
}
