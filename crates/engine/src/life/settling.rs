//! Outcomes on their way into the database.

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_application::ports::{Concluded, Settlement, StoreError, WorkRef};
use postrider_domain::{
    ApplicationId, TenantId, WorkId,
    deliveries::{DeliveryStatus, FailureReason},
    endpoints::DisableReason,
};

use super::{Done, Life, fan_out::Part};
use crate::{
    batches::Batch,
    budget::Permit,
    ports::{bounded, warn},
};

/// Of which tenant and application it is.
pub(super) type Whose = (TenantId, ApplicationId);

/// A settlement, and the room that it takes until it is written.
pub(super) struct Settling {
    whose: Whose,
    settlement: Settlement,
    /// Given back when it is dropped.
    _permit: Permit,
}

impl Settling {
    pub(super) const fn new(whose: Whose, settlement: Settlement, permit: Permit) -> Self {
        Self {
            whose,
            settlement,
            _permit: permit,
        }
    }
}

impl Life {
    /// What became of a delivery that has a row of its own.
    pub(super) fn settle_row(&mut self, whose: Whose, row: WorkRef, part: Part) {
        let settlement = Settlement {
            work: row,
            concluded: vec![part.concluded],
            open: Vec::new(),
        };
        self.settling.push(Settling::new(whose, settlement, part.permit));
    }

    /// Writes outcomes.
    pub(super) fn settle(&mut self, now: Duration) {
        let Some(batch) = self.settling.next(now) else {
            return;
        };
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        self.calls.spawn(async move {
            let settlements = batch.rows.iter().map(|row| row.settlement.clone()).collect();
            let settled = bounded(timeout, queue.settle(epoch, settlements)).await;
            Done::Settled(batch, settled)
        });
    }

    pub(super) fn settled(&mut self, batch: Batch<Settling>, settled: Result<Vec<WorkId>, StoreError>) {
        let settled: HashSet<WorkId> = match settled {
            Ok(settled) => settled.into_iter().collect(),
            Err(error) => {
                warn("a settle failed", &error);
                let now = self.now();
                self.settling.failed(batch, &error, now);
                return;
            }
        };
        self.settling.succeeded();
        let now = self.now();
        for Settling {
            whose, settlement, ..
        } in &batch.rows
        {
            let row = settlement.work;
            let known = settled.contains(&row.id);
            if !known {
                tracing::debug!(work = %row.id, batch.uncertain, "not settled: settled before, or another node's");
            }
            self.forget_row(row);
            for concluded in &settlement.concluded {
                if let Some(retry) = concluded.retry {
                    self.claims.due_at(now + retry.after);
                }
                // An answer that was lost may have said so.
                if known || batch.uncertain {
                    self.guard(*whose, concluded);
                }
            }
            if known || batch.uncertain {
                self.note_parked(&settlement.open);
            }
            self.exploded(*whose, row.id, known, batch.uncertain);
        }
    }

    /// Disables an endpoint that said that it is gone. If that fails, its next answer says so again.
    fn guard(&mut self, whose: Whose, concluded: &Concluded) {
        let delivery = &concluded.delivery;
        if delivery.status != DeliveryStatus::Failed(FailureReason::Gone) {
            return;
        }
        let ((tenant, application), endpoint) = (whose, delivery.endpoint);
        if !self.guarding.insert(endpoint) {
            return;
        }
        // Whoever has changed the endpoint meanwhile has changed what was gone.
        let seen = self.gone.remove(&endpoint);
        let (guard, timeout) = (Arc::clone(&self.ports.guard), self.options.store_timeout);
        self.calls.spawn(async move {
            let disabled = guard.disable(tenant, application, endpoint, DisableReason::Gone, seen);
            if let Err(error) = bounded(timeout, disabled).await {
                warn("an endpoint that is gone could not be disabled", &error);
            }
            Done::Guarded(endpoint)
        });
    }
}
