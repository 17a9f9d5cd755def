//! Settling on PostgreSQL: one statement, one round trip, however large the batch.
//!
//! By sqlx and not by a statement of the ORM, whose arrays cannot hold nulls.

mod columns;
mod statement;

use postrider_application::ports::{Epoch, StoreError};
use postrider_domain::WorkId;
use sqlx::PgPool;
use uuid::Uuid;

use self::{
    columns::Columns,
    statement::{SETTLE, SETTLE_OVER_HISTORY},
};
use super::{
    failed::{self, Failed},
    settle::Batch,
};
use crate::{
    SqlStore, advisory_lock,
    connection::postgres_now,
    error::{fault, settle_failed},
    relay::notify_events,
};

/// Takes its turn at the log, appends to it, and tells the relays at the commit: one message, so that the turn lasts
/// from here to the commit, which is the next. The lock is taken before the first position: rows come from a join with
/// it. A node that is paused in between loses its turn soon, by the server.
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
