use std::collections::HashSet;

use postrider_application::ports::{Epoch, NewWork, Retry, Settled, Settlement, StoreError};
use postrider_domain::{
    Timestamp, WorkId,
    deliveries::{Attempt, Delivery, DeliveryStatus},
};

use super::{
    hot::{Hot, NOBODY, Work},
    state::fault,
};

impl Hot {
    /// Writes what became of the rows that `node` holds, all or nothing; the rows that it held.
    pub(super) fn settle(
        &mut self,
        node: Epoch,
        batch: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<WorkId>, StoreError> {
        let mut seen = HashSet::new();
        let held: Vec<(Settlement, Work)> = batch
            .into_iter()
            .filter_map(|settlement| {
                let row = self.work.get(&settlement.work.id)?;
                let ours = row.is_held(node, settlement.work) && seen.insert(settlement.work.id);
                ours.then(|| (settlement, row.clone()))
            })
            .collect();
        // Nothing is written before everything was looked at: a fault fails the batch whole.
        for (settlement, row) in &held {
            self.check(settlement, row)?;
        }
        let mut done = Vec::with_capacity(held.len());
        for (settlement, row) in held {
            self.work.remove(&settlement.work.id);
            done.push(settlement.work.id);
            match settlement.settled {
                Settled::FannedOut(rows) => self.explode(&row, rows, node),
                Settled::Attempted {
                    delivery,
                    attempt,
                    retry,
                } => self.attempted(&row, delivery, attempt, retry, now),
                Settled::Cancelled { delivery } => self.write(row.tenant, row.application, delivery, now),
            }
        }
        Ok(done)
    }

    /// Refuses what the engine must not ask for, and what the queue's constraints forbid.
    fn check(&self, settlement: &Settlement, row: &Work) -> Result<(), StoreError> {
        let about = |delivery: &Delivery| {
            delivery.message == row.message
                && row.endpoint.is_none_or(|endpoint| endpoint == delivery.endpoint)
        };
        let is_new = |id: &WorkId| !self.work.contains_key(id);
        match &settlement.settled {
            Settled::FannedOut(rows) => {
                if row.endpoint.is_some() {
                    return Err(fault("only a message is fanned out"));
                }
                let queued = |new: &NewWork| self.queued(row.message, new.endpoint).is_some();
                let endpoints: HashSet<_> = rows.iter().map(|new| new.endpoint).collect();
                let twice = endpoints.len() != rows.len();
                if twice || rows.iter().any(|new| queued(new) || !is_new(&new.id)) {
                    return Err(fault("a delivery is queued once, under an id of its own"));
                }
            }
            Settled::Attempted { delivery, retry, .. } => {
                let pending = matches!(delivery.status, DeliveryStatus::Pending { .. });
                if !about(delivery) || pending != retry.is_some() {
                    return Err(fault("another delivery, or a retry of what is not pending"));
                }
                if retry.is_some_and(|retry| !is_new(&retry.work)) {
                    return Err(fault("a retry has an id of its own"));
                }
            }
            Settled::Cancelled { delivery } => {
                if !about(delivery) || delivery.status != DeliveryStatus::Cancelled {
                    return Err(fault("another delivery, or one that is not cancelled"));
                }
            }
        }
        Ok(())
    }

    fn explode(&mut self, fan_out: &Work, rows: Vec<NewWork>, node: Epoch) {
        for new in rows {
            let row = Work {
                endpoint: Some(new.endpoint),
                owner: node.0,
                claim: 1,
                ..fan_out.clone()
            };
            self.work.insert(new.id, row);
        }
    }

    fn attempted(
        &mut self,
        row: &Work,
        delivery: Delivery,
        attempt: Attempt,
        retry: Option<Retry>,
        now: Timestamp,
    ) {
        if let Some(retry) = retry {
            let next = Work {
                endpoint: Some(delivery.endpoint),
                due_at: now.plus(retry.after),
                owner: NOBODY,
                claim: 0,
                attempts: delivery.attempts,
                failures: delivery.failures,
                ..row.clone()
            };
            self.work.insert(retry.work, next);
        }
        let key = (delivery.message, delivery.endpoint, attempt.number);
        self.attempts.insert(key, attempt);
        self.write(row.tenant, row.application, delivery, now);
    }
}
