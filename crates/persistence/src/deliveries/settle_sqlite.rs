//! Settling on SQLite: two lists of statements between BEGIN IMMEDIATE and COMMIT, however large the batch. Batches
//! travel as JSON, an array for each row, so that the statements' texts stay the same and are prepared once.

use std::collections::HashMap;

use postrider_application::ports::{Epoch, StoreError};
use postrider_domain::WorkId;
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::settle::{Batch, RowOutcome, SettledRow};
use crate::{
    SqlStore,
    batch::hex,
    connection::{Dialect, Scope, sqlite_now},
    error::{OrStoreError as _, fault},
};

/// Only rows that are still held, under that claim, are gone. `$2`: id, claim. The plus keeps the planner from
/// walking through all that the node owns, by the index on owners, instead of reaching each row by its key.
const GONE: &str = "
DELETE FROM outbox_work
WHERE +owner = $1 AND (id, claim) IN (SELECT unhex(value ->> 0), value ->> 1 FROM json_each($2))
RETURNING id, claim, tenant, app, message, endpoint, due_at, seq";

/// Everything else, for those alone.
///
/// `$1`: message, endpoint, tenant, app, status, reason, microseconds until the retry, attempts, failures.
/// `$2`: message, endpoint, number, tenant, start, latency, failure, HTTP status, body, truncated; an attempt of a
/// number that is there already is not written over: history is never changed.
/// `$3`: id, tenant, app, message, endpoint, due time or null, else microseconds until it, owner, claim, attempts,
/// failures, seq.
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
        (message, endpoint, n, tenant, started_at, latency_us, failure, http_status, body, body_truncated)
    SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5,
        value ->> 6, value ->> 7, unhex(value ->> 8), value ->> 9
    FROM json_each($2) WHERE true ON CONFLICT (message, endpoint, n) DO NOTHING;
    INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq)
    SELECT unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), unhex(value ->> 3), unhex(value ->> 4),
        coalesce(value ->> 5, ",
    sqlite_now!(),
    " + (value ->> 6)), value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
    FROM json_each($3)"
);

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
}

/// What is written for the rows that are gone.
#[derive(Default)]
struct Writes {
    deliveries: Vec<Json>,
    attempts: Vec<Json>,
    work: Vec<Json>,
}

impl Writes {
    fn add(&mut self, node: Epoch, gone: &Gone, row: &SettledRow) -> Result<(), StoreError> {
        let (tenant, app, message) = (hex(gone.tenant), hex(gone.app), hex(gone.message));
        match &row.outcome {
            RowOutcome::Fanned(_) if gone.endpoint.is_some() => Err(fault("only a message is fanned out")),
            RowOutcome::Fanned(rows) => {
                self.work.extend(rows.iter().map(|new| {
                    json!([
                        hex(new.id.as_uuid()),
                        tenant,
                        app,
                        message,
                        hex(new.endpoint.as_uuid()),
                        gone.due_at,
                        null,
                        node.0,
                        1,
                        0,
                        0,
                        gone.seq
                    ])
                }));
                Ok(())
            }
            RowOutcome::Delivery(change, attempt) => {
                let same = gone.endpoint.is_none_or(|endpoint| endpoint == change.endpoint);
                if change.message != gone.message || !same {
                    return Err(fault("a settlement of another delivery"));
                }
                let endpoint = hex(change.endpoint);
                self.deliveries.push(json!([
                    message,
                    endpoint,
                    tenant,
                    app,
                    change.status,
                    change.reason,
                    change.retry.map(|(_, after)| after),
                    change.attempts,
                    change.failures
                ]));
                self.attempts.extend(attempt.as_ref().map(|attempt| {
                    json!([
                        message,
                        endpoint,
                        attempt.number,
                        tenant,
                        attempt.started_at,
                        attempt.latency_us,
                        attempt.failure,
                        attempt.http_status,
                        hex::encode(&attempt.body),
                        attempt.truncated
                    ])
                }));
                self.work.extend(change.retry.map(|(id, after)| {
                    json!([
                        hex(id),
                        tenant,
                        app,
                        message,
                        endpoint,
                        null,
                        after,
                        0,
                        0,
                        change.attempts,
                        change.failures,
                        gone.seq
                    ])
                }));
                Ok(())
            }
        }
    }
}

fn text(rows: Vec<Json>) -> sea_orm::Value {
    Json::Array(rows).to_string().into()
}

impl SqlStore {
    pub(super) async fn settle_on_sqlite(
        &self,
        node: Epoch,
        batch: &Batch,
    ) -> Result<Vec<WorkId>, StoreError> {
        let claimed = batch
            .rows
            .iter()
            .map(|row| json!([hex(row.id), row.claim]))
            .collect();
        let transaction = self.database.begin(Scope::Engine).await?;
        let gone = Dialect::Sqlite.exactly(GONE, [node.0.into(), text(claimed)]);
        let gone = transaction.query_all_raw(gone).await.or_store_error()?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut held: HashMap<(Uuid, i32), Gone> = HashMap::with_capacity(gone.len());
        for row in &gone {
            let row = Gone::from_query_result(row, "").or_store_error()?;
            held.insert((row.id, row.claim), row);
        }
        let (mut writes, mut settled) = (Writes::default(), Vec::with_capacity(held.len()));
        for row in &batch.rows {
            // Taken out, so that a row that the batch names twice is settled once.
            if let Some(gone) = held.remove(&(row.id, row.claim)) {
                writes.add(node, &gone, row)?;
                settled.push(WorkId::from_uuid(row.id));
            }
        }
        let values = [text(writes.deliveries), text(writes.attempts), text(writes.work)];
        let written = transaction
            .execute_raw(Dialect::Sqlite.exactly(WRITTEN, values))
            .await
            .or_store_error();
        match written {
            Ok(_) => transaction.commit().await.map(|()| settled),
            Err(StoreError::Conflict(_) | StoreError::Stale) => {
                Err(fault("a delivery is queued once, under a new id"))
            }
            Err(error) => Err(error),
        }
    }
}
