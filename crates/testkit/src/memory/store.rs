use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::{
    access::{OperatorScope, PersonScope, TenantScope},
    audit::{Conclusion, Record},
    ports::{Clock, DeadLetterId, NewAnswer, Store, StoreError, UnitOfWork},
};
use postrider_domain::{ApplicationId, EndpointId, TenantId, Timestamp, UserId};
use tokio::sync::OwnedMutexGuard;

use super::{
    bell::Bell,
    deeds::Deed,
    hot::{Direct, Requeue},
    log::PendingEvent,
    relay::EventBells,
    state::{State, fault},
    tables::Configuration,
};

/// A store in memory. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// Held by the open transaction: writers take turns, so that nothing is ever serialised in another order than
    /// it was committed in. Reads and the hot path need no turn.
    writer: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
    /// A clone's own: as though it were another node.
    pub(super) bell: Bell,
    /// As well.
    pub(super) event_bells: EventBells,
}

impl MemoryStore {
    /// An empty store whose now is `clock`'s.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            writer: Arc::default(),
            clock,
            bell: Bell::new(),
            event_bells: EventBells::new(),
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
        Some(configuration.endpoints_version(scope.tenant(), application))
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

    /// Waits for a turn to write: what a transaction holds, and what changes aggregates without one.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.writer.clone().lock_owned().await
    }

    async fn open(&self, confined_to: Confinement) -> MemoryTx {
        let turn = self.turn().await;
        let configuration = self.state().configuration.clone();
        MemoryTx {
            store: self.clone(),
            confined_to,
            configuration,
            events: Vec::new(),
            requeues: Vec::new(),
            deeds: Vec::new(),
            direct: Vec::new(),
            outdated: Vec::new(),
            again: Vec::new(),
            discarded: Vec::new(),
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
        Ok(self.open(Confinement::Tenant(scope.tenant())).await)
    }

    async fn begin_as_operator(&self, _: &OperatorScope) -> Result<MemoryTx, StoreError> {
        Ok(self.open(Confinement::Nothing).await)
    }

    async fn begin_as_person(&self, scope: &PersonScope) -> Result<MemoryTx, StoreError> {
        Ok(self.open(Confinement::Person(scope.user(), scope.tenant())).await)
    }
}

/// What a transaction may see and write.
#[derive(Debug, Clone, Copy)]
enum Confinement {
    /// A tenant's rows.
    Tenant(TenantId),
    /// A person and their sessions, and a tenant's rows.
    Person(UserId, Option<TenantId>),
    /// Everything: the operator's.
    Nothing,
}

/// A transaction of [`MemoryStore`]: a copy of the aggregates, and what is to be queued. Dropping it forgets both.
pub struct MemoryTx {
    pub(super) store: MemoryStore,
    confined_to: Confinement,
    pub(super) configuration: Configuration,
    pub(super) events: Vec<PendingEvent>,
    pub(super) requeues: Vec<Requeue>,
    /// What is done to messages when it commits.
    pub(super) deeds: Vec<Deed>,
    pub(super) direct: Vec<Direct>,
    /// Endpoints of which nothing is known any more that was before.
    pub(super) outdated: Vec<EndpointId>,
    /// Events that were set aside and are to be delivered again.
    pub(super) again: Vec<DeadLetterId>,
    /// Events that were set aside and are given up.
    pub(super) discarded: Vec<DeadLetterId>,
    _turn: OwnedMutexGuard<()>,
}

impl MemoryTx {
    /// The tenant of `scope`, if it is visible in this transaction.
    pub(super) fn visible(&self, scope: &TenantScope) -> Option<TenantId> {
        let tenant = scope.tenant();
        let shown = match self.confined_to {
            Confinement::Tenant(only) => only == tenant,
            Confinement::Person(_, only) => only == Some(tenant),
            Confinement::Nothing => true,
        };
        shown.then_some(tenant)
    }

    /// Refuses an answer to a caller of another tenant, or of none.
    fn may_keep(&self, answer: &NewAnswer) -> Result<(), StoreError> {
        let its_own = match self.confined_to {
            Confinement::Tenant(only) => answer.key.tenant == Some(only),
            Confinement::Person(..) => false,
            Confinement::Nothing => true,
        };
        if its_own {
            Ok(())
        } else {
            Err(fault("an answer to somebody of another tenant"))
        }
    }

    /// The person of `scope`, if this transaction was opened for them.
    pub(super) fn myself(&self, scope: &PersonScope) -> Result<UserId, StoreError> {
        match self.confined_to {
            Confinement::Person(user, _) if user == scope.user() => Ok(user),
            _ => Err(fault("a transaction of another person, or of nobody")),
        }
    }

    /// Refuses what only the operator does.
    pub(super) fn of_operator(&self) -> Result<(), StoreError> {
        match self.confined_to {
            Confinement::Nothing => Ok(()),
            Confinement::Tenant(_) | Confinement::Person(..) => Err(fault("not the operator's transaction")),
        }
    }
}

impl UnitOfWork for MemoryTx {
    async fn commit(self, conclusion: impl Into<Conclusion> + Send) -> Result<(), StoreError> {
        let Conclusion { record, answer } = conclusion.into();
        let now = self.store.now();
        let mut state = self.store.state();
        state.may_append(&record)?;
        if let Some(answer) = &answer {
            self.may_keep(answer)?;
            state.may_keep(answer, now)?;
        }
        if let (Record::Entry(entry), Confinement::Tenant(only)) = (&record, self.confined_to)
            && entry.tenant != Some(only)
        {
            return Err(fault("an audit entry in another tenant's log"));
        }
        // The hot path did not wait for us: what was queued in between counts.
        for requeue in &self.requeues {
            state.hot.may_requeue(requeue)?;
        }
        for deed in &self.deeds {
            deed.may_be_done(&state.hot, now)?;
        }
        for direct in &self.direct {
            state.hot.may_send(direct)?;
        }
        state.configuration = self.configuration;
        for deed in &self.deeds {
            deed.be_done(&mut state.hot, now);
        }
        state.append(record);
        if let Some(answer) = answer {
            state.keep(answer, now);
        }
        for endpoint in self.outdated {
            state.hot.failing.remove(&endpoint);
        }
        state.deliver_again(&self.again);
        state.discard(&self.discarded);
        if !self.events.is_empty() || !self.again.is_empty() || !self.discarded.is_empty() {
            self.store.event_bells.events.ring();
        }
        for event in self.events {
            let position = state.next_position();
            state.events.push(event.at(position, now));
        }
        for requeue in self.requeues {
            state.hot.requeue(requeue, now);
        }
        for direct in self.direct {
            state.hot.send(direct, now);
        }
        Ok(())
    }
}
