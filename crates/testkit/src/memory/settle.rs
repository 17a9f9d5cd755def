use std::collections::HashSet;

use postrider_application::ports::{Concluded, Epoch, NewWork, Settlement, StoreError};
use postrider_domain::{EndpointId, Timestamp, WorkId, deliveries::DeliveryStatus};

use super::{
    hot::{Failed, Hot, NOBODY, PARKED, Work},
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
        self.check(&held)?;
        self.note_health(&held, now);
        let mut done = Vec::with_capacity(held.len());
        for (settlement, row) in held {
            self.work.remove(&settlement.work.id);
            done.push(settlement.work.id);
            for new in settlement.open {
                self.open(&row, new, node);
            }
            for concluded in settlement.concluded {
                self.conclude(&row, concluded, now);
            }
        }
        Ok(done)
    }

    /// Refuses what the engine must not ask for, and what the queue's constraints forbid.
    fn check(&self, held: &[(Settlement, Work)]) -> Result<(), StoreError> {
        let mut ids = HashSet::new();
        for (settlement, row) in held {
            let Settlement { concluded, open, .. } = settlement;
            match row.endpoint {
                Some(_) => check_delivery(settlement, row)?,
                None => self.check_fan_out(settlement, row)?,
            }
            for one in concluded {
                check_conclusion(one, row)?;
            }
            let retries = concluded.iter().filter_map(|one| one.retry.as_ref());
            let new = retries
                .map(|retry| retry.work)
                .chain(open.iter().map(|new| new.id));
            for id in new {
                if self.work.contains_key(&id) || !ids.insert(id) {
                    return Err(fault("a new row has an id of its own"));
                }
            }
        }
        Ok(())
    }

    fn check_fan_out(&self, settlement: &Settlement, row: &Work) -> Result<(), StoreError> {
        let mut named = HashSet::new();
        let concluded = settlement.concluded.iter().map(|one| one.delivery.endpoint);
        let open = settlement.open.iter().map(|new| new.endpoint);
        if !concluded.chain(open).all(|endpoint| named.insert(endpoint)) {
            return Err(fault("an endpoint is named once"));
        }
        let queued = |endpoint: &EndpointId| self.queued(row.message, *endpoint).is_some();
        if named.iter().any(queued) {
            return Err(fault("a delivery is queued once"));
        }
        Ok(())
    }

    fn open(&mut self, fan_out: &Work, new: NewWork, node: Epoch) {
        let row = Work {
            endpoint: Some(new.endpoint),
            owner: if new.parked { PARKED } else { node.0 },
            claim: i32::from(!new.parked),
            ..fan_out.clone()
        };
        self.work.insert(new.id, row);
    }

    fn conclude(&mut self, row: &Work, concluded: Concluded, now: Timestamp) {
        let Concluded {
            delivery,
            attempt,
            retry,
        } = concluded;
        if let Some(retry) = retry {
            let next = Work {
                endpoint: Some(delivery.endpoint),
                due_at: now.plus(retry.after),
                owner: NOBODY,
                claim: 0,
                attempts: delivery.attempts,
                failures: delivery.failures,
                asked_for: false,
                asked_in: None,
                ..row.clone()
            };
            self.work.insert(retry.work, next);
        }
        if let Some(attempt) = attempt {
            let key = (delivery.message, delivery.endpoint, attempt.number);
            self.attempts.insert(key, attempt);
        }
        if let DeliveryStatus::Failed(reason) = delivery.status {
            self.failed.push(Failed {
                tenant: row.tenant,
                application: row.application,
                message: row.message,
                endpoint: delivery.endpoint,
                reason: reason.as_str(),
            });
        }
        self.write(row.tenant, row.application, delivery, now);
    }
}

fn check_delivery(settlement: &Settlement, row: &Work) -> Result<(), StoreError> {
    match settlement.concluded.as_slice() {
        [one] if settlement.open.is_empty() && row.endpoint == Some(one.delivery.endpoint) => Ok(()),
        _ => Err(fault("a delivery has one conclusion, its own")),
    }
}

fn check_conclusion(concluded: &Concluded, row: &Work) -> Result<(), StoreError> {
    let Concluded {
        delivery,
        attempt,
        retry,
    } = concluded;
    let pending = matches!(delivery.status, DeliveryStatus::Pending { .. });
    if delivery.message != row.message || pending != retry.is_some() {
        return Err(fault(
            "another message's delivery, or a retry of what is not pending",
        ));
    }
    if attempt.is_none() && delivery.status != DeliveryStatus::Cancelled {
        return Err(fault("only a cancelled delivery needs no attempt"));
    }
    Ok(())
}
