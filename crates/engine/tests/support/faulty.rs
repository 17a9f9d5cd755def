//! A store that loses answers: between the engine and the memory store, by command.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliverableEndpoint, DeliveryMaterial, DeliveryQueue, Epoch, NodeRegistry,
    Settled, Settlement, StoreError, WorkRef,
};
use postrider_domain::{ApplicationId, MessageId, TenantId, WorkId, messages::Message};
use postrider_testkit::memory::MemoryStore;

/// What happens to the next call of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails, and nothing happened.
    Before,
    /// It is committed, and the answer is lost.
    After,
}

#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) claim: Mutex<Vec<Fault>>,
    pub(crate) settle: Mutex<Vec<Fault>>,
    pub(crate) hand_back: Mutex<Vec<Fault>>,
    pub(crate) material: Mutex<Vec<Fault>>,
    /// While set, no beat gets through.
    pub(crate) no_beats: AtomicBool,
    /// Endpoints are read without their secrets.
    pub(crate) no_secrets: AtomicBool,
    /// Endpoints are read without their URLs.
    pub(crate) no_urls: AtomicBool,
    /// Messages are gone.
    pub(crate) no_messages: AtomicBool,
    /// The messages whose reading the database refuses.
    pub(crate) poison: Mutex<HashSet<MessageId>>,
    /// How often messages were asked for.
    pub(crate) reads: AtomicUsize,
    /// The messages of which no attempt can be written.
    pub(crate) unwritable: Mutex<HashSet<MessageId>>,
    /// While set, no fan-out can be written.
    pub(crate) no_fan_outs: AtomicBool,
    /// How many rows were asked for by each claim.
    pub(crate) limits: Mutex<Vec<u32>>,
}

pub(crate) struct Faulty {
    store: MemoryStore,
    pub(crate) faults: Arc<Faults>,
}

impl Faulty {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            faults: Arc::default(),
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("connection reset".into())
}

async fn with<T>(
    faults: &Mutex<Vec<Fault>>,
    call: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let fault = faults.lock().unwrap().pop();
    match fault {
        None => call.await,
        Some(Fault::Before) => Err(unavailable()),
        Some(Fault::After) => {
            call.await?;
            Err(unavailable())
        }
    }
}

#[async_trait]
impl DeliveryQueue for Faulty {
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError> {
        self.faults.limits.lock().unwrap().push(limit);
        with(&self.faults.claim, self.store.claim(node, from, limit)).await
    }

    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError> {
        let refused = {
            let unwritable = self.faults.unwritable.lock().unwrap();
            let no_fan_outs = self.faults.no_fan_outs.load(Ordering::SeqCst);
            batch.iter().any(|settlement| match &settlement.settled {
                Settled::FannedOut(_) => no_fan_outs,
                Settled::Attempted { delivery, .. } | Settled::Cancelled { delivery } => {
                    unwritable.contains(&delivery.message)
                }
            })
        };
        if refused {
            return Err(StoreError::Internal("this row cannot be written".into()));
        }
        with(&self.faults.settle, self.store.settle(node, batch)).await
    }

    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        with(&self.faults.hand_back, self.store.hand_back(node, rows)).await
    }

    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError> {
        self.store.still_held(node, rows).await
    }

    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        self.store.next_due().await
    }
}

#[async_trait]
impl NodeRegistry for Faulty {
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError> {
        if self.faults.no_beats.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        self.store.join(ttl).await
    }

    async fn beat(&self, node: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        if self.faults.no_beats.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        self.store.beat(node, ttl).await
    }

    async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
        self.store.bury().await
    }

    async fn leave(&self, node: Epoch) -> Result<(), StoreError> {
        self.store.leave(node).await
    }
}

#[async_trait]
impl DeliveryMaterial for Faulty {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, Arc<Message>>, StoreError> {
        self.faults.reads.fetch_add(1, Ordering::SeqCst);
        let poisoned = {
            let poison = self.faults.poison.lock().unwrap();
            keys.iter().any(|(_, id)| poison.contains(id))
        };
        if poisoned {
            return Err(StoreError::Internal("this row cannot be read".into()));
        }
        let messages = with(&self.faults.material, self.store.messages(keys)).await?;
        let gone = self.faults.no_messages.load(Ordering::SeqCst);
        Ok(if gone { HashMap::new() } else { messages })
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<[DeliverableEndpoint]>>, StoreError> {
        let mut endpoints = self.store.endpoints(applications).await?;
        let no_secrets = self.faults.no_secrets.load(Ordering::SeqCst);
        let no_urls = self.faults.no_urls.load(Ordering::SeqCst);
        for list in endpoints.values_mut() {
            *list = list
                .iter()
                .cloned()
                .map(|endpoint| DeliverableEndpoint {
                    secrets: if no_secrets { Vec::new() } else { endpoint.secrets },
                    url: endpoint.url.filter(|_| !no_urls),
                    ..endpoint
                })
                .collect();
        }
        Ok(endpoints)
    }
}
