use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{EventLog, EventSignal, StoreError};
use thiserror::Error;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Subscriber, course::Course};

/// How the relay reads and retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayOptions {
    /// The most events that are read at a time, for each subscriber; 100 by default, at least 1.
    pub batch: u32,
    /// How long after a read that found nothing more the log is read again without having been woken; 1 second by
    /// default. On PostgreSQL other nodes write too, and this is how soon their events are seen; with SQLite the one
    /// node is woken by its own commits, and this is only the net.
    pub poll_interval: Duration,
    /// How long a subscriber may take over one event before it is tried again; 10 seconds by default.
    pub handle_timeout: Duration,
    /// The pause after a first failure; 100 milliseconds by default. It doubles with every further one.
    pub retry_first: Duration,
    /// The longest pause between tries; 10 seconds by default.
    pub retry_cap: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            batch: 100,
            poll_interval: Duration::from_secs(1),
            handle_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(100),
            retry_cap: Duration::from_secs(10),
        }
    }
}

/// Why there is no relay, or no more.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The head of the log cannot be read.
    #[error("the head of the event log cannot be read")]
    Store(#[from] StoreError),
    /// Two subscribers have the same name.
    #[error("two subscribers are named {0}")]
    DuplicateSubscriber(String),
    /// A subscriber panicked. Its events would go unheard, so the whole relay ended.
    #[error("the subscriber {0} panicked")]
    SubscriberPanicked(String),
}

/// Wakes the relay of this node: something was committed. Cheap, coalesced, never blocks.
#[derive(Debug, Clone)]
pub struct RelaySignal(pub(crate) watch::Sender<()>);

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
    log: Arc<dyn EventLog>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    position: i64,
    options: RelayOptions,
    signal: RelaySignal,
}

impl Relay {
    /// A relay of what is committed from now on.
    ///
    /// Open it *before* anything that its subscribers keep up to date is read, or a change in between is missed: a
    /// cache that was filled before the head was read would keep what changed meanwhile.
    pub async fn at_head(
        log: Arc<dyn EventLog>,
        subscribers: Vec<Arc<dyn Subscriber>>,
        options: RelayOptions,
    ) -> Result<Self, RelayError> {
        let mut names = HashSet::new();
        if let Some(twice) = subscribers
            .iter()
            .find(|subscriber| !names.insert(subscriber.name()))
        {
            return Err(RelayError::DuplicateSubscriber(twice.name().to_owned()));
        }
        let position = log.head().await?;
        let options = RelayOptions {
            batch: options.batch.max(1),
            ..options
        };
        let signal = RelaySignal(watch::Sender::new(()));
        Ok(Self {
            log,
            subscribers,
            position,
            options,
            signal,
        })
    }

    /// The handle that wakes it.
    pub fn signal(&self) -> RelaySignal {
        self.signal.clone()
    }

    /// Works until `shutdown`. An event that a subscriber is at is finished first, which takes at most
    /// [`RelayOptions::handle_timeout`]; the next one is not begun. Fails only if a subscriber panics.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RelayError> {
        // A panic ends the other courses, but not the rest of the node: that is for whoever runs the relay to decide.
        let shutdown = shutdown.child_token();
        let mut courses = JoinSet::new();
        let mut names = HashMap::new();
        for subscriber in self.subscribers {
            let name = subscriber.name().to_owned();
            let course = Course::new(
                Arc::clone(&self.log),
                subscriber,
                self.position,
                self.options,
                self.signal.clone(),
            );
            names.insert(courses.spawn(course.run(shutdown.clone())).id(), name);
        }
        if names.is_empty() {
            shutdown.cancelled().await;
        }
        let mut result = Ok(());
        while let Some(ended) = courses.join_next().await {
            if let Err(error) = ended {
                let name = names.remove(&error.id()).unwrap_or_default();
                tracing::error!(subscriber = name, "a subscriber panicked; the relay ends");
                shutdown.cancel();
                result = Err(RelayError::SubscriberPanicked(name));
            }
        }
        result
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers: Vec<_> = self
            .subscribers
            .iter()
            .map(|subscriber| subscriber.name())
            .collect();
        f.debug_struct("Relay")
            .field("subscribers", &subscribers)
            .field("position", &self.position)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
