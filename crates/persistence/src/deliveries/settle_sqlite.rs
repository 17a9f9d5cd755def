//! Settling on SQLite: two lists of statements between BEGIN IMMEDIATE and COMMIT, however large the batch. Batches
//! travel as JSON, an array for each row, so that the statements' texts stay the same and are prepared once.

use std::collections::{BTreeMap, HashMap};

use postrider_application::ports::{Epoch, StoreError};
use postrider_domain::{WorkId, deliveries::FailureClass};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use super::{
    failed::{self, Failed},
    settle::{AttemptChange, Batch, Conclusion, Opened, PARKED, SettledRow},
};
use crate::{
    SqlStore,
    batch::{JsonRows, pairs},
    connection::{Dialect, Scope, Transaction, sqlite_now},
    error::{OrStoreError as _, fault},
    health::last_at_step,
};

/// Only rows that are still held, under that claim, are gone. `$2`: id, claim. The plus keeps the planner from
/// walking through all that the node owns, by the index on owners, instead of reaching each row by its key.
const GONE: &str = "
DELETE FROM outbox_work
WHERE +owner = $1 AND (id, claim) IN (SELECT unhex(value ->> 0), value ->> 1 FROM json_each($2))
RETURNING id, claim, tenant, app, message, endpoint, due_at, seq, payload_bytes";

/// Everything else, for those alone.
///
/// `$1`: message, endpoint, tenant, app, status, reason, microseconds until the retry, attempts, failures.
/// `$2`: message, endpoint, number, tenant, start, latency, failure, HTTP status, body, truncated, headers or null; an
/// attempt of a number that is there already is not written over: history is never changed.
/// `$3`: id, tenant, app, message, endpoint, due time or null, else microseconds until it, owner, claim, attempts,
/// failures, seq, size of the payload.
/// `$4`: endpoints that fail no more. `$5`: endpoint, tenant, app: those that have only failed, unless they were
/// disabled or deleted meanwhile. `$6`: how much later than their last failure this one must be to be noted, in
/// microseconds.
const WRITTEN: &str = concat!(
    "INSERT INTO deliveries (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
    SELECT unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), unhex(value ->> 3), value ->> 4, value ->> 5, ",
    sqlite_now!(),
    " + (value ->> 6), value ->> 7, value ->> 8, ",
    sqlite_now!(),
    " FROM json_each($1) WHERE true
    ON CONFLICT (message, endpoint) DO UPDATE SET status = excluded.status, reason = excluded.reason,
        due_at = excluded.due_at, attempts = excluded.attempts, failures = excluded.failures,
        updated_at = excluded.updated_at;
    INSERT INTO attempts
        (message, endpoint, n, tenant, started_at, latency_us, failure, http_status, body, body_truncated,
        response_headers)
    SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5,
        value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9, CAST(unhex(value ->> 10) AS TEXT)
    FROM json_each($2) WHERE true ON CONFLICT (message, endpoint, n) DO NOTHING;
    INSERT INTO outbox_work
        (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes)
    SELECT unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), unhex(value ->> 3), unhex(value ->> 4),
        coalesce(value ->> 5, ",
    sqlite_now!(),
    " + (value ->> 6)), value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
    FROM json_each($3);
    DELETE FROM endpoint_failures WHERE endpoint IN (SELECT unhex(value ->> 0) FROM json_each($4));
    INSERT INTO endpoint_failures (endpoint, tenant, app, since, last_at)
    SELECT e.id, e.tenant, e.app, ",
    sqlite_now!(),
    ", ",
    sqlite_now!(),
    " FROM json_each($5)
    JOIN endpoints e ON e.tenant = unhex(value ->> 1) AND e.app = unhex(value ->> 2) AND e.id = unhex(value ->> 0)
    WHERE e.disabled_at IS NULL
    ON CONFLICT (endpoint) DO UPDATE SET last_at = excluded.last_at
        WHERE endpoint_failures.last_at <= excluded.last_at - $6"
);

/// Appends to the log.
const TELL: &str = "
INSERT INTO outbox_events (tenant, aggregate, version, kind, body, recorded_at) VALUES ($1, $2, 1, $3, $4, {now})";

/// A row that is gone.
#[derive(FromQueryResult)]
struct Gone {
    id: Uuid,
    claim: i32,
    tenant: Uuid,
    app: Uuid,
    message: Uuid,
    endpoint: Option<Uuid>,
    due_at: i64,
    seq: i64,
    payload_bytes: i32,
}

impl Gone {
    /// That the settlement is about this row.
    fn check(&self, settled: &SettledRow) -> Result<(), StoreError> {
        let same_message = settled.message.is_none_or(|message| message == self.message);
        let same_endpoint = match self.endpoint {
            Some(endpoint) => settled.only == Some(endpoint),
            None => true,
        };
        if same_message && same_endpoint {
            Ok(())
        } else {
            Err(fault("a settlement is not about its row"))
        }
    }
}

/// What is written for the rows that are gone.
#[derive(Default)]
struct Writes {
    deliveries: JsonRows,
    attempts: JsonRows,
    work: JsonRows,
    /// Whose health an attempt tells something of: its tenant and application, and whether all of its attempts failed.
    endpoints: BTreeMap<Uuid, (Uuid, Uuid, bool)>,
}

impl Writes {
    fn open(&mut self, node: Epoch, from: &Gone, new: &Opened) {
        self.work
            .row()
            .id(new.id)
            .id(from.tenant)
            .id(from.app)
            .id(from.message)
            .id(new.endpoint)
            .number(from.due_at)
            .null()
            .number(if new.parked { PARKED } else { node.0 })
            .number(new.claim())
            .number(0)
            .number(0)
            .number(from.seq)
            .number(from.payload_bytes);
    }

    fn conclude(&mut self, gone: &Gone, conclusion: &Conclusion) {
        self.deliveries
            .row()
            .id(gone.message)
            .id(conclusion.endpoint)
            .id(gone.tenant)
            .id(gone.app)
            .word(Some(conclusion.status))
            .word(conclusion.reason)
            .number_or_null(conclusion.retry.map(|(_, after)| after))
            .number(conclusion.attempts)
            .number(conclusion.failures);
        if let Some(attempt) = &conclusion.attempt {
            self.attempt(gone, conclusion, attempt);
        }
        if let Some((id, after)) = conclusion.retry {
            self.work
                .row()
                .id(id)
                .id(gone.tenant)
                .id(gone.app)
                .id(gone.message)
                .id(conclusion.endpoint)
                .null()
                .number(after)
                .number(0)
                .number(0)
                .number(conclusion.attempts)
                .number(conclusion.failures)
                .number(gone.seq)
                .number(gone.payload_bytes);
        }
    }

    fn attempt(&mut self, gone: &Gone, conclusion: &Conclusion, attempt: &AttemptChange) {
        let row = self
            .attempts
            .row()
            .id(gone.message)
            .id(conclusion.endpoint)
            .number(conclusion.attempts)
            .id(gone.tenant)
            .number(attempt.started_at)
            .number(attempt.latency_us)
            .word(attempt.failure)
            .number_or_null(attempt.http_status)
            .bytes(&attempt.body)
            .flag(attempt.truncated);
        // A row is written when it is let go.
        drop(match &attempt.headers {
            Some(headers) => row.bytes(headers.as_bytes()),
            None => row.null(),
        });
        if let Some(failed) = tells_failure(attempt) {
            let known = self.endpoints.entry(conclusion.endpoint);
            known.or_insert((gone.tenant, gone.app, true)).2 &= failed;
        }
    }

    /// As the parameters of [`WRITTEN`].
    fn values(self) -> [sea_orm::Value; 6] {
        let (mut healthy, mut failing) = (JsonRows::default(), JsonRows::default());
        for (endpoint, (tenant, app, only_failed)) in self.endpoints {
            if only_failed {
                failing.row().id(endpoint).id(tenant).id(app);
            } else {
                healthy.row().id(endpoint);
            }
        }
        let [deliveries, attempts, work, healthy, failing] =
            [self.deliveries, self.attempts, self.work, healthy, failing].map(JsonRows::value);
        [
            deliveries,
            attempts,
            work,
            healthy,
            failing,
            last_at_step().into(),
        ]
    }
}

/// Whether the attempt failed, if it tells anything of its endpoint's health.
fn tells_failure(attempt: &AttemptChange) -> Option<bool> {
    match (attempt.failure, attempt.http_status) {
        (None, _) => Some(false),
        (Some(_), Some(410)) => None,
        (Some(class), _) if class == FailureClass::Internal.as_str() => None,
        (Some(_), _) => Some(true),
    }
}

impl SqlStore {
    pub(super) async fn settle_on_sqlite(
        &self,
        node: Epoch,
        batch: &Batch,
    ) -> Result<Vec<WorkId>, StoreError> {
        let mut claimed = JsonRows::default();
        for row in &batch.rows {
            claimed.row().id(row.id).number(row.claim);
        }
        let transaction = self.database.begin(Scope::Engine).await?;
        let gone = Dialect::Sqlite.exactly(GONE, [node.0.into(), claimed.value()]);
        let gone = transaction.query_all_raw(gone).await.or_store_error()?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut held: HashMap<(Uuid, i32), Gone> = HashMap::with_capacity(gone.len());
        for row in &gone {
            let row = Gone::from_query_result(row, "").or_store_error()?;
            held.insert((row.id, row.claim), row);
        }
        let (writes, settled) = written(node, batch, held)?;
        let written = transaction
            .execute_raw(Dialect::Sqlite.exactly(WRITTEN, writes.values()))
            .await
            .or_store_error();
        match written {
            Ok(_) => {
                let told = tell(&transaction, batch, &settled).await?;
                transaction.commit().await?;
                if let Some(signal) = self.event_signal.as_ref().filter(|_| told) {
                    signal.events_committed();
                }
                Ok(settled)
            }
            Err(StoreError::Conflict(_) | StoreError::Stale) => {
                Err(fault("a delivery is queued once, under a new id"))
            }
            Err(error) => Err(error),
        }
    }
}

/// Tells the log of what failed for good; whether it was anything.
async fn tell(transaction: &Transaction, batch: &Batch, settled: &[WorkId]) -> Result<bool, StoreError> {
    if !batch.has_failed() {
        return Ok(false);
    }
    let failed = failed::of_batch(batch, settled.iter().map(WorkId::as_uuid));
    let found = Dialect::Sqlite.exactly(failed::FOUND_ON_SQLITE, pairs(Dialect::Sqlite, &failed));
    let rows = transaction.query_all_raw(found).await.or_store_error()?;
    let failed = |row| Failed::from_query_result(row, "").or_store_error();
    let failed: Vec<_> = rows.iter().map(failed).collect::<Result<_, _>>()?;
    let told = failed::told(&failed)?;
    for one in &told {
        let values = [
            one.tenant.into(),
            one.aggregate.as_str().into(),
            failed::KIND.into(),
            one.body.as_str().into(),
        ];
        let tell = Dialect::Sqlite.statement(TELL, values);
        transaction.execute_raw(tell).await.or_store_error()?;
    }
    Ok(!told.is_empty())
}

/// What becomes of the rows that are gone, and which they are.
fn written(
    node: Epoch,
    batch: &Batch,
    mut held: HashMap<(Uuid, i32), Gone>,
) -> Result<(Writes, Vec<WorkId>), StoreError> {
    let (mut writes, mut settled) = (Writes::default(), Vec::with_capacity(held.len()));
    let mut by_place: HashMap<i32, Gone> = HashMap::with_capacity(held.len());
    for (place, row) in (1..).zip(&batch.rows) {
        // Taken out, so that a row that the batch names twice is settled once.
        if let Some(gone) = held.remove(&(row.id, row.claim)) {
            gone.check(row)?;
            by_place.insert(place, gone);
            settled.push(WorkId::from_uuid(row.id));
        }
    }
    for conclusion in &batch.conclusions {
        if let Some(gone) = by_place.get(&conclusion.row) {
            writes.conclude(gone, conclusion);
        }
    }
    for new in &batch.opened {
        if let Some(from) = by_place.get(&new.row) {
            writes.open(node, from, new);
        }
    }
    Ok((writes, settled))
}
