//! What the tests of the background writers share.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    audit::AuditEntry,
    ports::{ErasureStep, Housekeeping, StoreError},
};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};

/// A use of a key.
pub(super) type Use = (TenantId, ApiKeyId, Timestamp);

/// Remembers what is written, each entry once; fails as often as it is told, before or after it has written, and can
/// fall silent.
#[derive(Default)]
pub(super) struct Written {
    /// Each batch of entries that was written.
    pub(super) audit: Mutex<Vec<Vec<AuditEntry>>>,
    /// Each batch of uses that was written.
    pub(super) uses: Mutex<Vec<Vec<Use>>>,
    failures: Mutex<usize>,
    unheard: Mutex<usize>,
    silent: Mutex<bool>,
}

impl Written {
    /// Fails the next `times` writes.
    pub(super) fn failing(times: usize) -> Arc<Self> {
        Arc::new(Self {
            failures: Mutex::new(times),
            ..Self::default()
        })
    }

    /// Writes, and loses the answer of the next `times` writes.
    pub(super) fn unheard(times: usize) -> Arc<Self> {
        Arc::new(Self {
            unheard: Mutex::new(times),
            ..Self::default()
        })
    }

    /// Never answers.
    pub(super) fn silent() -> Arc<Self> {
        Arc::new(Self {
            silent: Mutex::new(true),
            ..Self::default()
        })
    }

    async fn answer(&self) -> Result<(), StoreError> {
        if *self.silent.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::Unavailable("away".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Housekeeping for Written {
    async fn forget_expired(&self, _: u32) -> Result<u32, StoreError> {
        unreachable!("the writers do not ask for it")
    }

    async fn erase(&self, _: u32, _: Duration) -> Result<ErasureStep, StoreError> {
        unreachable!("the writers do not ask for it")
    }

    async fn record_key_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.answer().await?;
        self.uses.lock().unwrap().push(uses.to_vec());
        Ok(())
    }

    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.answer().await?;
        {
            let mut audit = self.audit.lock().unwrap();
            let is_new = |entry: &&AuditEntry| audit.iter().flatten().all(|known| known.id != entry.id);
            let new: Vec<_> = entries.iter().filter(is_new).cloned().collect();
            if !new.is_empty() {
                audit.push(new);
            }
        }
        let unheard = {
            let mut unheard = self.unheard.lock().unwrap();
            let now = *unheard > 0;
            *unheard = unheard.saturating_sub(1);
            now
        };
        if unheard {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
