use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::{
    access::{OperatorScope, TenantScope},
    ports::{Clock, Store, StoreError, UnitOfWork},
};
use postrider_domain::{ApplicationId, TenantId, Timestamp};
use tokio::sync::OwnedMutexGuard;

use super::{hot::Requeue, log::PendingEvent, state::State, tables::Configuration};

/// A store in memory. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// Held by the open transaction: writers take turns, so that nothing is ever serialised in another order than
    /// it was committed in. Reads and the hot path need no turn.
    writer: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store whose now is `clock`'s.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            writer: Arc::default(),
            clock,
        }
    }

    /// The store's now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is committed. Never held across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while holding it has failed already; others may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the application's endpoints were said to have changed.
    pub fn endpoints_version(&self, scope: &TenantScope, application: ApplicationId) -> Option<i64> {
        let state = self.state();
        let configuration = &state.configuration;
        configuration.application(scope.tenant(), application)?;
        Some(
            configuration
                .endpoints_versions
                .get(&application)
                .copied()
                .unwrap_or(0),
        )
    }

    /// Makes every row of the queue due `by` later than it was, as though it had been claimed too early: for
    /// tests of what happens to rows that are owned and not due.
    pub fn postpone_work(&self, by: Duration) {
        for row in self.state().hot.work.values_mut() {
            row.due_at = row.due_at.plus(by);
        }
    }

    /// How many rows the queue holds, claimed ones too.
    pub fn queued(&self) -> usize {
        self.state().hot.work.len()
    }

    async fn open(&self, confined_to: Option<TenantId>) -> MemoryTx {
        let turn = self.writer.clone().lock_owned().await;
        let configuration = self.state().configuration.clone();
        MemoryTx {
            store: self.clone(),
            confined_to,
            configuration,
            events: Vec::new(),
            requeues: Vec::new(),
            _turn: turn,
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore(…)")
    }
}

impl Store for MemoryStore {
    type Tx = MemoryTx;

    async fn begin(&self, scope: &TenantScope) -> Result<MemoryTx, StoreError> {
        Ok(self.open(Some(scope.tenant())).await)
    }

    async fn begin_as_operator(&self, _: &OperatorScope) -> Result<MemoryTx, StoreError> {
        Ok(self.open(None).await)
    }
}

/// A transaction of [`MemoryStore`]: a copy of the aggregates, and what is to be queued. Dropping it forgets both.
pub struct MemoryTx {
    pub(super) store: MemoryStore,
    /// The tenant that it was opened for; none: the operator's.
    confined_to: Option<TenantId>,
    pub(super) configuration: Configuration,
    pub(super) events: Vec<PendingEvent>,
    pub(super) requeues: Vec<Requeue>,
    _turn: OwnedMutexGuard<()>,
}

impl MemoryTx {
    /// The tenant of `scope`, if it is visible in this transaction.
    pub(super) fn visible(&self, scope: &TenantScope) -> Option<TenantId> {
        let tenant = scope.tenant();
        self.confined_to
            .is_none_or(|only| only == tenant)
            .then_some(tenant)
    }
}

impl UnitOfWork for MemoryTx {
    async fn commit(self) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut state = self.store.state();
        // The hot path did not wait for us: what was queued in between counts.
        for requeue in &self.requeues {
            state.hot.may_requeue(requeue)?;
        }
        state.configuration = self.configuration;
        for event in self.events {
            let position = i64::try_from(state.events.len()).unwrap_or(i64::MAX - 1) + 1;
            state.events.push(event.at(position));
        }
        for requeue in self.requeues {
            state.hot.requeue(requeue, now);
        }
        Ok(())
    }
}
