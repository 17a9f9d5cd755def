//! Events that were set aside. One that a subscriber refused has attempts; one that waits for it has none.

use postrider_application::ports::{AggregateKey, Blocked, BlockedAggregate, SetAside, StoreError};
use postrider_domain::TenantId;
use sea_orm::{FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::{
    codec::{read_count, stored_count},
    connection::Dialect,
    error::OrStoreError as _,
};

/// How many rows one statement writes: far below how many parameters either database takes.
const AT_ONCE: usize = 200;

const BLOCKED: &str = "
SELECT tenant, aggregate, CAST(count(*) AS bigint) AS events,
    max(CASE WHEN later_in_log THEN 1 ELSE 0 END) = 1 AS later_in_log
FROM dead_letters WHERE subscriber = $1
GROUP BY tenant, aggregate";

/// What is asked for, and what waits for nothing: the one before it was delivered, and then its node died.
const AGAIN: &str = "
SELECT d.position, d.tenant, d.aggregate, d.kind, d.attempts, d.error, d.discarded, d.later_in_log FROM dead_letters d
WHERE d.subscriber = $1 AND (d.again OR d.discarded OR (d.attempts = 0 AND NOT EXISTS (
    SELECT 1 FROM dead_letters e WHERE e.subscriber = d.subscriber AND e.aggregate = d.aggregate
        AND (e.tenant = d.tenant OR (e.tenant IS NULL AND d.tenant IS NULL)) AND e.position < d.position
))) ORDER BY d.position LIMIT $2";

const FIRST_OF: &str = "
SELECT position, tenant, aggregate, kind, attempts, error, discarded, later_in_log FROM dead_letters
WHERE subscriber = $1 AND aggregate = $2 AND {of_tenant} ORDER BY position LIMIT 1";

macro_rules! fenced {
    () => {
        " WHERE subscriber = $1 AND position = $2
            AND EXISTS (SELECT 1 FROM relay_cursors c WHERE c.subscriber = $1 AND c.owner = $3)"
    };
}

/// `$1` subscriber, `$2` position, `$3` the node that holds the cursor.
pub(super) const DELIVERED: &str = concat!("DELETE FROM dead_letters", fenced!());

/// The same, and `$4` how often it was refused, `$5` the code of the error.
pub(super) const REFUSED_AGAIN: &str = concat!(
    "UPDATE dead_letters SET attempts = attempts + $4, error = $5, again = false",
    fenced!()
);

/// Wants one delivered again: `$1` subscriber, `$2` position. What waits for another is not asked for.
pub(super) const RETRIED: &str = "UPDATE dead_letters SET again = true
    WHERE subscriber = $1 AND position = $2 AND attempts > 0 AND NOT discarded";

/// Gives one up: `$1` subscriber, `$2` position. What waits for another is not given up.
pub(super) const DISCARDED: &str = "UPDATE dead_letters SET discarded = true
    WHERE subscriber = $1 AND position = $2 AND attempts > 0 AND NOT discarded";

/// How many wait for it.
pub(super) const HELD_BACK: &str = "
SELECT CAST(count(*) AS integer) AS events FROM dead_letters d
JOIN dead_letters w ON w.subscriber = d.subscriber AND w.aggregate = d.aggregate AND w.attempts = 0
    AND (w.tenant = d.tenant OR (w.tenant IS NULL AND d.tenant IS NULL))
WHERE d.subscriber = $1 AND d.position = $2";

/// What was just set aside of tenants that are being deleted: nobody is to hear of it any more, and the eraser may have
/// been here. `$1` subscriber, `$2` the first position.
pub(super) const OF_GONE: &str = "DELETE FROM dead_letters
    WHERE subscriber = $1 AND position >= $2 AND tenant IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM tenants t WHERE t.id = dead_letters.tenant AND t.status <> 'deleting')";

/// Wants all delivered again that were refused with that error: `$1` subscriber, `$2` the error's code.
pub(super) const RECONSIDERED: &str =
    "UPDATE dead_letters SET again = true WHERE subscriber = $1 AND error = $2";

#[derive(FromQueryResult)]
pub(super) struct AsideRow {
    position: i64,
    tenant: Option<Uuid>,
    aggregate: String,
    kind: String,
    attempts: i32,
    error: Option<String>,
    discarded: bool,
    later_in_log: bool,
}

impl AsideRow {
    pub(super) fn read(row: &QueryResult) -> Result<SetAside, StoreError> {
        let row = Self::from_query_result(row, "").or_store_error()?;
        Ok(SetAside {
            position: row.position,
            of: AggregateKey {
                tenant: row.tenant.map(TenantId::from_uuid),
                aggregate: row.aggregate,
            },
            kind: row.kind,
            attempts: read_count("attempts", row.attempts)?,
            error: row.error,
            discarded: row.discarded,
            later_in_log: row.later_in_log,
        })
    }
}

#[derive(FromQueryResult)]
struct BlockedRow {
    tenant: Option<Uuid>,
    aggregate: String,
    events: i64,
    later_in_log: bool,
}

pub(super) fn blocked(dialect: Dialect, subscriber: &str) -> Statement {
    dialect.exactly(BLOCKED, [subscriber.into()])
}

pub(super) fn read_blocked(rows: &[QueryResult]) -> Result<Blocked, StoreError> {
    let mut blocked = Blocked::default();
    for row in rows {
        let row = BlockedRow::from_query_result(row, "").or_store_error()?;
        blocked.aggregates.push(BlockedAggregate {
            of: AggregateKey {
                tenant: row.tenant.map(TenantId::from_uuid),
                aggregate: row.aggregate,
            },
            // A count is not negative.
            events: u64::try_from(row.events).unwrap_or(0),
            later_in_log: row.later_in_log,
        });
    }
    Ok(blocked)
}

pub(super) fn to_deliver_again(dialect: Dialect, subscriber: &str, limit: u32) -> Statement {
    dialect.exactly(AGAIN, [subscriber.into(), i64::from(limit).into()])
}

pub(super) fn first_of(dialect: Dialect, subscriber: &str, of: &AggregateKey) -> Statement {
    let mut values: Vec<Value> = vec![subscriber.into(), of.aggregate.as_str().into()];
    let condition = if let Some(tenant) = of.tenant {
        values.push(tenant.as_uuid().into());
        "tenant = $3"
    } else {
        "tenant IS NULL"
    };
    dialect.exactly(FIRST_OF.replace("{of_tenant}", condition), values)
}

/// The statements that write what is set aside; what is there already stays as it is.
pub(super) fn set_aside(
    dialect: Dialect,
    subscriber: &str,
    aside: &[SetAside],
) -> Result<Vec<Statement>, StoreError> {
    aside
        .chunks(AT_ONCE)
        .map(|some| insert(dialect, subscriber, some))
        .collect()
}

fn insert(dialect: Dialect, subscriber: &str, some: &[SetAside]) -> Result<Statement, StoreError> {
    const COLUMNS: usize = 9;
    let mut values: Vec<Value> = Vec::with_capacity(some.len() * COLUMNS);
    let mut rows = Vec::with_capacity(some.len());
    for one in some {
        let first = values.len() + 1;
        let places: Vec<String> = (first..first + COLUMNS)
            .map(|place| format!("${place}"))
            .collect();
        rows.push(format!("({}, {{now}})", places.join(", ")));
        values.extend([
            subscriber.into(),
            one.position.into(),
            one.of.tenant.map(|tenant| tenant.as_uuid()).into(),
            one.of.aggregate.as_str().into(),
            one.kind.as_str().into(),
            stored_count("attempts", one.attempts)?.into(),
            one.error.clone().into(),
            one.discarded.into(),
            one.later_in_log.into(),
        ]);
    }
    let sql = format!(
        "INSERT INTO dead_letters
            (subscriber, position, tenant, aggregate, kind, attempts, error, discarded, later_in_log, set_aside_at)
         VALUES {} ON CONFLICT (subscriber, position) DO NOTHING",
        rows.join(", ")
    );
    Ok(dialect.statement(&sql, values))
}
