//! Deliveries that failed for good, as the log tells of them: one event a batch and tenant, with the settle itself. A
//! batch without any has nothing to do with the log.

use std::collections::HashSet;

use postrider_application::ports::{FAILED_DELIVERIES_AT_ONCE, StoreError, event_form};
use postrider_domain::{ApplicationId, EndpointId, MessageId};
use sea_orm::FromQueryResult;
use serde::Serialize;
use uuid::Uuid;

use super::settle::Batch;
use crate::{
    batch::{pairs_postgres, pairs_sqlite},
    error::{corrupt, fault},
};

/// The event's kind.
pub(super) const KIND: &str = "delivery.failed";

macro_rules! found {
    ($pairs:expr) => {
        concat!(
            "SELECT d.tenant, d.app, d.message, d.endpoint, d.reason FROM ",
            $pairs,
            " JOIN deliveries d ON d.message = pair.one AND d.endpoint = pair.two AND d.status = 'failed'
            JOIN applications a ON a.tenant = d.tenant AND a.id = d.app AND a.deleted_at IS NULL
                AND (a.uid IS NULL OR a.uid <> 'operational')
            ORDER BY d.tenant, d.message, d.endpoint"
        )
    };
}

/// Those of the pairs of message and endpoint that failed, with whose they are. Of an application that is gone nobody
/// need hear; and of the one that would be told nobody is, or a failure to tell would have to be told.
pub(super) const FOUND_ON_POSTGRES: &str = found!(pairs_postgres!());
pub(super) const FOUND_ON_SQLITE: &str = found!(pairs_sqlite!());

/// A delivery that failed for good.
#[derive(Debug, FromQueryResult)]
pub(super) struct Failed {
    pub(super) tenant: Uuid,
    pub(super) app: Uuid,
    pub(super) message: Uuid,
    pub(super) endpoint: Uuid,
    pub(super) reason: Option<String>,
}

/// A row of the log that is to be appended.
pub(super) struct Told {
    pub(super) tenant: Uuid,
    pub(super) aggregate: String,
    pub(super) body: String,
}

#[derive(Serialize)]
struct Body {
    v: u32,
    deliveries: Vec<One>,
}

#[derive(Serialize)]
struct One {
    application: String,
    message: String,
    endpoint: String,
    reason: String,
}

/// The pairs of message and endpoint of a batch that failed for good, as far as their rows were settled.
pub(super) fn of_batch(batch: &Batch, settled: impl IntoIterator<Item = Uuid>) -> Vec<(Uuid, Uuid)> {
    let settled: HashSet<Uuid> = settled.into_iter().collect();
    let failed = batch.conclusions.iter().filter(|one| one.failed());
    let pair = failed.filter_map(|one| {
        let row = batch.rows.get(usize::try_from(one.row).ok()?.checked_sub(1)?)?;
        let message = row.message.filter(|_| settled.contains(&row.id))?;
        Some((message, one.endpoint))
    });
    pair.collect()
}

/// What the log is told of those that were found, which are in the order of their tenants.
pub(super) fn told(failed: &[Failed]) -> Result<Vec<Told>, StoreError> {
    let v = event_form(KIND).ok_or_else(|| fault("a kind of event without a form"))?;
    let mut told = Vec::new();
    for of_tenant in failed.chunk_by(|a, b| a.tenant == b.tenant) {
        for some in of_tenant.chunks(FAILED_DELIVERIES_AT_ONCE) {
            let one = |failed: &Failed| One {
                application: ApplicationId::from_uuid(failed.app).to_string(),
                message: MessageId::from_uuid(failed.message).to_string(),
                endpoint: EndpointId::from_uuid(failed.endpoint).to_string(),
                reason: failed.reason.clone().unwrap_or_default(),
            };
            let body = Body {
                v,
                deliveries: some.iter().map(one).collect(),
            };
            // Chunks are not empty. Batches with the same first message keep their order, others need none.
            let Some(first) = some.first() else { continue };
            told.push(Told {
                tenant: first.tenant,
                aggregate: MessageId::from_uuid(first.message).to_string(),
                body: serde_json::to_string(&body).map_err(|why| corrupt("event", why))?,
            });
        }
    }
    Ok(told)
}

/// A body with one delivery, for what pins its form.
#[cfg(test)]
pub(crate) fn example() -> Result<String, StoreError> {
    let failed = Failed {
        tenant: Uuid::from_u128(1),
        app: Uuid::from_u128(3),
        message: Uuid::from_u128(9),
        endpoint: Uuid::from_u128(8),
        reason: Some("exhausted".to_owned()),
    };
    let told = told(&[failed])?;
    let body = told.into_iter().next().map(|one| one.body);
    body.ok_or_else(|| fault("nothing is told"))
}
