use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{EndpointHealth, FailingEndpoint, Settlement, StoreError};
use postrider_domain::{
    EndpointId, Timestamp,
    deliveries::{FailureClass, Outcome},
};

use super::{
    hot::{Hot, Work},
    store::MemoryStore,
};

#[async_trait]
impl EndpointHealth for MemoryStore {
    async fn failing_for(&self, at_least: Duration, limit: u32) -> Result<Vec<FailingEndpoint>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let enabled = |id: &EndpointId| {
            let row = state.configuration.endpoints.get(id);
            row.is_some_and(|row| !row.state.status.is_disabled())
        };
        let failing = state.hot.failing.values();
        let mut failing: Vec<_> = failing
            .filter(|failing| failing.since.plus(at_least) <= now && enabled(&failing.endpoint))
            .copied()
            .collect();
        failing.sort_by_key(|failing| (failing.since, failing.endpoint));
        failing.truncate(limit as usize);
        Ok(failing)
    }
}

impl Hot {
    /// Notes which endpoints fail and which do not, by the attempts of a batch.
    pub(super) fn note_health(&mut self, settled: &[(Settlement, Work)], now: Timestamp) {
        let mut fails = BTreeMap::new();
        for (settlement, row) in settled {
            for concluded in &settlement.concluded {
                let Some(attempt) = &concluded.attempt else {
                    continue;
                };
                let Some(failed) = tells_failure(attempt.outcome) else {
                    continue;
                };
                let failing = FailingEndpoint {
                    tenant: row.tenant,
                    application: row.application,
                    endpoint: concluded.delivery.endpoint,
                    since: now,
                };
                let (only_failed, _) = fails.entry(failing.endpoint).or_insert((true, failing));
                *only_failed &= failed;
            }
        }
        for (endpoint, (only_failed, failing)) in fails {
            if only_failed {
                self.failing.entry(endpoint).or_insert(failing);
            } else {
                self.failing.remove(&endpoint);
            }
        }
    }
}

/// What an attempt tells of its endpoint's health: whether it failed, or nothing.
fn tells_failure(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Delivered { .. } => Some(false),
        Outcome::Failed {
            status: Some(410), ..
        }
        | Outcome::Failed {
            class: FailureClass::Internal,
            ..
        } => None,
        Outcome::Failed { .. } => Some(true),
    }
}
