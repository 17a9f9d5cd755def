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
    error::{OrStoreError as _, corrupt, fault},
};

/// The queue's rows, due at once. Which deliveries are queued already, a unique index knows: those are left alone.
macro_rules! queue {
    ($columns:literal, $seq:literal, $pairs:literal, $order:literal) => {
        concat!(
            "INSERT INTO outbox_work
                (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes,
                asked_in",
            $columns,
            ")
            SELECT pair.two, m.tenant, m.app, m.id, {endpoint}, {now}, 0, 0, coalesce(d.attempts, 0), 0, m.payload_bytes,
                (SELECT r.asked_in FROM replays r WHERE r.tenant = {tenant} AND r.id = {replay})",
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

/// Up to so many rows of the queue of the endpoint's deliveries of these messages, by the unique
/// index, which is walked from the first message that was looked at to the last, whoever's they are.
const OUTSTANDING: &str = "
SELECT count(*) AS rows FROM (
    SELECT 1 FROM outbox_work w WHERE w.endpoint = $1 AND w.message > $2 AND w.message <= $3
        AND w.tenant = {tenant} LIMIT $4
) AS outstanding";

#[derive(FromQueryResult)]
struct Queued {
    message: Uuid,
    attempts: i32,
}

#[derive(FromQueryResult)]
struct Count {
    rows: i64,
}

/// Queues what is wanted; how many rows there are now that were not before.
pub(super) async fn queue(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
    wanted: &[Wanted],
    ids: &dyn Ids,
) -> Result<u32, StoreError> {
    if wanted.is_empty() {
        return Ok(0);
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
    let count = u32::try_from(queued.len()).map_err(|_| fault("more rows than a batch has"))?;
    if dialect == Dialect::Sqlite {
        let next = dialect.exactly(NEXT_SEQ_ON_SQLITE, [i64::from(count).into()]);
        transaction.execute_raw(next).await.or_store_error()?;
    }
    let known: HashSet<Uuid> = wanted
        .iter()
        .filter(|wanted| wanted.has_history)
        .map(|wanted| wanted.message)
        .collect();
    let again: Vec<&Queued> = queued.iter().filter(|row| known.contains(&row.message)).collect();
    resend(transaction, dialect, replay, &again).await?;
    Ok(count)
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

/// How many rows of the queue the messages have that the replay has looked at, up to `most`.
pub(super) async fn outstanding(
    transaction: &Transaction,
    dialect: Dialect,
    replay: &ReplayState,
    most: u32,
) -> Result<u32, StoreError> {
    let Some(cursor) = replay.cursor else {
        return Ok(0);
    };
    let first = crate::audit::least_id_from(replay.from);
    let values = [
        replay.endpoint.as_uuid().into(),
        first.into(),
        cursor.as_uuid().into(),
        i64::from(most).into(),
    ];
    let count = dialect.of_tenant(replay.tenant, OUTSTANDING, values)?;
    let row = transaction.query_one_raw(count).await.or_store_error()?;
    let row = row.ok_or_else(|| fault("a count has no row"))?;
    let rows = Count::from_query_result(&row, "").or_store_error()?.rows;
    u32::try_from(rows).map_err(|why| corrupt("count", why))
}
