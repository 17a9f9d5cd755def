use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use postrider_application::ports::{Epoch, NodeLife, WorkSignal};
use tokio::sync::{Notify, watch};

use crate::{
    EngineOptions, budget::Budget, congestion::Congestion, door::Door, figures::Figures, lease::Lease,
    metrics::Metrics,
};

/// What the engine, its handles and the intake share.
pub(crate) struct Shared {
    /// Where the intake hands messages off.
    pub(crate) door: Door,
    /// Whose publishers wait a little.
    pub(crate) congestion: Congestion,
    /// What may be in memory.
    pub(crate) budget: Arc<Budget>,
    /// What happened, added up.
    pub(crate) figures: Figures,
    /// What happens, measured.
    pub(crate) metrics: Metrics,
    pub(crate) work: Notify,
    /// Nothing new is taken in, as the process is about to end.
    pub(crate) draining: AtomicBool,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    lease: watch::Sender<Option<Arc<Lease>>>,
}

impl Shared {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        let budget = Budget::new(options.max_rows_in_memory(), options.max_memory_bytes);
        Self {
            door: Door::new(Arc::clone(&budget)),
            budget,
            congestion: Congestion::default(),
            figures: Figures::default(),
            metrics: Metrics::new(&opentelemetry::global::meter("postrider"), options),
            work: Notify::new(),
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            lease: watch::Sender::new(None),
        }
    }

    /// A life begins or ends.
    pub(crate) fn set_lease(&self, lease: Option<Arc<Lease>>) {
        self.lease.send_replace(lease);
    }
}

/// How the engine is, for health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStatus {
    /// Its current life; none before it joined, between two lives and after its end.
    pub epoch: Option<Epoch>,
    /// Whether the lease of that life runs: judged now, so it is right even if the engine is stuck.
    pub lease_held: bool,
    /// Whether it takes nothing new in, because it was asked to end.
    pub draining: bool,
    /// Rows of the queue being loaded, sent or settled.
    pub in_flight: usize,
    /// Deliveries waiting in memory for a turn at their endpoint.
    pub waiting: usize,
    /// Rows in memory, of whatever kind, and rows that are promised to messages being committed.
    pub memory_rows: usize,
    /// Bytes of payloads and captured answers in memory.
    pub memory_bytes: usize,
    /// Rows that the database refuses, each by itself, to read or to settle: set aside, and tried again and again
    /// until they are repaired.
    pub refused: usize,
}

/// Wakes the engine and tells how it is. Cheap to clone; works before, while and after the engine runs.
#[derive(Clone)]
pub struct EngineHandle {
    pub(crate) shared: Arc<Shared>,
}

impl EngineHandle {
    /// How the engine is.
    pub fn status(&self) -> EngineStatus {
        let lease = self.shared.lease.borrow().clone();
        EngineStatus {
            epoch: lease.as_ref().map(|lease| lease.epoch),
            lease_held: lease.is_some_and(|lease| lease.holds()),
            draining: self.shared.draining.load(Ordering::Relaxed),
            in_flight: self.shared.in_flight.load(Ordering::Relaxed),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            memory_rows: self.shared.budget.taken_rows(),
            memory_bytes: self.shared.budget.taken_bytes(),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }
}

impl WorkSignal for EngineHandle {
    fn work_queued(&self) {
        // Keeps one permit however often it is called, so a signal is neither lost nor counted.
        self.shared.work.notify_one();
    }
}

#[async_trait]
impl NodeLife for EngineHandle {
    fn epoch(&self) -> Option<Epoch> {
        self.shared.lease.borrow().as_ref().map(|lease| lease.epoch)
    }

    fn holds(&self, epoch: Epoch) -> bool {
        let lease = self.shared.lease.borrow();
        lease
            .as_ref()
            .is_some_and(|lease| lease.epoch == epoch && lease.holds())
    }

    async fn changed(&self, known: Option<Epoch>) {
        let mut lease = self.shared.lease.subscribe();
        // It fails only if the sender is gone, and `self` holds one.
        let _ = lease
            .wait_for(|lease| lease.as_ref().map(|lease| lease.epoch) != known)
            .await;
    }
}
