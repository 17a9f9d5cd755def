//! Outcomes on their way into the database.

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_application::ports::{Settlement, StoreError, WorkRef};
use postrider_domain::{ApplicationId, TenantId, WorkId, endpoints::DisableReason};

use super::{
    Done, Life,
    fan_out::{Gone, Part},
};
use crate::{
    batches::Batch,
    budget::Permit,
    store_calls::{bounded, warn},
};

/// Of which tenant and application it is.
pub(super) type Whose = (TenantId, ApplicationId);

/// A settlement, and the room that it takes until it is written.
pub(super) struct Settling {
    whose: Whose,
    settlement: Settlement,
    /// Endpoints that said that they are gone.
    gone: Vec<Gone>,
    /// Given back when it is dropped.
    _permit: Permit,
}

impl Settling {
    pub(super) const fn new(whose: Whose, settlement: Settlement, gone: Vec<Gone>, permit: Permit) -> Self {
        Self {
            whose,
            settlement,
            gone,
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
        let gone = part.gone.into_iter().collect();
        self.settling
            .push(Settling::new(whose, settlement, gone, part.permit));
    }

    /// Writes outcomes.
    pub(super) fn settle(&mut self, now: Duration) {
        let Some(batch) = self.settling.next(now) else {
            return;
        };
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        let (shared, clock) = (Arc::clone(&self.shared), Arc::clone(&self.ports.clock));
        self.calls.spawn(async move {
            let begun = clock.monotonic();
            let settlements = batch.rows.iter().map(|row| row.settlement.clone()).collect();
            let settled = bounded(timeout, queue.settle(epoch, settlements)).await;
            if settled.is_ok() {
                let elapsed = clock.monotonic().saturating_sub(begun);
                shared.metrics.settled(batch.rows.len(), elapsed);
            }
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
        // What an answer that was lost may have said counts as said.
        let written = batch
            .rows
            .iter()
            .filter(|row| batch.uncertain || settled.contains(&row.settlement.work.id));
        let concluded = written.clone().flat_map(|row| &row.settlement.concluded);
        self.shared.metrics.concluded(concluded);
        self.shared.figures.settled(written.flat_map(|row| {
            let (tenant, application) = row.whose;
            let concluded = row.settlement.concluded.iter();
            concluded.map(move |concluded| (tenant, application, concluded))
        }));
        for Settling {
            whose,
            settlement,
            gone,
            ..
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
            }
            // An answer that was lost may have said so.
            if known || batch.uncertain {
                for gone in gone {
                    self.guard(*whose, *gone);
                }
                self.note_parked(&settlement.open);
            }
            self.exploded(*whose, row.id, known, batch.uncertain);
        }
    }

    /// Disables an endpoint that said that it is gone, unless it was changed since it was sent to. If that fails, its
    /// next answer says so again.
    fn guard(&mut self, (tenant, application): Whose, (endpoint, version): Gone) {
        if !self.guarding.insert(endpoint) {
            return;
        }
        let seen = Some(version);
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
