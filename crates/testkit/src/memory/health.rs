use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{EndpointHealth, FailingEndpoint, Settlement, StoreError};
use postrider_domain::{
    ApplicationId, EndpointId, TenantId, Timestamp,
    deliveries::{FailureClass, Outcome},
};

use super::{
    hot::{Hot, Work},
    store::MemoryStore,
};

/// To which endpoint every attempt has failed, from when to when.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) tenant: TenantId,
    application: ApplicationId,
    since: Timestamp,
    last_at: Timestamp,
}

#[async_trait]
impl EndpointHealth for MemoryStore {
    async fn failing_for(&self, at_least: Duration, limit: u32) -> Result<Vec<FailingEndpoint>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let named = |(id, row): (&EndpointId, &Failing)| {
            let endpoint = state.configuration.endpoints.get(id)?;
            let long = row.since.plus(at_least) <= row.last_at.min(now);
            (long && !endpoint.state.status.is_disabled()).then_some(FailingEndpoint {
                tenant: row.tenant,
                application: row.application,
                endpoint: *id,
                version: endpoint.version,
                since: row.since,
                last_at: row.last_at,
            })
        };
        let mut failing: Vec<_> = state.hot.failing.iter().filter_map(named).collect();
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
                let failing = Failing {
                    tenant: row.tenant,
                    application: row.application,
                    since: now,
                    last_at: now,
                };
                let endpoint = concluded.delivery.endpoint;
                let (only_failed, _) = fails.entry(endpoint).or_insert((true, failing));
                *only_failed &= failed;
            }
        }
        for (endpoint, (only_failed, failing)) in fails {
            if only_failed {
                let row = self.failing.entry(endpoint).or_insert(failing);
                if row.last_at.plus(FailingEndpoint::LAST_AT_STEP) <= now {
                    row.last_at = now;
                }
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
