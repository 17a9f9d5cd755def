use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postrider_application::{access::TenantScope, ports::Clock};
use postrider_domain::{ApplicationId, TenantId};

use super::{Census, Harness, Ports};
use crate::memory::{MemoryStore, TestClock};

/// The harness of [`MemoryStore`]: time passes because its clock is moved.
pub struct MemoryHarness {
    clock: Arc<TestClock>,
    store: MemoryStore,
}

impl Harness for MemoryHarness {
    type Store = MemoryStore;

    async fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        Self {
            store: MemoryStore::new(clock.clone()),
            clock,
        }
    }

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    fn ports(&self) -> Ports {
        Ports::of(&self.store)
    }

    async fn another_node(&self) -> Option<Ports> {
        Some(self.ports())
    }

    async fn age(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn postpone(&self, by: Duration) {
        self.store.postpone_work(by);
    }

    async fn endpoints_version(&self, scope: &TenantScope, application: ApplicationId) -> i64 {
        self.store.endpoints_version(scope, application).unwrap()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

impl Census for MemoryHarness {
    async fn rows(&self, of: Option<TenantId>) -> BTreeMap<String, u64> {
        self.store.rows(of)
    }
}
