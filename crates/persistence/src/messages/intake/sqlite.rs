//! Writing on SQLite: two lists of statements between BEGIN IMMEDIATE and COMMIT, and one more if somebody was there
//! before.
//!
//! Texts and numbers of a batch travel as JSON, an array for each row; what is bytes, one piece after the other, in one
//! value of which each row gets its pieces. So the statements' texts stay the same and are prepared once.

use std::collections::HashSet;

use postrider_application::ports::{StoreError, WriteError, Written};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Found, all_durable,
    batch::{Answers, Batch, Row},
    by_kind,
};
use crate::{
    SqlStore,
    codec::micros,
    connection::{Dialect, Scope, Transaction, sqlite_now},
    error::{OrStoreError as _, commit_failed, corrupt, fault, step_failed},
};

/// The ids of the row that `$n` describes, out of `$ids`: message, tenant, application.
macro_rules! id {
    ($ids:literal, $at:literal) => {
        concat!("substr(", $ids, ", key * 48 + ", $at, ", 16)")
    };
}
/// The key of the row that has one, out of `$2`: its place is the last of the row's columns.
macro_rules! key {
    ($place:literal) => {
        concat!("substr($2, ", $place, " * 64 + 1, 32)")
    };
}

/// Takes keys, and writes messages: `$1` ids; `$2` hashes of keys and bodies; `$3` for each row event type, channels,
/// event id, media type, length, creation, trace, the place of its hashes if it has a key, and when it is to be
/// delivered; `$4` for each key the row's number and microseconds to remember it.
const MESSAGES: &str = concat!(
    "INSERT INTO dedup (tenant, app, key_hash, body_hash, message, expires_at)
    SELECT substr($1, (value ->> 0) * 48 + 17, 16), substr($1, (value ->> 0) * 48 + 33, 16),
        substr($2, key * 64 + 1, 32), substr($2, key * 64 + 33, 32), substr($1, (value ->> 0) * 48 + 1, 16), ",
    sqlite_now!(),
    " + (value ->> 1) FROM json_each($4) WHERE true
    ON CONFLICT (tenant, app, key_hash) DO UPDATE SET body_hash = excluded.body_hash,
        message = excluded.message, expires_at = excluded.expires_at
    WHERE dedup.expires_at <= ",
    sqlite_now!(),
    ";
    INSERT INTO messages
        (id, tenant, app, event_type, channels, event_id, content_type, payload_bytes, created_at, trace, deliver_at)
    SELECT ",
    id!("$1", "1"),
    ", ",
    id!("$1", "17"),
    ", ",
    id!("$1", "33"),
    ", value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 8
    FROM json_each($3)
    WHERE (value ->> 7) IS NULL OR EXISTS (SELECT 1 FROM dedup d WHERE d.tenant = ",
    id!("$1", "17"),
    " AND d.app = ",
    id!("$1", "33"),
    " AND d.key_hash = ",
    key!("(value ->> 7)"),
    " AND d.message = ",
    id!("$1", "1"),
    ")
    ON CONFLICT (id) DO NOTHING RETURNING id"
);

/// Writes payloads and queue rows of the messages that were stored: `$1` their ids; `$2` how many there are; `$3` all
/// payloads; `$4` for each message where its payload begins, its length, the owner, and when it is to be delivered. A
/// piece of nothing is null, and here means no bytes.
const REST: &str = concat!(
    "INSERT INTO payloads (message, tenant, body)
    SELECT ",
    id!("$1", "1"),
    ", ",
    id!("$1", "17"),
    ", coalesce(substr($3, value ->> 0, value ->> 1), x'') FROM json_each($4);
    UPDATE outbox_work_seq SET last = last + $2;
    INSERT INTO outbox_work
        (id, tenant, app, message, due_at, owner, claim, attempts, failures, seq, payload_bytes)
    SELECT ",
    id!("$1", "1"),
    ", ",
    id!("$1", "17"),
    ", ",
    id!("$1", "33"),
    ", ",
    id!("$1", "1"),
    ", max(",
    sqlite_now!(),
    ", coalesce(value ->> 3, 0)), value ->> 2, 0, 0, 0, (SELECT last FROM outbox_work_seq) - $2 + 1 + key, value ->> 1
    FROM json_each($4)
    RETURNING id, coalesce((SELECT endpoints_version FROM applications a
        WHERE a.tenant = outbox_work.tenant AND a.id = outbox_work.app), 0) AS endpoints_version"
);

/// Who was there before: `$1` ids; `$2` hashes; `$3` for each row its number, event type, channels, event id, media
/// type, length, creation, where its payload begins, the place of its hashes if it has a key, and when it is to be
/// delivered; `$4` all payloads. A message that is there already must be this one: a rerun. A payload that was expunged
/// cannot be compared any more.
const LOOK: &str = concat!(
    "SELECT value ->> 0 AS number, m.id IS NOT NULL AS there,
        coalesce(m.tenant = ",
    id!("$1", "17"),
    " AND m.app = ",
    id!("$1", "33"),
    " AND m.event_type = value ->> 1 AND m.channels = value ->> 2 AND m.event_id IS value ->> 3
        AND m.content_type = value ->> 4 AND m.payload_bytes = value ->> 5 AND m.created_at = value ->> 6
        AND m.deliver_at IS (value ->> 9)
        AND (m.payload_expunged_at IS NOT NULL OR p.body IS coalesce(substr($4, value ->> 7, value ->> 5), x'')),
        false) AS itself,
        coalesce((SELECT endpoints_version FROM applications a WHERE a.tenant = ",
    id!("$1", "17"),
    " AND a.id = ",
    id!("$1", "33"),
    "), 0) AS endpoints_version, d.message AS holder, d.body_hash
    FROM json_each($3)
    LEFT JOIN messages m ON m.id = ",
    id!("$1", "1"),
    " LEFT JOIN payloads p ON p.message = m.id
    LEFT JOIN dedup d ON d.tenant = ",
    id!("$1", "17"),
    " AND d.app = ",
    id!("$1", "33"),
    " AND d.key_hash = ",
    key!("(value ->> 8)"),
    " AND d.expires_at > ",
    sqlite_now!()
);

#[derive(FromQueryResult)]
struct Stored {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Queued {
    id: Uuid,
    endpoints_version: i64,
}

#[derive(FromQueryResult)]
struct Looked {
    number: i32,
    there: bool,
    itself: bool,
    endpoints_version: i64,
    holder: Option<Uuid>,
    body_hash: Option<Vec<u8>>,
}

/// The ids of rows, one after the other.
fn ids<'r>(rows: impl IntoIterator<Item = &'r Row<'r>>) -> Vec<u8> {
    let ids = rows.into_iter().flat_map(|row| [row.id, row.tenant, row.app]);
    ids.flat_map(Uuid::into_bytes).collect()
}

/// The hashes of the rows that have a key, one after the other.
fn hashes<'r>(rows: impl IntoIterator<Item = &'r Row<'r>>) -> Vec<u8> {
    let keyed = rows.into_iter().filter_map(|row| row.dedup);
    let hashes = keyed.flat_map(|dedup| [dedup.key_hash, dedup.body_hash]);
    hashes.flatten().collect()
}

/// With each row, the place of its hashes.
fn with_places<'r>(
    rows: impl IntoIterator<Item = &'r Row<'r>>,
) -> impl Iterator<Item = (&'r Row<'r>, Option<usize>)> {
    let mut keys = 0..;
    rows.into_iter()
        .map(move |row| (row, row.dedup.and_then(|_| keys.next())))
}

fn json(rows: &impl Serialize) -> Result<sea_orm::Value, StoreError> {
    let text = serde_json::to_string(rows).map_err(|why| corrupt("batch", why))?;
    Ok(text.into())
}

impl Batch<'_> {
    fn all_payloads(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.payload_bytes());
        self.payloads().for_each(|payload| all.extend_from_slice(payload));
        all
    }

    /// The parameters of [`MESSAGES`].
    fn messages(&self) -> Result<[sea_orm::Value; 4], StoreError> {
        let row = |(row, place): (&'_ Row<'_>, Option<usize>)| {
            let message = row.message;
            let trace = message.trace.as_ref().map(|trace| trace.as_str().to_owned());
            (
                message.event_type.as_str().to_owned(),
                row.channels.clone(),
                message.event_id.clone(),
                message.payload.content_type().as_str().to_owned(),
                row.payload_bytes,
                message.created_at.as_micros(),
                trace,
                place,
                row.deliver_at,
            )
        };
        let rows: Vec<_> = with_places(&self.rows).map(row).collect();
        let key = |(number, row): (usize, &Row<'_>)| row.dedup.map(|dedup| (number, micros(dedup.window)));
        let keys: Vec<_> = self.rows.iter().enumerate().filter_map(key).collect();
        Ok([
            ids(&self.rows).into(),
            hashes(&self.rows).into(),
            json(&rows)?,
            json(&keys)?,
        ])
    }
}

/// Writes keys and messages; the rows that were stored.
async fn write_messages<'b>(
    batch: &'b Batch<'b>,
    transaction: &Transaction,
) -> Result<Vec<&'b Row<'b>>, WriteError> {
    let values = batch.messages().map_err(WriteError::Refused)?;
    let statement = Dialect::Sqlite.exactly(MESSAGES, values);
    let stored = transaction.query_all_raw(statement).await;
    let stored = stored.map_err(|error| step_failed(&error))?;
    if stored.len() == batch.rows.len() {
        return Ok(batch.rows.iter().collect());
    }
    let id = |row| {
        Stored::from_query_result(row, "")
            .map(|row| row.id)
            .or_store_error()
    };
    let stored: Result<HashSet<Uuid>, _> = stored.iter().map(id).collect();
    let stored = stored.map_err(WriteError::Refused)?;
    Ok(batch.rows.iter().filter(|row| stored.contains(&row.id)).collect())
}

/// Writes payloads and queue rows of the stored ones; the versions of their applications' endpoints.
async fn write_rest(
    batch: &Batch<'_>,
    stored: &[&Row<'_>],
    transaction: &Transaction,
) -> Result<Vec<(Uuid, i64)>, WriteError> {
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(stored.len()).map_err(|why| corrupt("length of a batch", why));
    let rows: Vec<_> = stored
        .iter()
        .map(|row| (row.begins, row.payload_bytes, row.owner, row.deliver_at))
        .collect();
    let values = [
        ids(stored.iter().copied()).into(),
        count.map_err(WriteError::Refused)?.into(),
        batch.all_payloads().into(),
        json(&rows).map_err(WriteError::Refused)?,
    ];
    let queued = transaction
        .query_all_raw(Dialect::Sqlite.exactly(REST, values))
        .await;
    let queued = queued.map_err(|error| step_failed(&error))?;
    let version = |row| {
        let row = Queued::from_query_result(row, "").or_store_error()?;
        Ok((row.id, row.endpoints_version))
    };
    queued
        .iter()
        .map(version)
        .collect::<Result<_, _>>()
        .map_err(WriteError::Refused)
}

/// Looks who was there before the rows that have no answer yet.
async fn look(
    batch: &Batch<'_>,
    answers: &mut Answers<'_>,
    transaction: &Transaction,
) -> Result<(), StoreError> {
    let missing = answers.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let rows = || missing.iter().map(|(_, row)| *row);
    let describe = |((number, _), (row, place)): (&(i32, &Row<'_>), (&Row<'_>, Option<usize>))| {
        let message = row.message;
        (
            *number,
            message.event_type.as_str().to_owned(),
            row.channels.clone(),
            message.event_id.clone(),
            message.payload.content_type().as_str().to_owned(),
            row.payload_bytes,
            message.created_at.as_micros(),
            row.begins,
            place,
            row.deliver_at,
        )
    };
    let described: Vec<_> = missing.iter().zip(with_places(rows())).map(describe).collect();
    let values = [
        ids(rows()).into(),
        hashes(rows()).into(),
        json(&described)?,
        batch.all_payloads().into(),
    ];
    let looked = transaction
        .query_all_raw(Dialect::Sqlite.exactly(LOOK, values))
        .await;
    for row in &looked.or_store_error()? {
        let row = Looked::from_query_result(row, "").or_store_error()?;
        if row.there && !row.itself {
            return Err(fault("the id of the message is another message's"));
        }
        let found = Found {
            itself: row.itself,
            endpoints_version: row.endpoints_version,
            holder: row.holder.zip(row.body_hash),
        };
        answers.found(row.number, &found)?;
    }
    Ok(())
}

impl SqlStore {
    /// With `all`, everything or nothing.
    pub(super) async fn write_on_sqlite(
        &self,
        batch: &Batch<'_>,
        all: bool,
    ) -> Result<Vec<Written>, WriteError> {
        let transaction = self
            .database
            .begin(Scope::Engine)
            .await
            .map_err(WriteError::Unavailable)?;
        let stored = write_messages(batch, &transaction).await?;
        let versions = write_rest(batch, &stored, &transaction).await?;
        let mut answers = Answers::of(batch, versions).map_err(WriteError::Refused)?;
        look(batch, &mut answers, &transaction).await.map_err(by_kind)?;
        let answers = answers.finish().map_err(WriteError::Refused)?;
        if !stored.is_empty() && (!all || all_durable(&answers)) {
            let committed = transaction.try_commit().await;
            committed.map_err(|error| commit_failed(&error))?;
        }
        Ok(answers)
    }
}
