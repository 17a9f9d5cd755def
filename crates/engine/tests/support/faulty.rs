//! A store that counts its calls and loses answers: between an engine and the memory store, by command.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliverableEndpoint, DeliveryMaterial, DeliveryQueue, EndpointSet, Epoch,
    MessageWriter, NewMessage, NodeRegistry, ReadMessage, Settlement, StoreError, WorkBell, WorkRef,
    WriteError, Written,
};
use postrider_domain::{ApplicationId, EndpointId, MessageId, TenantId, Timestamp, WorkId};
use postrider_testkit::memory::MemoryStore;

/// What is asked of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    Write,
    Claim,
    ClaimParked,
    ClaimDead,
    Settle,
    HandBack,
    Park,
    ParkedEndpoints,
    Owned,
    StillHeld,
    NextDue,
    Messages,
    Endpoints,
    Join,
    Beat,
    Bury,
    Leave,
    Ring,
}

impl Op {
    /// All that takes rows from the database, or reads what is needed for them.
    pub(crate) const fn reads() -> [Self; 6] {
        [
            Self::Claim,
            Self::ClaimParked,
            Self::ClaimDead,
            Self::Messages,
            Self::Endpoints,
            Self::StillHeld,
        ]
    }
}

/// What happens to the next call of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails, and nothing happened.
    Before,
    /// It is committed, and the answer is lost.
    After,
    /// Nothing happens, and nobody answers.
    Hangs,
}

/// Says what happens to a call for which nothing is planned.
pub(crate) type Chance = Box<dyn FnMut(Op) -> Option<Fault> + Send>;

#[derive(Default)]
pub(crate) struct Faults {
    planned: Mutex<HashMap<Op, VecDeque<Fault>>>,
    pub(crate) chance: Mutex<Option<Chance>>,
    counts: Mutex<HashMap<Op, usize>>,
    /// How long each call takes.
    pub(crate) latency: Mutex<Duration>,
    /// While set, no beat gets through.
    pub(crate) no_beats: AtomicBool,
    /// Endpoints are read without their secrets.
    pub(crate) no_secrets: AtomicBool,
    /// Endpoints are read without their URLs.
    pub(crate) no_urls: AtomicBool,
    /// Messages are gone.
    pub(crate) no_messages: AtomicBool,
    /// Endpoints are remembered once they were read.
    pub(crate) remembers: AtomicBool,
    /// The messages whose reading the database refuses.
    pub(crate) poison: Mutex<HashSet<MessageId>>,
    /// The messages of which nothing can be settled.
    pub(crate) unwritable: Mutex<HashSet<MessageId>>,
    /// How many rows were asked for by each claim.
    pub(crate) limits: Mutex<Vec<u32>>,
    /// Attempts that were written, and how often.
    pub(crate) written: Mutex<HashMap<(MessageId, EndpointId, u32), usize>>,
}

impl Faults {
    /// So fail the next calls.
    pub(crate) fn plan(&self, op: Op, faults: impl IntoIterator<Item = Fault>) {
        self.planned.lock().unwrap().entry(op).or_default().extend(faults);
    }

    /// Whether all that was planned for `op` has happened.
    pub(crate) fn are_over(&self, op: Op) -> bool {
        self.planned
            .lock()
            .unwrap()
            .get(&op)
            .is_none_or(VecDeque::is_empty)
    }

    /// How often it was asked for.
    pub(crate) fn count(&self, op: Op) -> usize {
        self.counts.lock().unwrap().get(&op).copied().unwrap_or(0)
    }

    fn next(&self, op: Op) -> Option<Fault> {
        *self.counts.lock().unwrap().entry(op).or_default() += 1;
        let planned = self
            .planned
            .lock()
            .unwrap()
            .get_mut(&op)
            .and_then(VecDeque::pop_front);
        planned.or_else(|| self.chance.lock().unwrap().as_mut().and_then(|chance| chance(op)))
    }

    fn note_written(&self, batch: &[Settlement], settled: &[WorkId]) {
        let mut written = self.written.lock().unwrap();
        let settled = batch
            .iter()
            .filter(|settlement| settled.contains(&settlement.work.id));
        for concluded in settled.flat_map(|settlement| &settlement.concluded) {
            let Some(attempt) = &concluded.attempt else {
                continue;
            };
            let delivery = &concluded.delivery;
            let key = (delivery.message, delivery.endpoint, attempt.number);
            *written.entry(key).or_default() += 1;
        }
    }

    async fn with<T, E>(
        &self,
        op: Op,
        lost: fn(Fault) -> E,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let latency = *self.latency.lock().unwrap();
        match self.next(op) {
            None => {
                delay(latency / 2).await;
                let answer = call.await;
                delay(latency / 2).await;
                answer
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Before) => {
                delay(latency).await;
                Err(lost(Fault::Before))
            }
            Some(Fault::After) => {
                call.await?;
                delay(latency).await;
                Err(lost(Fault::After))
            }
        }
    }

    async fn of<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.with(op, |_| away(), call).await
    }
}

async fn delay(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("connection reset".into())
}

/// One node's way to the store.
pub(crate) struct Faulty {
    store: MemoryStore,
    pub(crate) faults: Arc<Faults>,
    known: Mutex<HashMap<ApplicationId, Arc<EndpointSet>>>,
}

impl Faulty {
    pub(crate) fn new(store: MemoryStore, faults: &Arc<Faults>) -> Self {
        Self {
            store,
            faults: Arc::clone(faults),
            known: Mutex::default(),
        }
    }
}

#[async_trait]
impl MessageWriter for Faulty {
    async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let lost = |fault| match fault {
            Fault::Before => WriteError::Unavailable(away()),
            _ => WriteError::Unknown(away()),
        };
        self.faults.with(Op::Write, lost, self.store.write(batch)).await
    }

    async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let lost = |fault| match fault {
            Fault::Before => WriteError::Unavailable(away()),
            _ => WriteError::Unknown(away()),
        };
        self.faults
            .with(Op::Write, lost, self.store.write_all(batch))
            .await
    }

    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError> {
        self.store.forget_expired_keys(limit).await
    }
}

#[async_trait]
impl DeliveryQueue for Faulty {
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError> {
        let op = match from {
            ClaimFrom::Queue { .. } => Op::Claim,
            ClaimFrom::Parked { .. } => Op::ClaimParked,
            ClaimFrom::Dead(_) => Op::ClaimDead,
        };
        self.faults.limits.lock().unwrap().push(limit);
        self.faults.of(op, self.store.claim(node, from, limit)).await
    }

    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError> {
        let refused = {
            let unwritable = self.faults.unwritable.lock().unwrap();
            let concluded = batch.iter().flat_map(|settlement| &settlement.concluded);
            concluded
                .map(|concluded| concluded.delivery.message)
                .any(|message| unwritable.contains(&message))
        };
        if refused {
            return Err(StoreError::Internal("this row cannot be written".into()));
        }
        let settle = async {
            let settled = self.store.settle(node, batch.clone()).await?;
            self.faults.note_written(&batch, &settled);
            Ok(settled)
        };
        self.faults.of(Op::Settle, settle).await
    }

    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        self.faults
            .of(Op::HandBack, self.store.hand_back(node, rows))
            .await
    }

    async fn park(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        self.faults.of(Op::Park, self.store.park(node, rows)).await
    }

    async fn parked_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
    ) -> Result<Vec<EndpointId>, StoreError> {
        let call = self.store.parked_endpoints(after, limit);
        self.faults.of(Op::ParkedEndpoints, call).await
    }

    async fn owned(
        &self,
        node: Epoch,
        age: Duration,
        after: Option<(Timestamp, WorkId)>,
        limit: u32,
    ) -> Result<Vec<ClaimedWork>, StoreError> {
        let call = self.store.owned(node, age, after, limit);
        self.faults.of(Op::Owned, call).await
    }

    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError> {
        self.faults
            .of(Op::StillHeld, self.store.still_held(node, rows))
            .await
    }

    async fn next_due(&self, low: Option<Timestamp>) -> Result<Option<Duration>, StoreError> {
        self.faults.of(Op::NextDue, self.store.next_due(low)).await
    }
}

#[async_trait]
impl NodeRegistry for Faulty {
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError> {
        if self.faults.no_beats.load(Ordering::SeqCst) {
            return Err(away());
        }
        self.faults.of(Op::Join, self.store.join(ttl)).await
    }

    async fn beat(&self, node: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        if self.faults.no_beats.load(Ordering::SeqCst) {
            return Err(away());
        }
        self.faults.of(Op::Beat, self.store.beat(node, ttl)).await
    }

    async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
        self.faults.of(Op::Bury, self.store.bury()).await
    }

    async fn leave(&self, node: Epoch) -> Result<(), StoreError> {
        self.faults.of(Op::Leave, self.store.leave(node)).await
    }
}

#[async_trait]
impl WorkBell for Faulty {
    async fn ring(&self) -> Result<(), StoreError> {
        self.faults.of(Op::Ring, self.store.ring()).await
    }

    async fn rung(&self) -> Result<(), StoreError> {
        self.store.rung().await
    }
}

#[async_trait]
impl DeliveryMaterial for Faulty {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        let poisoned = {
            let poison = self.faults.poison.lock().unwrap();
            keys.iter().any(|(_, id)| poison.contains(id))
        };
        let read = async {
            if poisoned {
                return Err(StoreError::Internal("this row cannot be read".into()));
            }
            self.store.messages(keys).await
        };
        let messages = self.faults.of(Op::Messages, read).await?;
        let gone = self.faults.no_messages.load(Ordering::SeqCst);
        Ok(if gone { HashMap::new() } else { messages })
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        let call = self.store.endpoints(applications);
        let mut sets = self.faults.of(Op::Endpoints, call).await?;
        let no_secrets = self.faults.no_secrets.load(Ordering::SeqCst);
        let no_urls = self.faults.no_urls.load(Ordering::SeqCst);
        for set in sets.values_mut() {
            let damaged = set.endpoints.iter().map(|endpoint| {
                let endpoint = DeliverableEndpoint::clone(endpoint);
                Arc::new(DeliverableEndpoint {
                    secrets: if no_secrets { Vec::new() } else { endpoint.secrets },
                    url: endpoint.url.filter(|_| !no_urls),
                    ..endpoint
                })
            });
            *set = Arc::new(EndpointSet {
                version: set.version,
                endpoints: damaged.collect(),
            });
        }
        if self.faults.remembers.load(Ordering::SeqCst) {
            self.known.lock().unwrap().extend(sets.clone());
        }
        Ok(sets)
    }

    fn recall(&self, application: ApplicationId, version: i64) -> Option<Arc<EndpointSet>> {
        let known = self.known.lock().unwrap();
        known
            .get(&application)
            .filter(|set| set.version >= version)
            .cloned()
    }
}
