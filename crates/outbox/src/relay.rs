use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use postrider_application::ports::{
    Epoch, EventBell, EventLog, EventSignal, NodeLife, NodeSight, RelayCursors, RelayMetrics, StoreError,
};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    task::{Id, JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Barrier, Installed, NodeSubscriber, RelayOptions,
    course::{Course, chain},
    follower::{Ear, Follower, Witness},
    store_calls::{STORE_TIMEOUT, bounded},
};

/// Everything of the outside that the relay uses.
#[derive(Clone)]
pub struct RelayPorts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The cursors of the installation's subscribers.
    pub cursors: Arc<dyn RelayCursors>,
    /// How far nodes have seen the log.
    pub sight: Arc<dyn NodeSight>,
    /// Hears of commits elsewhere.
    pub bell: Arc<dyn EventBell>,
    /// The life by whose lease cursors are held.
    pub life: Arc<dyn NodeLife>,
    /// Counts.
    pub metrics: Arc<dyn RelayMetrics>,
}

/// Why there is no relay, or no more.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The head of the log cannot be read, or a cursor not be made.
    #[error("the event log cannot be read, or a cursor not be made")]
    Store(#[from] StoreError),
    /// Two subscribers have the same name.
    #[error("two subscribers are named {0}")]
    DuplicateSubscriber(&'static str),
    /// A subscriber panicked. Its events would go unheard, so the whole relay ended.
    #[error("the subscriber {0} panicked")]
    SubscriberPanicked(&'static str),
}

/// Wakes the relay of this node: something was committed. Cheap, coalesced, never blocks.
#[derive(Debug, Clone)]
pub struct RelaySignal(pub(crate) watch::Sender<()>);

impl Default for RelaySignal {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl RelaySignal {
    /// Makes the relay read now. A call while it reads makes it read once more.
    pub fn wake(&self) {
        self.0.send_replace(());
    }
}

impl EventSignal for RelaySignal {
    fn events_committed(&self) {
        self.wake();
    }
}

/// Takes committed events to subscribers. See the crate's page for what it promises.
pub struct Relay {
    ports: RelayPorts,
    node: Vec<Arc<dyn NodeSubscriber>>,
    installed: Vec<Installed>,
    position: i64,
    options: RelayOptions,
    signal: RelaySignal,
    barrier: Barrier,
}

impl Relay {
    /// A relay that `signal` wakes. The `node`'s subscribers hear of what is committed from now on; those that are
    /// `installed` go on where their cursors are.
    ///
    /// Open it *before* anything that the node's subscribers keep up to date is read, or a change in between is missed:
    /// a cache that was filled before the head was read would keep what changed meanwhile.
    pub async fn open(
        ports: RelayPorts,
        signal: RelaySignal,
        node: Vec<Arc<dyn NodeSubscriber>>,
        installed: Vec<Installed>,
        options: RelayOptions,
    ) -> Result<Self, RelayError> {
        let mut names = HashSet::new();
        for Installed { subscription, .. } in &installed {
            if !names.insert(subscription.name) {
                return Err(RelayError::DuplicateSubscriber(subscription.name));
            }
            ports
                .cursors
                .declare(subscription.name, subscription.start)
                .await?;
        }
        let position = ports.log.head().await?;
        let options = options.sound();
        Ok(Self {
            barrier: Barrier::new(Arc::clone(&ports.sight), &options),
            ports,
            node,
            installed,
            position,
            options,
            signal,
        })
    }

    /// Waits for all nodes.
    pub fn barrier(&self) -> Barrier {
        self.barrier.clone()
    }

    /// Works until `shutdown`. An event that a subscriber is at is finished first, which takes at most
    /// [`RelayOptions::handle_timeout`]; the next one is not begun. What this node has seen is told until it is `gone`:
    /// while its engine drains, it lives, and is waited for. Fails only if a subscriber panics.
    pub async fn run(self, shutdown: CancellationToken, gone: CancellationToken) -> Result<(), RelayError> {
        // A panic ends the others, but not the rest of the node: that is for whoever runs the relay to decide.
        let (shutdown, gone) = (shutdown.child_token(), gone.child_token());
        let look = Arc::new(Notify::new());
        let progress = watch::Sender::new(self.position);
        let subscribers: Arc<[_]> = self.node.into();
        let follower = Follower {
            log: Arc::clone(&self.ports.log),
            subscribers: Arc::clone(&subscribers),
            position: self.position,
            options: self.options,
            signal: self.signal.clone(),
            progress: progress.clone(),
            look: Arc::clone(&look),
        };
        let witness = Witness {
            sight: Arc::clone(&self.ports.sight),
            life: Arc::clone(&self.ports.life),
            progress: progress.subscribe(),
            barrier: self.barrier.clone(),
            options: self.options,
        };
        let ear = Ear {
            bell: Arc::clone(&self.ports.bell),
            subscribers,
            signal: self.signal,
            barrier: self.barrier,
        };
        let mut parts = JoinSet::new();
        parts.spawn(follower.run(gone.clone()));
        parts.spawn(witness.run(gone.clone()));
        parts.spawn(ear.run(gone.clone()));
        let keeper = Keeper {
            ports: self.ports,
            installed: self.installed,
            options: self.options,
            progress,
            look,
            running: HashMap::new(),
            courses: JoinSet::new(),
            shutdown: shutdown.clone(),
        };
        let node = async {
            let mut result = Ok(());
            while let Some(ended) = parts.join_next().await {
                if ended.is_err() {
                    tracing::error!("what this node remembers panicked; the relay ends");
                    shutdown.cancel();
                    gone.cancel();
                    result = Err(RelayError::SubscriberPanicked("node"));
                }
            }
            result
        };
        let kept = async {
            let kept = keeper.run().await;
            if kept.is_err() {
                gone.cancel();
            }
            kept
        };
        let (node, kept) = tokio::join!(node, kept);
        node.and(kept)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let installed: Vec<_> = self.installed.iter().map(|one| one.subscription.name).collect();
        f.debug_struct("Relay")
            .field("installed", &installed)
            .field("position", &self.position)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A course that goes on.
struct Running {
    task: Id,
    epoch: Epoch,
    again: Arc<Notify>,
}

/// Sees to it that this node runs the subscribers whose cursors it holds, and takes those that nobody does.
struct Keeper {
    ports: RelayPorts,
    installed: Vec<Installed>,
    options: RelayOptions,
    progress: watch::Sender<i64>,
    look: Arc<Notify>,
    running: HashMap<&'static str, Running>,
    courses: JoinSet<&'static str>,
    shutdown: CancellationToken,
}

impl Keeper {
    async fn run(mut self) -> Result<(), RelayError> {
        if self.installed.is_empty() {
            self.shutdown.cancelled().await;
        }
        while !self.shutdown.is_cancelled() {
            let epoch = self.ports.life.epoch();
            if let Some(epoch) = epoch.filter(|epoch| self.ports.life.holds(*epoch)) {
                let shutdown = self.shutdown.clone();
                shutdown.run_until_cancelled(self.take(epoch)).await;
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {}
                Some(ended) = self.courses.join_next_with_id() => self.ended(ended)?,
                () = self.ports.life.changed(epoch) => {}
                () = self.look.notified() => {}
                () = sleep(self.options.poll_interval) => {}
            }
        }
        while let Some(ended) = self.courses.join_next_with_id().await {
            self.ended(ended)?;
        }
        Ok(())
    }

    /// Takes what is free, and begins what is held and does not run yet.
    async fn take(&mut self, epoch: Epoch) {
        let names: Vec<&str> = self.installed.iter().map(|one| one.subscription.name).collect();
        let held = match bounded(STORE_TIMEOUT, self.ports.cursors.take(epoch, &names)).await {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "cursors cannot be looked at; trying again later"
                );
                return;
            }
        };
        for cursor in held {
            let installed = self
                .installed
                .iter()
                .find(|one| one.subscription.name == cursor.subscriber);
            let Some(installed) = installed else { continue };
            let name = installed.subscription.name;
            if let Some(running) = self.running.get(name) {
                // One of an earlier life is about to end, and then there is another look.
                if running.epoch == epoch && cursor.again {
                    running.again.notify_one();
                }
                continue;
            }
            let again = Arc::new(Notify::new());
            let course = Course::new(
                self.ports.clone(),
                installed,
                (epoch, cursor.position),
                self.options,
                (
                    self.progress.subscribe(),
                    Arc::clone(&again),
                    self.shutdown.clone(),
                ),
            );
            let task = self.courses.spawn(course.run()).id();
            self.running.insert(name, Running { task, epoch, again });
        }
    }

    fn ended(&mut self, ended: Result<(Id, &'static str), JoinError>) -> Result<(), RelayError> {
        match ended {
            Ok((_, name)) => {
                self.running.remove(name);
                Ok(())
            }
            Err(error) => {
                let panicked = self
                    .running
                    .iter()
                    .find(|(_, running)| running.task == error.id());
                let name = panicked.map_or("", |(name, _)| *name);
                tracing::error!(subscriber = name, "a subscriber panicked; the relay ends");
                self.shutdown.cancel();
                Err(RelayError::SubscriberPanicked(name))
            }
        }
    }
}
