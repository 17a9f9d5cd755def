//! The hot way in: batches of messages, each batch in one transaction.
//!
//! On either database: the keys are taken (new ones, and those that expired); messages are written whose key was, and
//! those without a key, if they are not there already; payloads and queue rows are written for the messages that were.
//! What was not written had somebody before it, and one more statement looks who.

mod batch;
mod postgres;
mod sqlite;

use async_trait::async_trait;
use postrider_application::ports::{MessageWriter, NewMessage, StoreError, WriteError, Written};
use postrider_domain::MessageId;
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use self::batch::{Batch, Row};
use crate::{
    SqlStore,
    connection::{Dialect, postgres_now, sqlite_now},
    error::OrStoreError as _,
};

/// Several nodes may do this at the same time; each passes over what another is at.
const FORGET_KEYS_ON_POSTGRES: &str = concat!(
    "DELETE FROM dedup WHERE ctid = ANY (ARRAY(SELECT ctid FROM dedup WHERE expires_at <= ",
    postgres_now!(),
    " ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))"
);
const FORGET_KEYS_ON_SQLITE: &str = concat!(
    "DELETE FROM dedup WHERE (tenant, app, key_hash) IN
        (SELECT tenant, app, key_hash FROM dedup WHERE expires_at <= ",
    sqlite_now!(),
    " ORDER BY expires_at LIMIT $1)"
);

/// What was in the way of a message that was not written.
struct Found {
    /// A message of its id: itself.
    itself: bool,
    endpoints_version: i64,
    /// Who holds its key, and that one's body.
    holder: Option<(Uuid, Vec<u8>)>,
}

impl Found {
    fn answer(&self, row: &Row<'_>) -> Written {
        match (&self.holder, row.dedup) {
            _ if self.itself => Written::Stored {
                endpoints_version: self.endpoints_version,
            },
            (Some((message, body_hash)), Some(dedup)) if body_hash[..] == dedup.body_hash => {
                Written::Replayed(MessageId::from_uuid(*message))
            }
            (Some(_), Some(_)) => Written::KeyConflict,
            // Expired and removed, or erased, since.
            _ => Written::Again,
        }
    }
}

/// Whether each of the messages is, or would be, durable.
fn all_durable(answers: &[Written]) -> bool {
    let durable = |written: &Written| matches!(written, Written::Stored { .. } | Written::Replayed(_));
    answers.iter().all(durable)
}

/// Of a failure before anything is committed.
fn by_kind(error: StoreError) -> WriteError {
    match error {
        StoreError::Unavailable(_) => WriteError::Unavailable(error),
        _ => WriteError::Refused(error),
    }
}

/// Of a failure before the commit was asked for: what is not known of a statement that commits by itself, is known of
/// one that does not.
fn not_committed(error: WriteError) -> WriteError {
    match error {
        WriteError::Unknown(cause) => WriteError::Unavailable(cause),
        known => known,
    }
}

#[async_trait]
impl MessageWriter for SqlStore {
    fn system(&self) -> &'static str {
        crate::trace::system(self.database.dialect())
    }

    async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(batch).map_err(WriteError::Refused)?;
        match self.database.dialect() {
            Dialect::Postgres => self.write_on_postgres(&batch).await,
            Dialect::Sqlite => self.write_on_sqlite(&batch, false).await,
        }
    }

    async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(batch).map_err(WriteError::Refused)?;
        match self.database.dialect() {
            Dialect::Postgres => self.write_all_on_postgres(&batch).await,
            Dialect::Sqlite => self.write_on_sqlite(&batch, true).await,
        }
    }

    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError> {
        let dialect = self.database.dialect();
        let sql = dialect.choose(FORGET_KEYS_ON_POSTGRES, FORGET_KEYS_ON_SQLITE);
        let forget = dialect.exactly(sql, [i64::from(limit).into()]);
        let done = self
            .database
            .engine()
            .execute_raw(forget)
            .await
            .or_store_error()?;
        // No more than were asked for, so it fits.
        Ok(u32::try_from(done.rows_affected()).unwrap_or(limit))
    }
}
