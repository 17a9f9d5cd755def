use postrider_application::ports::Epoch;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::super::settle::{Batch, Conclusion, PARKED};
use crate::health::last_at_step;

/// The batch as columns.
#[derive(Default)]
pub(super) struct Columns<'b> {
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
    pub(super) fn of(node: Epoch, batch: &'b Batch) -> Self {
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

    /// Runs one of the statements that settle.
    pub(super) async fn settle<'c>(
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
