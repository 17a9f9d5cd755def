//! The hot way in. One statement on PostgreSQL, which is its own transaction: one round trip. On SQLite the same
//! steps as one list of statements, between BEGIN IMMEDIATE and COMMIT.
//!
//! Either way: the key is taken (a new one, or one that expired); the message is written if it was, and if it is
//! not there already; payload and queue row are written if the message was. Nothing written means that somebody
//! was here before, which a second statement looks into.

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    ports::{AcceptMessage, Accepted, Dedup, IntakeError, MessageIntake, StoreError},
};
use postrider_domain::{MessageId, messages::Message};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Value};
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{StoredTexts, micros},
    connection::{Dialect, Scope, postgres_now, sqlite_now},
    error::{OrStoreError as _, corrupt, fault, lost_under_way},
};

/// How often an accept begins anew because the key that stood in its way was gone when it looked.
const MAX_TRIES: u32 = 3;

macro_rules! message_columns {
    () => {
        "id, tenant, app, event_type, channels, event_id, content_type, payload_bytes, created_at, trace"
    };
}

macro_rules! message_values {
    () => {
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
    };
}

/// Message, payload and queue row, if `$condition`.
macro_rules! accept_on_postgres {
    ($key:expr, $condition:expr) => {
        concat!(
            "WITH ",
            $key,
            "stored AS (INSERT INTO messages (",
            message_columns!(),
            ") SELECT ",
            message_values!(),
            $condition,
            " ON CONFLICT (id) DO NOTHING RETURNING id),
            body AS (INSERT INTO payloads (message, tenant, body) SELECT id, $2, $11 FROM stored)
            INSERT INTO outbox_work (id, tenant, app, message, due_at, owner, claim, attempts, failures)
            SELECT id, $2, $3, id, ",
            postgres_now!(),
            ", 0, 0, 0, 0 FROM stored"
        )
    };
}

const ACCEPT_ON_POSTGRES: &str = accept_on_postgres!("", "");
const ACCEPT_KEYED_ON_POSTGRES: &str = accept_on_postgres!(
    concat!(
        "taken AS (INSERT INTO dedup AS old (tenant, app, key_hash, body_hash, message, expires_at)
            VALUES ($2, $3, $12, $13, $1, ",
        postgres_now!(),
        " + $14)
            ON CONFLICT (tenant, app, key_hash) DO UPDATE SET body_hash = excluded.body_hash,
                message = excluded.message, expires_at = excluded.expires_at
            WHERE old.expires_at <= ",
        postgres_now!(),
        " RETURNING message), "
    ),
    " FROM taken"
);

/// `changes()` is the number of rows that the statement before has written: each goes on only if it wrote one.
macro_rules! accept_on_sqlite {
    ($key:expr, $condition:expr) => {
        concat!(
            $key,
            "INSERT INTO messages (",
            message_columns!(),
            ") SELECT ",
            message_values!(),
            $condition,
            " ON CONFLICT (id) DO NOTHING;
            INSERT INTO payloads (message, tenant, body) SELECT $1, $2, $11 WHERE changes() = 1;
            UPDATE outbox_work_seq SET last = last + 1 WHERE changes() = 1;
            INSERT INTO outbox_work (id, tenant, app, message, due_at, owner, claim, attempts, failures, seq)
            SELECT $1, $2, $3, $1, ",
            sqlite_now!(),
            ", 0, 0, 0, 0, last FROM outbox_work_seq WHERE changes() = 1"
        )
    };
}

const ACCEPT_ON_SQLITE: &str = accept_on_sqlite!("", " WHERE true");
const ACCEPT_KEYED_ON_SQLITE: &str = accept_on_sqlite!(
    concat!(
        "INSERT INTO dedup (tenant, app, key_hash, body_hash, message, expires_at)
            VALUES ($2, $3, $12, $13, $1, ",
        sqlite_now!(),
        " + $14)
            ON CONFLICT (tenant, app, key_hash) DO UPDATE SET body_hash = excluded.body_hash,
                message = excluded.message, expires_at = excluded.expires_at
            WHERE dedup.expires_at <= ",
        sqlite_now!(),
        ";"
    ),
    " WHERE changes() = 1"
);
/// How many rows those lists write for a new message.
const ROWS_ON_SQLITE: u64 = 4;
const ROWS_KEYED_ON_SQLITE: u64 = ROWS_ON_SQLITE + 1;

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

#[derive(FromQueryResult)]
struct KeyRow {
    message: Uuid,
    body_hash: Vec<u8>,
}

/// What stood in the way of a message that was not written.
enum Known {
    /// This very message: a rerun after an answer that was lost.
    Itself,
    /// An earlier publish of the same key and body.
    Earlier(MessageId),
    /// An earlier publish of the same key with another body.
    Conflict,
    /// Nothing any more: the key expired and was removed in between.
    Nothing,
}

#[async_trait]
impl MessageIntake for SqlStore {
    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        let AcceptMessage { message, dedup } = accept;
        if (message.tenant, message.application) != (scope.tenant(), scope.application()) {
            return Err(fault("the message is another application's").into());
        }
        let _turn = self.turn_to_accept().await?;
        for _ in 0..MAX_TRIES {
            let written = match self.database.dialect() {
                Dialect::Postgres => self.accept_on_postgres(&message, dedup.as_ref()).await?,
                Dialect::Sqlite => self.accept_on_sqlite(&message, dedup.as_ref()).await?,
            };
            if written {
                return Ok(Accepted::New);
            }
            match self.who_was_here(&message, dedup.as_ref()).await? {
                Known::Itself => return Ok(Accepted::New),
                Known::Earlier(id) => return Ok(Accepted::Replayed(id)),
                Known::Conflict => return Err(IntakeError::KeyConflict),
                Known::Nothing => {}
            }
        }
        Err(IntakeError::Store(StoreError::Unavailable(
            "the deduplication key expired again and again".into(),
        )))
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

impl SqlStore {
    /// Publishers wait here and not for connections, where they would hold up the engine and its lease.
    async fn turn_to_accept(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let turn = tokio::time::timeout(self.database.acquire_timeout(), self.accepting.acquire()).await;
        let turn =
            turn.map_err(|_| StoreError::Unavailable("too many messages are being accepted".into()))?;
        turn.map_err(|closed| StoreError::Internal(closed.into()))
    }

    /// Whether the message was written; if not, it or its key was there.
    async fn accept_on_postgres(
        &self,
        message: &Message,
        dedup: Option<&Dedup>,
    ) -> Result<bool, IntakeError> {
        let sql = if dedup.is_some() {
            ACCEPT_KEYED_ON_POSTGRES
        } else {
            ACCEPT_ON_POSTGRES
        };
        let statement = Dialect::Postgres.exactly(sql, values(message, dedup)?);
        match self.database.engine().execute_raw(statement).await {
            Ok(done) => Ok(done.rows_affected() == 1),
            Err(error) => self.after_failure(message.id, error).await,
        }
    }

    async fn accept_on_sqlite(&self, message: &Message, dedup: Option<&Dedup>) -> Result<bool, IntakeError> {
        let (sql, rows) = match dedup {
            None => (ACCEPT_ON_SQLITE, ROWS_ON_SQLITE),
            Some(_) => (ACCEPT_KEYED_ON_SQLITE, ROWS_KEYED_ON_SQLITE),
        };
        let statement = Dialect::Sqlite.exactly(sql, values(message, dedup)?);
        let transaction = self.database.begin(Scope::Engine).await?;
        let done = transaction.execute_raw(statement).await.or_store_error()?;
        // Nothing, or a key without its message: undone by dropping the transaction.
        if done.rows_affected() != rows {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The statement failed. If its connection was lost it may have been committed, which another connection can
    /// tell.
    async fn after_failure(&self, id: MessageId, error: DbErr) -> Result<bool, IntakeError> {
        let lost = lost_under_way(&error);
        let Err(error) = Err::<(), _>(error).or_store_error() else {
            return Ok(false);
        };
        if !lost {
            return Err(IntakeError::Store(error));
        }
        match self.database.is_stored_by_a_fresh_connection(id).await {
            Ok(true) => Ok(true),
            Ok(false) => Err(IntakeError::Store(error)),
            Err(_) => Err(IntakeError::OutcomeUnknown(error)),
        }
    }

    async fn who_was_here(&self, message: &Message, dedup: Option<&Dedup>) -> Result<Known, StoreError> {
        let Some(dedup) = dedup else {
            return self.is_this_message(message).await;
        };
        let statement = self.database.dialect().exactly(
            "SELECT message, body_hash FROM dedup WHERE tenant = $1 AND app = $2 AND key_hash = $3",
            [
                message.tenant.as_uuid().into(),
                message.application.as_uuid().into(),
                dedup.key_hash.to_vec().into(),
            ],
        );
        let row = self
            .database
            .read(Scope::Engine)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        let Some(row) = row else {
            return Ok(Known::Nothing);
        };
        let known = KeyRow::from_query_result(&row, "").or_store_error()?;
        if known.message == message.id.as_uuid() {
            return self.is_this_message(message).await;
        }
        Ok(if known.body_hash == dedup.body_hash {
            Known::Earlier(MessageId::from_uuid(known.message))
        } else {
            Known::Conflict
        })
    }

    /// A message of that id is stored. It must be this one: ids are ours, and never used twice.
    async fn is_this_message(&self, message: &Message) -> Result<Known, StoreError> {
        let statement = self.database.dialect().exactly(
            "SELECT m.id FROM messages m JOIN payloads p ON p.message = m.id
             WHERE m.id = $1 AND m.tenant = $2 AND m.app = $3 AND m.event_type = $4 AND p.body = $5",
            [
                message.id.as_uuid().into(),
                message.tenant.as_uuid().into(),
                message.application.as_uuid().into(),
                message.event_type.as_str().into(),
                message.payload.bytes().to_vec().into(),
            ],
        );
        let row = self
            .database
            .read(Scope::Engine)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        row.map(|_| Known::Itself)
            .ok_or_else(|| fault("the id of the message is another message's"))
    }
}

/// The parameters of all four statements.
fn values(message: &Message, dedup: Option<&Dedup>) -> Result<Vec<Value>, StoreError> {
    let payload_bytes = i64::try_from(message.payload.bytes().len());
    let mut values: Vec<Value> = vec![
        message.id.as_uuid().into(),
        message.tenant.as_uuid().into(),
        message.application.as_uuid().into(),
        message.event_type.as_str().into(),
        StoredTexts::of_channels(message.channels.iter()).into(),
        message.event_id.clone().into(),
        message.payload.content_type().as_str().into(),
        payload_bytes
            .map_err(|why| corrupt("length of a payload", why))?
            .into(),
        message.created_at.as_micros().into(),
        message
            .trace
            .as_ref()
            .map(|trace| trace.as_str().to_owned())
            .into(),
        message.payload.bytes().to_vec().into(),
    ];
    if let Some(dedup) = dedup {
        let window: Duration = dedup.window;
        values.extend([
            dedup.key_hash.to_vec().into(),
            dedup.body_hash.to_vec().into(),
            micros(window).into(),
        ]);
    }
    Ok(values)
}
