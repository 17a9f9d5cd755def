//! What a resend does to one delivery, to many at a time.

use std::collections::HashSet;

use postrider_application::ports::{Ids, StoreError};
use postrider_domain::replays::ReplayState;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use super::candidates::{Wanted, deliverable};
use crate::{
    batch::{JsonRows, pairs},
    connection::{Dialect, Transaction},
    error::{OrStoreError as _, corrupt},
};

/// The queue's rows, due at once, and marked as asked for even if no trace is. Which deliveries are queued already, a unique index knows: those are left alone.
macro_rules! queue {
    ($columns:literal, $seq:literal, $pairs:literal, $order:literal) => {
        concat!(
            "INSERT INTO outbox_work
                (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes,
                asked_in",
            $columns,
            ")
            SELECT pair.two, m.tenant, m.app, m.id, {endpoint}, {now}, 0, 0, coalesce(d.attempts, 0), 0, m.payload_bytes,
                coalesce((SELECT r.asked_in FROM replays r WHERE r.tenant = {tenant} AND r.id = {replay}), '')",
            $seq,
            " FROM ",
            $pairs,
            " JOIN messages m ON m.id = pair.one AND m.tenant = {tenant} AND m.app = {app}
            LEFT JOIN deliveries d ON d.message = m.id AND d.endpoint = {endpoint}
            WHERE (d.status IS NULL OR d.status <> 'pending') AND ",
            deliverable!("{endpoint}"),
            " ",
            $order,
            " ON CONFLICT (message, endpoint) WHERE endpoint IS NOT NULL DO NOTHING RETURNING message, attempts"
        )
    };
}
const QUEUE_ON_POSTGRES: &str = queue!(
    "",
    "",
    "unnest($1::uuid[], $2::uuid[]) AS pair(one, two)",
    "ORDER BY m.id"
);
const QUEUE_ON_SQLITE: &str = queue!(
    ", seq",
    ", (SELECT last FROM outbox_work_seq) + row_number() OVER (ORDER BY m.id)",
    "(SELECT unhex(value ->> 0) AS one, unhex(value ->> 1) AS two FROM json_each($1)) AS pair",
    ""
);
const NEXT_SEQ_ON_SQLITE: &str = "UPDATE outbox_work_seq SET last = last + $1";

/// Pending again, with the whole schedule before it, if it has as many attempts as when it was queued.
const PENDING_ON_POSTGRES: &str = "
UPDATE deliveries d SET status = 'pending', reason = NULL, due_at = {now}, failures = 0, updated_at = {now}
FROM unnest($1::uuid[], $2::int[]) AS q (message, attempts)
WHERE d.message = q.message AND d.endpoint = $3 AND d.tenant = {tenant} AND d.attempts = q.attempts
    AND d.status <> 'pending'";
const PENDING_ON_SQLITE: &str = "
UPDATE deliveries SET status = 'pending', reason = NULL, due_at = {now}, failures = 0, updated_at = {now}
FROM (SELECT unhex(value ->> 0) AS message, value ->> 1 AS attempts FROM json_each($1)) AS q
WHERE deliveries.message = q.message AND deliveries.endpoint = $2 AND deliveries.tenant = {tenant}
    AND deliveries.attempts = q.attempts AND deliveries.status <> 'pending'";

/// Which of these messages still have a row in the queue for that endpoint: each by its key. In a select of its own,
/// so that it never becomes a join that reads the whole queue.
macro_rules! outstanding {
    ($messages:literal, $endpoint:literal) => {
        concat!(
            "SELECT o.message FROM ",
            $messages,
            " WHERE (SELECT w.message FROM outbox_work w
                WHERE w.message = o.message AND w.endpoint = ",
            $endpoint,
            " AND w.tenant = {tenant} LIMIT 1) IS NOT NULL"
        )
    };
}
const OUTSTANDING_ON_POSTGRES: &str = outstanding!("unnest($1::uuid[]) AS o (message)", "$2");
const OUTSTANDING_ON_SQLITE: &str = outstanding!(
    "(SELECT unhex(value ->> 0) AS message FROM json_each($1)) AS o",
    "$2"
);
const NOTED: &str = "SELECT outstanding FROM replays WHERE tenant = {tenant} AND id = $1";
const NOTE: &str = "UPDATE replays SET outstanding = $1 WHERE tenant = {tenant} AND id = $2";

#[derive(FromQueryResult)]
struct Queued {
    message: Uuid,
    attempts: i32,
}

#[derive(FromQueryResult)]
struct Noted {
    outstanding: Option<Vec<u8>>,
}

#[derive(FromQueryResult)]
struct Outstanding {
    message: Uuid,
}

/// Queues what is wanted; the messages of the rows that there are now and were not before.
pub(super) async fn queue(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
    wanted: &[Wanted],
    ids: &dyn Ids,
) -> Result<Vec<Uuid>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Uuid)> = wanted.iter().map(|wanted| (wanted.message, ids.next())).collect();
    let mut values = pairs(dialect, &rows);
    let (endpoint, app, id) = (values.len() + 1, values.len() + 2, values.len() + 3);
    values.extend([
        replay.endpoint.as_uuid().into(),
        replay.application.as_uuid().into(),
        replay.id.as_uuid().into(),
    ]);
    let sql = dialect
        .choose(QUEUE_ON_POSTGRES, QUEUE_ON_SQLITE)
        .replace("{endpoint}", &format!("${endpoint}"))
        .replace("{app}", &format!("${app}"))
        .replace("{replay}", &format!("${id}"));
    let statement = dialect.of_tenant(replay.tenant, &sql, values)?;
    let queued = transaction.query_all_raw(statement).await.or_store_error()?;
    let queued: Vec<Queued> = queued
        .iter()
        .map(|row| Queued::from_query_result(row, "").or_store_error())
        .collect::<Result<_, _>>()?;
    if dialect == Dialect::Sqlite {
        let count = i64::try_from(queued.len()).map_err(|why| corrupt("count", why))?;
        let next = dialect.exactly(NEXT_SEQ_ON_SQLITE, [count.into()]);
        transaction.execute_raw(next).await.or_store_error()?;
    }
    let known: HashSet<Uuid> = wanted
        .iter()
        .filter(|wanted| wanted.has_history)
        .map(|wanted| wanted.message)
        .collect();
    let again: Vec<&Queued> = queued.iter().filter(|row| known.contains(&row.message)).collect();
    resend(transaction, dialect, replay, &again).await?;
    Ok(queued.iter().map(|row| row.message).collect())
}

/// What is known of these deliveries, goes on. Where somebody else was at one of them in between, all of it is void, and
/// done again.
async fn resend(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
    again: &[&Queued],
) -> Result<(), StoreError> {
    if again.is_empty() {
        return Ok(());
    }
    let mut values: Vec<Value> = match dialect {
        Dialect::Postgres => {
            let (messages, attempts): (Vec<Uuid>, Vec<i32>) =
                again.iter().map(|row| (row.message, row.attempts)).unzip();
            vec![messages.into(), attempts.into()]
        }
        Dialect::Sqlite => {
            let mut rows = JsonRows::default();
            for row in again {
                rows.row().id(row.message).number(row.attempts);
            }
            vec![rows.value()]
        }
    };
    values.push(replay.endpoint.as_uuid().into());
    let sql = dialect.choose(PENDING_ON_POSTGRES, PENDING_ON_SQLITE);
    let pending = dialect.of_tenant(replay.tenant, sql, values)?;
    let pending = transaction.execute_raw(pending).await.or_store_error()?;
    if pending.rows_affected() == again.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Stale)
    }
}

/// The messages of the rows that the replay has put into the queue and that are still there.
pub(super) async fn outstanding(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
) -> Result<Vec<Uuid>, StoreError> {
    let noted = dialect.of_tenant(replay.tenant, NOTED, [replay.id.as_uuid().into()])?;
    let noted = transaction.query_one_raw(noted).await.or_store_error()?;
    let noted = noted.map(|row| Noted::from_query_result(&row, ""));
    let noted = noted.transpose().or_store_error()?;
    let Some(bytes) = noted.and_then(|noted| noted.outstanding) else {
        return Ok(Vec::new());
    };
    let (ids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(corrupt("what a replay has in the queue", "it is no list of ids"));
    }
    let messages = ids.iter().copied().map(Uuid::from_bytes);
    let messages: Value = match dialect {
        Dialect::Postgres => messages.collect::<Vec<_>>().into(),
        Dialect::Sqlite => {
            let mut rows = JsonRows::default();
            for message in messages {
                rows.row().id(message);
            }
            rows.value()
        }
    };
    let sql = dialect.choose(OUTSTANDING_ON_POSTGRES, OUTSTANDING_ON_SQLITE);
    let values = [messages, replay.endpoint.as_uuid().into()];
    let statement = dialect.of_tenant(replay.tenant, sql, values)?;
    let rows = transaction.query_all_raw(statement).await.or_store_error()?;
    rows.iter()
        .map(|row| Ok(Outstanding::from_query_result(row, "").or_store_error()?.message))
        .collect()
}

/// Notes what the replay has in the queue.
pub(super) async fn note(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
    outstanding: &[Uuid],
) -> Result<(), StoreError> {
    let bytes: Vec<u8> = outstanding.iter().flat_map(Uuid::as_bytes).copied().collect();
    let noted = (!bytes.is_empty()).then_some(bytes);
    let values = [noted.into(), replay.id.as_uuid().into()];
    let note = dialect.of_tenant(replay.tenant, NOTE, values)?;
    transaction.execute_raw(note).await.or_store_error().map(drop)
}
