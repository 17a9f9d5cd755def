//! Settling on PostgreSQL: one statement, one round trip, however large the batch.
//!
//! By sqlx and not by a statement of the ORM, whose arrays cannot hold nulls.

use postrider_application::ports::{Epoch, StoreError};
use postrider_domain::WorkId;
use sqlx::PgPool;
use uuid::Uuid;

use super::settle::{AttemptChange, Batch, DeliveryChange, RowOutcome};
use crate::{
    SqlStore,
    connection::postgres_now,
    error::{OrStoreError as _, fault},
};

/// Only rows that are still held, under that claim, are gone; everything else is written for those alone. A
/// settlement that is not about its row divides by zero, and the batch fails whole: better than a delivery that
/// is recorded for another.
///
/// An attempt of a number that is there already is not written over: history is never changed.
const SETTLE: &str = concat!(
    "WITH gone AS (
        DELETE FROM outbox_work w USING unnest(
            $2::uuid[], $3::int[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::int[], $9::int[],
            $10::uuid[], $11::bigint[],
            $12::int[], $13::bigint[], $14::bigint[], $15::text[], $16::int[], $17::bytea[], $18::bool[]
        ) WITH ORDINALITY AS s(
            row_id, row_claim, to_message, to_endpoint, status, reason, now_attempts, now_failures,
            retry_id, retry_after,
            n, started_at, latency_us, failure, http_status, body, truncated, ord
        )
        WHERE w.id = s.row_id AND w.claim = s.row_claim AND w.owner = $1
        RETURNING w.id, w.tenant, w.app, w.message, w.due_at, w.seq, s.*,
            1 / (CASE WHEN s.to_message IS NULL THEN w.endpoint IS NULL
                 ELSE s.to_message = w.message AND coalesce(w.endpoint, s.to_endpoint) = s.to_endpoint
                 END)::int AS about
    ),
    stands AS (
        INSERT INTO deliveries
            (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
        SELECT message, to_endpoint, tenant, app, status, reason, ",
    postgres_now!(),
    " + retry_after, now_attempts, now_failures, ",
    postgres_now!(),
    " FROM gone WHERE status IS NOT NULL
        ON CONFLICT (message, endpoint) DO UPDATE SET status = excluded.status, reason = excluded.reason,
            due_at = excluded.due_at, attempts = excluded.attempts, failures = excluded.failures,
            updated_at = excluded.updated_at
    ),
    tried AS (
        INSERT INTO attempts
            (message, endpoint, n, tenant, started_at, latency_us, failure, http_status, body, body_truncated)
        SELECT message, to_endpoint, n, tenant, started_at, latency_us, failure, http_status, body, truncated
        FROM gone WHERE n IS NOT NULL
        ON CONFLICT (message, endpoint, n) DO NOTHING
    ),
    retried AS (
        INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq)
        SELECT retry_id, tenant, app, message, to_endpoint, ",
    postgres_now!(),
    " + retry_after, 0, 0, now_attempts, now_failures, seq FROM gone WHERE retry_id IS NOT NULL
    ),
    fanned AS (
        INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq)
        SELECT f.id, gone.tenant, gone.app, gone.message, f.endpoint, gone.due_at, $1, 1, 0, 0, gone.seq
        FROM unnest($19::bigint[], $20::uuid[], $21::uuid[]) AS f(ord, id, endpoint) JOIN gone ON gone.ord = f.ord
    )
    SELECT id FROM gone"
);

/// The batch as columns.
#[derive(Default)]
struct Columns<'b> {
    ids: Vec<Uuid>,
    claims: Vec<i32>,
    messages: Vec<Option<Uuid>>,
    endpoints: Vec<Option<Uuid>>,
    statuses: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'static str>>,
    attempts: Vec<Option<i32>>,
    failures: Vec<Option<i32>>,
    retry_ids: Vec<Option<Uuid>>,
    retry_afters: Vec<Option<i64>>,
    numbers: Vec<Option<i32>>,
    started_ats: Vec<Option<i64>>,
    latencies: Vec<Option<i64>>,
    classes: Vec<Option<&'static str>>,
    http_statuses: Vec<Option<i32>>,
    bodies: Vec<Option<&'b [u8]>>,
    truncateds: Vec<Option<bool>>,
    /// Fan-outs: the place of the row that each comes from (from 1), its id, its endpoint.
    fanned_from: Vec<i64>,
    fanned_ids: Vec<Uuid>,
    fanned_endpoints: Vec<Uuid>,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b Batch) -> Self {
        let mut columns = Self::default();
        for (place, row) in (1..).zip(&batch.rows) {
            columns.ids.push(row.id);
            columns.claims.push(row.claim);
            match &row.outcome {
                RowOutcome::Delivery(change, attempt) => columns.push(Some(change), attempt.as_ref()),
                RowOutcome::Fanned(rows) => {
                    columns.push(None, None);
                    for new in rows {
                        columns.fanned_from.push(place);
                        columns.fanned_ids.push(new.id.as_uuid());
                        columns.fanned_endpoints.push(new.endpoint.as_uuid());
                    }
                }
            }
        }
        columns
    }

    fn push(&mut self, change: Option<&DeliveryChange>, attempt: Option<&'b AttemptChange>) {
        self.messages.push(change.map(|change| change.message));
        self.endpoints.push(change.map(|change| change.endpoint));
        self.statuses.push(change.map(|change| change.status));
        self.reasons.push(change.and_then(|change| change.reason));
        self.attempts.push(change.map(|change| change.attempts));
        self.failures.push(change.map(|change| change.failures));
        let retry = change.and_then(|change| change.retry);
        self.retry_ids.push(retry.map(|(id, _)| id));
        self.retry_afters.push(retry.map(|(_, after)| after));
        self.numbers.push(attempt.map(|attempt| attempt.number));
        self.started_ats.push(attempt.map(|attempt| attempt.started_at));
        self.latencies.push(attempt.map(|attempt| attempt.latency_us));
        self.classes.push(attempt.and_then(|attempt| attempt.failure));
        self.http_statuses
            .push(attempt.and_then(|attempt| attempt.http_status));
        self.bodies.push(attempt.map(|attempt| attempt.body.as_slice()));
        self.truncateds.push(attempt.map(|attempt| attempt.truncated));
    }

    async fn settle(&self, node: Epoch, pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar(SETTLE)
            .bind(node.0)
            .bind(&self.ids)
            .bind(&self.claims)
            .bind(&self.messages)
            .bind(&self.endpoints)
            .bind(&self.statuses)
            .bind(&self.reasons)
            .bind(&self.attempts)
            .bind(&self.failures)
            .bind(&self.retry_ids)
            .bind(&self.retry_afters)
            .bind(&self.numbers)
            .bind(&self.started_ats)
            .bind(&self.latencies)
            .bind(&self.classes)
            .bind(&self.http_statuses)
            .bind(&self.bodies)
            .bind(&self.truncateds)
            .bind(&self.fanned_from)
            .bind(&self.fanned_ids)
            .bind(&self.fanned_endpoints)
            .fetch_all(pool)
            .await
    }
}

impl SqlStore {
    pub(super) async fn settle_on_postgres(
        &self,
        node: Epoch,
        batch: &Batch,
    ) -> Result<Vec<WorkId>, StoreError> {
        let pool = self.database.engine().get_postgres_connection_pool();
        let settled = Columns::of(batch).settle(node, pool).await.or_store_error();
        match settled {
            Ok(gone) => Ok(gone.into_iter().map(WorkId::from_uuid).collect()),
            Err(StoreError::Conflict(_) | StoreError::Stale) => {
                Err(fault("a delivery is queued once, under a new id"))
            }
            Err(error) => Err(error),
        }
    }
}
