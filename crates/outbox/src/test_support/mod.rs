//! What the relay's tests share: a log and a store in memory, nodes whose lives begin and end, and a subscriber that
//! is told what to do.

mod log;
mod recorder;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    access::OperatorScope,
    audit::Record,
    ports::{
        DeadLetterId, DeadLetterRepository as _, Epoch, LoggedEvent, NodeLife, NodeRegistry as _,
        OperatorViews as _, PageRequest, RelayMetrics, StartAt, Store as _, UnitOfWork as _,
    },
};
use postrider_testkit::{
    contract::{Fixture, Harness as _, MemoryHarness},
    memory::MemoryStore,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    log::Log,
    recorder::{Does, Recorder},
};
use crate::{
    Barrier, Installed, Kinds, NodeSubscriber, Relay, RelayError, RelayOptions, RelayPorts, RelaySignal,
    Subscription, Unknown,
};

pub(crate) const LEASE: Duration = Duration::from_secs(15);

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's paused clock, which the tests own"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A node's life, which the test begins and ends.
pub(crate) struct Life(watch::Sender<Option<Epoch>>);

impl Life {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(None)))
    }

    pub(crate) fn set(&self, epoch: Option<Epoch>) {
        self.0.send_replace(epoch);
    }
}

#[async_trait]
impl NodeLife for Life {
    fn epoch(&self) -> Option<Epoch> {
        *self.0.borrow()
    }

    fn holds(&self, epoch: Epoch) -> bool {
        *self.0.borrow() == Some(epoch)
    }

    async fn changed(&self, known: Option<Epoch>) {
        let mut life = self.0.subscribe();
        let _ = life.wait_for(|epoch| *epoch != known).await;
    }
}

/// Notes what it heard.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) heard: Mutex<Vec<i64>>,
}

impl NodeSubscriber for Memory {
    fn apply(&self, event: &LoggedEvent) {
        self.heard.lock().unwrap().push(event.position);
    }

    fn forget_all(&self) {}
}

/// Counts.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) set_aside: Mutex<u32>,
}

impl RelayMetrics for Metrics {
    fn set_aside(&self, _: &'static str) {
        *self.set_aside.lock().unwrap() += 1;
    }
}

pub(crate) const NAME: &str = "recorder";

pub(crate) fn subscription(start: StartAt) -> Subscription {
    Subscription {
        name: NAME,
        kinds: Kinds::All,
        start,
        unknown: Unknown::SetAside,
        at_once: 1,
    }
}

/// A log, the store of the cursors, and a subscriber: what outlives the nodes.
pub(crate) struct World {
    pub(crate) log: Arc<Log>,
    pub(crate) harness: MemoryHarness,
    pub(crate) store: MemoryStore,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) options: RelayOptions,
    pub(crate) start: StartAt,
    pub(crate) unknown: Unknown,
    pub(crate) at_once: usize,
}

impl World {
    pub(crate) async fn new() -> Self {
        let harness = MemoryHarness::new().await;
        Self {
            log: Arc::default(),
            store: harness.store().clone(),
            harness,
            recorder: Arc::default(),
            metrics: Arc::default(),
            options: RelayOptions {
                batch: 3,
                max_attempts: 4,
                ..RelayOptions::default()
            },
            start: StartAt::Beginning,
            unknown: Unknown::SetAside,
            at_once: 1,
        }
    }

    /// A node that lives and runs its relay.
    pub(crate) async fn node(&self) -> Node {
        let life = Life::new();
        let epoch = self.store.join(LEASE).await.unwrap();
        life.set(Some(epoch));
        let memory = Arc::new(Memory::default());
        // A handle of its own hears by itself, as another node does.
        let store = Arc::new(self.store.clone());
        let ports = RelayPorts {
            log: self.log.clone(),
            cursors: store.clone(),
            sight: store.clone(),
            bell: store,
            life: life.clone(),
            metrics: self.metrics.clone(),
        };
        let installed = vec![Installed {
            subscription: Subscription {
                unknown: self.unknown,
                at_once: self.at_once,
                ..subscription(self.start)
            },
            subscriber: self.recorder.clone(),
        }];
        let signal = RelaySignal::default();
        let relay = Relay::open(
            ports,
            signal.clone(),
            vec![memory.clone()],
            installed,
            self.options,
        )
        .await
        .unwrap();
        let (barrier, shutdown, gone) = (
            relay.barrier(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let mut task = JoinSet::new();
        task.spawn(relay.run(shutdown.clone(), gone.clone()));
        Node {
            epoch,
            life,
            memory,
            signal,
            barrier,
            shutdown,
            gone,
            task,
        }
    }

    pub(crate) async fn position(&self) -> i64 {
        self.status().await.subscribers[0].position
    }

    pub(crate) async fn status(&self) -> postrider_application::ports::StatusView {
        let scope = self.operator().await;
        self.store.status(&scope).await.unwrap()
    }

    /// The positions of the events that were refused and set aside.
    pub(crate) async fn dead(&self) -> Vec<i64> {
        let scope = self.operator().await;
        let letters = self.store.dead_letters(&scope, PageRequest::first(100)).await;
        letters
            .unwrap()
            .items
            .iter()
            .map(|letter| letter.id.position)
            .collect()
    }

    /// Gives up the event at `position`.
    pub(crate) async fn discard(&self, position: i64) -> Option<u32> {
        let scope = self.operator().await;
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = self.store.begin_as_operator(&scope).await.unwrap();
        let held_back = tx.discard(&scope, &id).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
        held_back
    }

    /// Has the event at `position` delivered again.
    pub(crate) async fn retry(&self, position: i64) -> bool {
        let scope = self.operator().await;
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = self.store.begin_as_operator(&scope).await.unwrap();
        let found = tx.deliver_again(&scope, &id).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
        found
    }

    async fn operator(&self) -> OperatorScope {
        Fixture::new(&self.harness).operator().await
    }
}

/// A node.
pub(crate) struct Node {
    pub(crate) epoch: Epoch,
    pub(crate) life: Arc<Life>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) signal: RelaySignal,
    pub(crate) barrier: Barrier,
    pub(crate) shutdown: CancellationToken,
    /// Its engine has drained, too.
    pub(crate) gone: CancellationToken,
    pub(crate) task: JoinSet<Result<(), RelayError>>,
}

impl Node {
    pub(crate) async fn ended(&mut self) -> Result<(), RelayError> {
        self.task.join_next().await.unwrap().unwrap()
    }

    /// An orderly end.
    pub(crate) async fn stop(mut self, world: &World) {
        self.shutdown.cancel();
        self.gone.cancel();
        self.ended().await.unwrap();
        world.store.leave(self.epoch).await.unwrap();
    }

    /// As `kill -9`: everything stops where it stands, and the lease runs out some time later.
    pub(crate) async fn kill(mut self, world: &World) {
        self.task.shutdown().await;
        world.store.leave(self.epoch).await.unwrap();
    }
}

/// Lets everything go on until `what` holds; with a paused clock pauses pass at once.
pub(crate) async fn until(what: impl AsyncFn() -> bool) {
    let waiting = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_hours(1), waiting)
        .await
        .expect("it never comes to that");
}
