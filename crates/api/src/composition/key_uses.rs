//! When API keys were last used, on its way into the database: noted at once, written now and then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::ports::{Housekeeping, KeyUses};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};
use tokio::time;
use tokio_util::sync::CancellationToken;

/// The most keys that are noted between two writes; what is used beyond that is noted the next time.
const MAX_KEYS: usize = 10_000;
/// How often they are written.
const INTERVAL: Duration = Duration::from_secs(30);
/// How many are written at once.
const BATCH: usize = 500;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

type Noted = HashMap<(TenantId, ApiKeyId), Timestamp>;

/// Notes uses; [`KeyUseWriter`] writes them.
#[derive(Clone, Default)]
pub(super) struct NotedKeyUses(Arc<Mutex<Noted>>);

impl NotedKeyUses {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        // A note is whole before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyUses for NotedKeyUses {
    fn used(&self, tenant: TenantId, key: ApiKeyId, at: Timestamp) {
        let mut noted = self.noted();
        let key = (tenant, key);
        if let Some(known) = noted.get_mut(&key) {
            *known = at.max(*known);
        } else if noted.len() < MAX_KEYS {
            noted.insert(key, at);
        }
    }
}

/// Writes what [`NotedKeyUses`] noted.
pub(super) struct KeyUseWriter {
    noted: NotedKeyUses,
    store: Arc<dyn Housekeeping>,
}

impl KeyUseWriter {
    pub(super) fn new(noted: &NotedKeyUses, store: Arc<dyn Housekeeping>) -> Self {
        Self {
            noted: noted.clone(),
            store,
        }
    }

    /// Writes until `shutdown`, and then what is left.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        while shutdown
            .run_until_cancelled(time::sleep(INTERVAL))
            .await
            .is_some()
        {
            self.write().await;
        }
        self.write().await;
    }

    /// A use that cannot be written is forgotten: whoever uses a key uses it again.
    async fn write(&self) {
        let uses: Vec<_> = self
            .noted
            .noted()
            .drain()
            .map(|((tenant, key), at)| (tenant, key, at))
            .collect();
        for batch in uses.chunks(BATCH) {
            let failure = match time::timeout(WRITE_TIMEOUT, self.store.record_key_uses(batch)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(error = failure, "the last uses of API keys were not written");
            return;
        }
    }
}

#[cfg(test)]
#[path = "key_uses_tests.rs"]
mod tests;
