//! What a batch of settlements says, in the form that both databases are given it.

use postrider_application::ports::{NewWork, Retry, Settled, Settlement, StoreError};
use postrider_domain::deliveries::{Attempt, Delivery, DeliveryStatus};
use uuid::Uuid;

use super::row::{reason, stored_outcome};
use crate::{
    codec::{micros, stored_count},
    error::fault,
};

/// A batch, checked as far as it can be without its rows.
pub(super) struct Batch {
    pub(super) rows: Vec<SettledRow>,
}

/// A claimed row and what becomes of it.
pub(super) struct SettledRow {
    pub(super) id: Uuid,
    pub(super) claim: i32,
    pub(super) outcome: RowOutcome,
}

/// What becomes of a claimed row.
pub(super) enum RowOutcome {
    /// A fan-out: the rows that it becomes.
    Fanned(Vec<NewWork>),
    /// A delivery: where it stands, and the attempt if one was made.
    Delivery(DeliveryChange, Option<AttemptChange>),
}

/// Where a delivery stands from now on.
pub(super) struct DeliveryChange {
    pub(super) message: Uuid,
    pub(super) endpoint: Uuid,
    pub(super) status: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) attempts: i32,
    pub(super) failures: i32,
    /// The next attempt's row, and how many microseconds from now it is due: exactly if pending.
    pub(super) retry: Option<(Uuid, i64)>,
}

/// An attempt that was made.
pub(super) struct AttemptChange {
    pub(super) number: i32,
    pub(super) started_at: i64,
    pub(super) latency_us: i64,
    pub(super) failure: Option<&'static str>,
    pub(super) http_status: Option<i32>,
    pub(super) body: Vec<u8>,
    pub(super) truncated: bool,
}

impl Batch {
    pub(super) fn of(batch: Vec<Settlement>) -> Result<Self, StoreError> {
        let row = |settlement: Settlement| {
            Ok(SettledRow {
                id: settlement.work.id.as_uuid(),
                claim: settlement.work.claim,
                outcome: outcome(settlement.settled)?,
            })
        };
        Ok(Self {
            rows: batch.into_iter().map(row).collect::<Result<_, StoreError>>()?,
        })
    }
}

fn outcome(settled: Settled) -> Result<RowOutcome, StoreError> {
    Ok(match settled {
        Settled::FannedOut(rows) => RowOutcome::Fanned(rows),
        Settled::Attempted {
            delivery,
            attempt,
            retry,
        } => RowOutcome::Delivery(change(&delivery, retry)?, Some(attempted(attempt)?)),
        Settled::Cancelled { delivery } if delivery.status == DeliveryStatus::Cancelled => {
            RowOutcome::Delivery(change(&delivery, None)?, None)
        }
        Settled::Cancelled { .. } => return Err(fault("a delivery was settled as cancelled and is not")),
    })
}

fn change(delivery: &Delivery, retry: Option<Retry>) -> Result<DeliveryChange, StoreError> {
    if matches!(delivery.status, DeliveryStatus::Pending { .. }) != retry.is_some() {
        return Err(fault("a retry comes with a pending delivery, and only with one"));
    }
    Ok(DeliveryChange {
        message: delivery.message.as_uuid(),
        endpoint: delivery.endpoint.as_uuid(),
        status: delivery.status.as_str(),
        reason: reason(delivery.status),
        attempts: stored_count("attempts", delivery.attempts)?,
        failures: stored_count("failures", delivery.failures)?,
        retry: retry.map(|retry| (retry.work.as_uuid(), micros(retry.after))),
    })
}

fn attempted(attempt: Attempt) -> Result<AttemptChange, StoreError> {
    let (failure, http_status) = stored_outcome(attempt.outcome);
    Ok(AttemptChange {
        number: stored_count("number of an attempt", attempt.number)?,
        started_at: attempt.started_at.as_micros(),
        latency_us: micros(attempt.latency),
        failure,
        http_status,
        body: attempt.response_body.bytes,
        truncated: attempt.response_body.truncated,
    })
}
