//! What a batch of settlements says, in the form that both databases are given it.

use std::collections::HashSet;

use postrider_application::ports::{Concluded, NewWork, Settlement, StoreError};
use postrider_domain::{
    EndpointId,
    deliveries::{Attempt, Delivery, DeliveryStatus},
};
use uuid::Uuid;

use super::row::{reason, stored_headers, stored_outcome};
use crate::{
    codec::{micros, stored_count},
    error::{corrupt, fault},
};

/// The owner of rows whose endpoint's lane is full.
pub(super) const PARKED: i64 = -1;

/// The status of a delivery that failed for good.
const FAILED: &str = "failed";

/// A batch, checked as far as it can be without its rows. What becomes of a row refers to it by its place.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<SettledRow>,
    pub(super) conclusions: Vec<Conclusion>,
    pub(super) opened: Vec<Opened>,
}

/// A claimed row, and what it must be for this batch to be about it.
#[derive(Clone)]
pub(super) struct SettledRow {
    pub(super) id: Uuid,
    pub(super) claim: i32,
    /// The message that its conclusions name; none if there are none.
    pub(super) message: Option<Uuid>,
    /// The endpoint of its only conclusion, if it becomes nothing else: the one that a delivery's row must be of. None:
    /// only a message's row can become that.
    pub(super) only: Option<Uuid>,
}

/// Where a delivery stands from now on.
#[derive(Clone)]
pub(super) struct Conclusion {
    /// The place of its row in the batch, from 1.
    pub(super) row: i32,
    pub(super) endpoint: Uuid,
    pub(super) status: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) attempts: i32,
    pub(super) failures: i32,
    /// The next attempt's row, and how many microseconds from now it is due: exactly if pending.
    pub(super) retry: Option<(Uuid, i64)>,
    /// The attempt, if one was made; its number is `attempts`.
    pub(super) attempt: Option<AttemptChange>,
}

impl Conclusion {
    /// Whether it failed for good.
    pub(super) fn failed(&self) -> bool {
        self.status == FAILED
    }
}

/// An attempt that was made.
#[derive(Clone)]
pub(super) struct AttemptChange {
    pub(super) started_at: i64,
    pub(super) latency_us: i64,
    pub(super) failure: Option<&'static str>,
    pub(super) http_status: Option<i32>,
    pub(super) body: Vec<u8>,
    pub(super) truncated: bool,
    /// The headers of the answer, JSON; none if none were kept, as for most.
    pub(super) headers: Option<String>,
}

/// A row for a delivery that is still to be attempted.
pub(super) struct Opened {
    /// The place in the batch of the row that it comes from, from 1.
    pub(super) row: i32,
    pub(super) id: Uuid,
    pub(super) endpoint: Uuid,
    /// Whether nobody owns it because its endpoint's lane is full; otherwise the settling node does.
    pub(super) parked: bool,
}

impl Opened {
    /// The claim number that it begins with: nobody has claimed what is parked.
    pub(super) fn claim(&self) -> i32 {
        i32::from(!self.parked)
    }
}

impl Batch {
    pub(super) fn of(settlements: Vec<Settlement>) -> Result<Self, StoreError> {
        let mut batch = Self {
            rows: Vec::with_capacity(settlements.len()),
            conclusions: Vec::with_capacity(settlements.len()),
            opened: Vec::new(),
        };
        let mut named = HashSet::with_capacity(settlements.len());
        for settlement in settlements {
            // A row that is named twice is settled once.
            if named.insert(settlement.work) {
                batch.add(settlement)?;
            }
        }
        Ok(batch)
    }

    /// Whether a delivery of it failed for good.
    pub(super) fn has_failed(&self) -> bool {
        self.conclusions.iter().any(Conclusion::failed)
    }

    /// Those of its rows with a delivery that failed for good, or the others.
    pub(super) fn part(&self, failed: bool) -> Self {
        let of_failed: HashSet<i32> = self
            .conclusions
            .iter()
            .filter(|one| one.failed())
            .map(|one| one.row)
            .collect();
        let mut part = Self::default();
        for (place, row) in (1..).zip(&self.rows) {
            if of_failed.contains(&place) != failed {
                continue;
            }
            part.rows.push(row.clone());
            // No more than there were, so it fits.
            let now = i32::try_from(part.rows.len()).unwrap_or(i32::MAX);
            let conclusions = self.conclusions.iter().filter(|one| one.row == place);
            part.conclusions
                .extend(conclusions.cloned().map(|one| Conclusion { row: now, ..one }));
            let opened = self.opened.iter().filter(|one| one.row == place);
            part.opened.extend(opened.map(|one| Opened { row: now, ..*one }));
        }
        part
    }

    fn add(&mut self, settlement: Settlement) -> Result<(), StoreError> {
        let Settlement {
            work,
            concluded,
            open,
        } = settlement;
        let first = concluded.first().map(|first| first.delivery.message);
        if concluded.iter().any(|one| Some(one.delivery.message) != first) {
            return Err(fault("a settlement is about one message"));
        }
        if !names_each_endpoint_once(&concluded, &open) {
            return Err(fault("a settlement names each endpoint once"));
        }
        let only = match concluded.as_slice() {
            [one] if open.is_empty() => Some(one.delivery.endpoint.as_uuid()),
            _ => None,
        };
        self.rows.push(SettledRow {
            id: work.id.as_uuid(),
            claim: work.claim,
            message: first.map(|message| message.as_uuid()),
            only,
        });
        let place = i32::try_from(self.rows.len()).map_err(|why| corrupt("size of a batch", why))?;
        for one in concluded {
            self.conclusions.push(conclusion(place, one)?);
        }
        self.opened.extend(open.into_iter().map(|new| Opened {
            row: place,
            id: new.id.as_uuid(),
            endpoint: new.endpoint.as_uuid(),
            parked: new.parked,
        }));
        Ok(())
    }
}

fn names_each_endpoint_once(concluded: &[Concluded], open: &[NewWork]) -> bool {
    // Nearly all settlements name one.
    if concluded.len() + open.len() < 2 {
        return true;
    }
    let mut named: HashSet<EndpointId> = HashSet::with_capacity(concluded.len() + open.len());
    let concluded = concluded.iter().map(|one| one.delivery.endpoint);
    let mut all = concluded.chain(open.iter().map(|new| new.endpoint));
    all.all(|endpoint| named.insert(endpoint))
}

fn conclusion(row: i32, concluded: Concluded) -> Result<Conclusion, StoreError> {
    let Concluded {
        delivery,
        attempt,
        retry,
    } = concluded;
    if matches!(delivery.status, DeliveryStatus::Pending { .. }) != retry.is_some() {
        return Err(fault("a retry comes with a pending delivery, and only with one"));
    }
    Ok(Conclusion {
        row,
        endpoint: delivery.endpoint.as_uuid(),
        status: delivery.status.as_str(),
        reason: reason(delivery.status),
        attempts: stored_count("attempts", delivery.attempts)?,
        failures: stored_count("failures", delivery.failures)?,
        retry: retry.map(|retry| (retry.work.as_uuid(), micros(retry.after))),
        attempt: attempted(&delivery, attempt)?,
    })
}

fn attempted(delivery: &Delivery, attempt: Option<Attempt>) -> Result<Option<AttemptChange>, StoreError> {
    let Some(attempt) = attempt else {
        return match delivery.status {
            DeliveryStatus::Cancelled => Ok(None),
            _ => Err(fault("only a cancelled delivery was not attempted")),
        };
    };
    if attempt.number != delivery.attempts {
        return Err(fault("the last attempt has the number of attempts made"));
    }
    let (failure, http_status) = stored_outcome(attempt.outcome);
    let headers = stored_headers(&attempt.response_body.headers)?;
    Ok(Some(AttemptChange {
        started_at: attempt.started_at.as_micros(),
        latency_us: micros(attempt.latency),
        failure,
        http_status,
        body: attempt.response_body.bytes,
        truncated: attempt.response_body.truncated,
        headers,
    }))
}
