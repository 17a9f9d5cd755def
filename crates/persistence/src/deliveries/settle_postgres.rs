//! Settling on PostgreSQL: one statement, one round trip, however large the batch.
//!
//! By sqlx and not by a statement of the ORM, whose arrays cannot hold nulls.

use postrider_application::ports::{Epoch, StoreError};
use postrider_domain::WorkId;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{
    failed::{self, Failed},
    settle::{Batch, Conclusion, PARKED},
};
use crate::{
    SqlStore,
    connection::postgres_now,
    error::{advisory_lock, fault, settle_failed},
    health::last_at_step,
    relay::notify_events,
};

/// Only rows that are still held, under that claim, are gone; everything else is written for those alone. A plan that
/// was made for an empty queue stays when the queue has grown, and must reach each row by its key even so: by the array
/// of keys, once, and neither by the index on owners (hence the plus), nor by a join, whose order is a guess. Claims are
/// compared in a hash (a join again, but for `IS TRUE`). A settlement that is not about its row divides by zero, and the batch fails whole: better than a delivery that
/// is recorded for another.
///
/// The health of endpoints is looked at once for each endpoint of the batch, and written when it changes. Nobody waits
/// for whoever deletes the same row: it is gone either way; nor in order to note a last failure: whoever has the row
/// notes it too, or deletes it, and if not, the next batch notes it. A row whose last failure is recent is neither
/// written nor locked. Those that begin to fail are written in the order of their ids, so that two nodes do not wait for
/// each other; should they nevertheless, one of them settles again. An endpoint
/// that was disabled or deleted while the attempt was under way leaves no row that nobody would remove.
macro_rules! settle {
    ($begun:literal, $tried:literal) => {
        concat!(
            "WITH gone AS (
                DELETE FROM outbox_work w
                WHERE w.id = ANY ($2) AND w.owner + 0 = $1
                    AND ((w.id, w.claim) IN (SELECT * FROM unnest($2::uuid[], $3::int[]))) IS TRUE
                RETURNING w.id, w.claim, w.tenant, w.app, w.message, w.endpoint, w.due_at, w.seq, w.payload_bytes,
                    w.attempts AS attempts_before
            ),
            held AS MATERIALIZED (
                SELECT g.*, s.place,
                    1 / (CASE WHEN g.endpoint IS NULL THEN coalesce(s.to_message = g.message, true)
                         ELSE coalesce(s.to_message = g.message AND s.only_endpoint = g.endpoint, false)
                         END)::int AS about
                FROM unnest($2::uuid[], $3::int[], $4::uuid[], $5::uuid[])
                    WITH ORDINALITY AS s (row_id, row_claim, to_message, only_endpoint, place)
                JOIN gone g ON g.id = s.row_id AND g.claim = s.row_claim
            ),
            done AS MATERIALIZED (
                SELECT g.tenant, g.app, g.message, g.seq, g.payload_bytes, g.attempts_before, c.*
                FROM unnest(
                    $6::int[], $7::uuid[], $8::text[], $9::text[], $10::int[], $11::int[], $12::uuid[], $13::bigint[],
                    $14::bigint[], $15::bigint[], $16::text[], $17::int[], $18::bytea[], $19::bool[], $26::text[]
                ) AS c (
                    place, endpoint, status, reason, attempts, failures, retry_id, retry_after,
                    started_at, latency_us, failure, http_status, body, truncated, headers
                ) JOIN held g ON g.place = c.place
            ),
            begun AS (
                INSERT INTO deliveries
                    (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
                SELECT message, endpoint, tenant, app, status, reason, ",
            postgres_now!(),
            " + retry_after, attempts, failures, ",
            postgres_now!(),
            " FROM done WHERE ",
            $begun,
            "
            ),
            went_on AS (
                INSERT INTO deliveries
                    (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
                SELECT message, endpoint, tenant, app, status, reason, ",
            postgres_now!(),
            " + retry_after, attempts, failures, ",
            postgres_now!(),
            " FROM done WHERE NOT (",
            $begun,
            ")
                ON CONFLICT (message, endpoint) DO UPDATE SET status = excluded.status, reason = excluded.reason,
                    due_at = excluded.due_at, attempts = excluded.attempts, failures = excluded.failures,
                    updated_at = excluded.updated_at
            ),
            tried AS (
                INSERT INTO attempts
                    (message, endpoint, n, tenant, started_at, latency_us, failure, http_status, body, body_truncated,
                    response_headers)
                SELECT message, endpoint, attempts, tenant, started_at, latency_us, failure, http_status, body, truncated,
                    headers
                FROM done WHERE started_at IS NOT NULL ",
            $tried,
            "
            ),
            retried AS (
                INSERT INTO outbox_work (
                    id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes
                )
                SELECT retry_id, tenant, app, message, endpoint, ",
            postgres_now!(),
            " + retry_after, 0, 0, attempts, failures, seq, payload_bytes FROM done WHERE retry_id IS NOT NULL
            ),
            opened AS (
                INSERT INTO outbox_work (
                    id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes
                )
                SELECT o.id, g.tenant, g.app, g.message, o.endpoint, g.due_at, o.owner, o.claim, 0, 0, g.seq,
                    g.payload_bytes
                FROM unnest($20::int[], $21::uuid[], $22::uuid[], $23::bigint[], $24::int[])
                    AS o (place, id, endpoint, owner, claim)
                JOIN held g ON g.place = o.place
            ),
            healthy AS MATERIALIZED (
                SELECT DISTINCT endpoint FROM done WHERE started_at IS NOT NULL AND failure IS NULL
            ),
            healed AS (
                DELETE FROM endpoint_failures WHERE endpoint = ANY (ARRAY(
                    SELECT f.endpoint FROM endpoint_failures f
                    WHERE f.endpoint = ANY (ARRAY(SELECT endpoint FROM healthy)) FOR UPDATE SKIP LOCKED
                ))
            ),
            ill AS MATERIALIZED (
                SELECT DISTINCT ON (endpoint) endpoint, tenant, app FROM done
                WHERE failure <> 'internal' AND http_status IS DISTINCT FROM 410
                    AND endpoint <> ALL (ARRAY(SELECT endpoint FROM healthy))
            ),
            still_failing AS (
                UPDATE endpoint_failures SET last_at = ",
            postgres_now!(),
            " WHERE endpoint = ANY (ARRAY(
                    SELECT f.endpoint FROM endpoint_failures f
                    WHERE f.endpoint = ANY (ARRAY(SELECT endpoint FROM ill)) AND f.last_at <= ",
            postgres_now!(),
            " - $25 FOR UPDATE SKIP LOCKED
                ))
            ),
            failing AS (
                INSERT INTO endpoint_failures (endpoint, tenant, app, since, last_at)
                SELECT d.endpoint, d.tenant, d.app, ",
            postgres_now!(),
            ", ",
            postgres_now!(),
            " FROM ill d
                WHERE (SELECT true FROM endpoint_failures f WHERE f.endpoint = d.endpoint) IS NULL
                    AND (
                        SELECT e.disabled_at IS NULL FROM endpoints e
                        WHERE e.tenant = d.tenant AND e.app = d.app AND e.id = d.endpoint
                    )
                ORDER BY d.endpoint
                ON CONFLICT (endpoint) DO NOTHING
            )
            SELECT id FROM held WHERE about = 1"
        )
    };
}

/// A first attempt finds no history, as a rule, and is written without looking for it: that is a third of all the
/// cost. Whose history is there after all (a delivery that was cancelled and is sent again), that is refused.
const SETTLE: &str = settle!("attempts_before = 0", "");
/// The same for whatever history there is. An attempt of a number that is there already is not written over: history
/// is never changed.
const SETTLE_OVER_HISTORY: &str = settle!("false", "ON CONFLICT (message, endpoint, n) DO NOTHING");

/// Takes its turn at the log, appends to it, and tells the relays at the commit: one message, so that the turn lasts from
/// here to the commit, which is the next. The lock is taken before the first position: rows come from a join with it. A
/// node that is paused in between loses its turn soon, by the server.
const TELL: &str = concat!(
    "WITH turn AS MATERIALIZED (
        SELECT set_config('lock_timeout', $6, true), set_config('idle_in_transaction_session_timeout', '2s', true),
            pg_advisory_xact_lock($5)
    ), appended AS (
        INSERT INTO outbox_events (tenant, aggregate, version, kind, body, recorded_at)
        SELECT t.tenant, t.aggregate, 1, $3, t.body::json, ",
    postgres_now!(),
    " FROM turn CROSS JOIN
            unnest($1::uuid[], $2::text[], $4::text[]) WITH ORDINALITY AS t (tenant, aggregate, body, place)
        ORDER BY t.place
    ) ",
    notify_events!()
);

/// How long a batch waits for its turn at the log before what has nothing to tell is settled without the rest.
const SOON: &str = "500ms";
/// As long as any statement may take.
const PATIENTLY: &str = "0";

/// How often a batch that met another's in a deadlock is settled, in all.
const TURNS: u32 = 3;

/// The batch as columns.
#[derive(Default)]
struct Columns<'b> {
    ids: Vec<Uuid>,
    claims: Vec<i32>,
    messages: Vec<Option<Uuid>>,
    onlys: Vec<Option<Uuid>>,
    /// Conclusions: the place of the row that each is of (from 1), and what it says.
    concluded: Vec<i32>,
    endpoints: Vec<Uuid>,
    statuses: Vec<&'static str>,
    reasons: Vec<Option<&'static str>>,
    attempts: Vec<i32>,
    failures: Vec<i32>,
    retry_ids: Vec<Option<Uuid>>,
    retry_afters: Vec<Option<i64>>,
    started_ats: Vec<Option<i64>>,
    latencies: Vec<Option<i64>>,
    classes: Vec<Option<&'static str>>,
    http_statuses: Vec<Option<i32>>,
    bodies: Vec<Option<&'b [u8]>>,
    truncateds: Vec<Option<bool>>,
    headers: Vec<Option<&'b str>>,
    /// New rows: the place of the row that each comes from (from 1), and what it is.
    opened_from: Vec<i32>,
    opened_ids: Vec<Uuid>,
    opened_endpoints: Vec<Uuid>,
    opened_owners: Vec<i64>,
    opened_claims: Vec<i32>,
}

impl<'b> Columns<'b> {
    fn of(node: Epoch, batch: &'b Batch) -> Self {
        let mut columns = Self::default();
        for row in &batch.rows {
            columns.ids.push(row.id);
            columns.claims.push(row.claim);
            columns.messages.push(row.message);
            columns.onlys.push(row.only);
        }
        for conclusion in &batch.conclusions {
            columns.push(conclusion);
        }
        for new in &batch.opened {
            columns.opened_from.push(new.row);
            columns.opened_ids.push(new.id);
            columns.opened_endpoints.push(new.endpoint);
            columns
                .opened_owners
                .push(if new.parked { PARKED } else { node.0 });
            columns.opened_claims.push(new.claim());
        }
        columns
    }

    fn push(&mut self, conclusion: &'b Conclusion) {
        self.concluded.push(conclusion.row);
        self.endpoints.push(conclusion.endpoint);
        self.statuses.push(conclusion.status);
        self.reasons.push(conclusion.reason);
        self.attempts.push(conclusion.attempts);
        self.failures.push(conclusion.failures);
        self.retry_ids.push(conclusion.retry.map(|(id, _)| id));
        self.retry_afters.push(conclusion.retry.map(|(_, after)| after));
        let attempt = conclusion.attempt.as_ref();
        self.started_ats.push(attempt.map(|attempt| attempt.started_at));
        self.latencies.push(attempt.map(|attempt| attempt.latency_us));
        self.classes.push(attempt.and_then(|attempt| attempt.failure));
        self.http_statuses
            .push(attempt.and_then(|attempt| attempt.http_status));
        self.bodies.push(attempt.map(|attempt| attempt.body.as_slice()));
        self.truncateds.push(attempt.map(|attempt| attempt.truncated));
        self.headers
            .push(attempt.and_then(|attempt| attempt.headers.as_deref()));
    }

    async fn settle<'c>(
        &self,
        node: Epoch,
        sql: &'static str,
        executor: impl PgExecutor<'c>,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar(sql)
            .bind(node.0)
            .bind(&self.ids)
            .bind(&self.claims)
            .bind(&self.messages)
            .bind(&self.onlys)
            .bind(&self.concluded)
            .bind(&self.endpoints)
            .bind(&self.statuses)
            .bind(&self.reasons)
            .bind(&self.attempts)
            .bind(&self.failures)
            .bind(&self.retry_ids)
            .bind(&self.retry_afters)
            .bind(&self.started_ats)
            .bind(&self.latencies)
            .bind(&self.classes)
            .bind(&self.http_statuses)
            .bind(&self.bodies)
            .bind(&self.truncateds)
            .bind(&self.opened_from)
            .bind(&self.opened_ids)
            .bind(&self.opened_endpoints)
            .bind(&self.opened_owners)
            .bind(&self.opened_claims)
            .bind(last_at_step())
            .bind(&self.headers)
            .fetch_all(executor)
            .await
    }
}

/// SQLSTATE of what the server refused.
fn refused(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Settles, and tells the log of what failed for good: in one transaction, in which the log comes last, as everybody who
/// appends to it waits for whoever did.
async fn settle_and_tell(
    columns: &Columns<'_>,
    node: Epoch,
    sql: &'static str,
    (pool, batch): (&PgPool, &Batch),
    turn: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let settled = columns.settle(node, sql, &mut *transaction).await?;
    let (messages, endpoints): (Vec<Uuid>, Vec<Uuid>) = failed::of_batch(batch, settled.iter().copied())
        .into_iter()
        .unzip();
    let found: Vec<(Uuid, Uuid, Uuid, Uuid, Option<String>)> = sqlx::query_as(failed::FOUND_ON_POSTGRES)
        .bind(messages)
        .bind(endpoints)
        .fetch_all(&mut *transaction)
        .await?;
    let found = found
        .into_iter()
        .map(|(tenant, app, message, endpoint, reason)| Failed {
            tenant,
            app,
            message,
            endpoint,
            reason,
        });
    let found: Vec<_> = found.collect();
    let told = failed::told(&found).map_err(|error| sqlx::Error::Encode(error.into()))?;
    if !told.is_empty() {
        let (mut tenants, mut aggregates, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for one in told {
            tenants.push(one.tenant);
            aggregates.push(one.aggregate);
            bodies.push(one.body);
        }
        sqlx::query(TELL)
            .bind(tenants)
            .bind(aggregates)
            .bind(failed::KIND)
            .bind(bodies)
            .bind(advisory_lock::EVENT_LOG)
            .bind(turn)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(settled)
}

impl SqlStore {
    pub(super) async fn settle_on_postgres(
        &self,
        node: Epoch,
        batch: &Batch,
    ) -> Result<Vec<WorkId>, StoreError> {
        let _operation = self.database.operation();
        if let Some(settled) = self.settle_in_turn(node, batch, SOON).await? {
            return Ok(settled);
        }
        // Somebody else keeps the log for long. What has nothing to tell does not wait behind what has; should that fail
        // afterwards, the batch is settled again.
        let mut settled = Vec::new();
        let quiet = batch.part(false);
        if !quiet.rows.is_empty() {
            settled.extend(self.settle_in_turn(node, &quiet, SOON).await?.unwrap_or_default());
        }
        let telling = batch.part(true);
        if !telling.rows.is_empty() {
            let told = self.settle_in_turn(node, &telling, PATIENTLY).await;
            // A part is settled: whoever settles the batch again must know that it may be.
            let told = told.map_err(|error| match error {
                StoreError::Unavailable(_) => error,
                other => StoreError::Unavailable(other.into()),
            })?;
            settled.extend(told.unwrap_or_default());
        }
        Ok(settled)
    }

    /// Settles a batch; `None`, and nothing is done, if its turn at the log did not come in time.
    async fn settle_in_turn(
        &self,
        node: Epoch,
        batch: &Batch,
        patience: &str,
    ) -> Result<Option<Vec<WorkId>>, StoreError> {
        let pool = self.database.engine_connections().get_postgres_connection_pool();
        let columns = Columns::of(node, batch);
        let (mut sql, mut turn) = (SETTLE, 1);
        let settled = loop {
            let settled = if batch.has_failed() {
                settle_and_tell(&columns, node, sql, (pool, batch), patience).await
            } else {
                columns.settle(node, sql, pool).await
            };
            match settled.as_ref().err().and_then(refused).as_deref() {
                // Unique violation: there is history. What else it may be is refused again.
                Some("23505") if sql != SETTLE_OVER_HISTORY => sql = SETTLE_OVER_HISTORY,
                // Deadlock: nothing was written.
                Some("40P01") if turn < TURNS => turn += 1,
                // The lock was not to be had.
                Some("55P03") if patience == SOON => return Ok(None),
                _ => break settled.map_err(|error| settle_failed(&error)),
            }
        };
        if let (Ok(_), Some(signal), true) = (&settled, &self.event_signal, batch.has_failed()) {
            signal.events_committed();
        }
        match settled {
            Ok(gone) => Ok(Some(gone.into_iter().map(WorkId::from_uuid).collect())),
            Err(StoreError::Conflict(_) | StoreError::Stale) => {
                Err(fault("a delivery is queued once, under a new id"))
            }
            Err(error) => Err(error),
        }
    }
}
