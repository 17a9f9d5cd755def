//! What the tests of this crate share: a log, a subscriber that notes what it is told, a relay that runs.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{EventLog, LoggedEvent, StoreError};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Relay, RelayError, RelayOptions, RelaySignal, Subscriber, SubscriberError};

pub(crate) const LONG: Duration = Duration::from_hours(24);

/// A log in memory that can fail.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Mutex<Vec<LoggedEvent>>,
    pub(crate) failing_reads: AtomicU32,
    pub(crate) reads: AtomicU32,
}

impl Log {
    pub(crate) fn append(&self, kind: &str) -> i64 {
        let mut events = self.events.lock().unwrap();
        let position = i64::try_from(events.len()).unwrap() + 1;
        events.push(LoggedEvent {
            position,
            tenant: None,
            kind: kind.to_owned(),
            aggregate: "x".to_owned(),
            version: 1,
            body: "{}".to_owned(),
        });
        position
    }
}

#[async_trait]
impl EventLog for Log {
    async fn head(&self) -> Result<i64, StoreError> {
        Ok(self
            .events
            .lock()
            .unwrap()
            .last()
            .map_or(0, |event| event.position))
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self
            .failing_reads
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            return Err(StoreError::Unavailable("connection refused".into()));
        }
        let events = self.events.lock().unwrap();
        Ok(events
            .iter()
            .filter(|e| e.position > position)
            .take(limit as usize)
            .cloned()
            .collect())
    }
}

/// What a subscriber does with an event, after having noted it.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    Takes,
    FailsTimes(u32),
    HangsTimes(u32),
    Panics,
}

/// Notes each try: position and time.
pub(crate) struct Recorder {
    pub(crate) name: &'static str,
    pub(crate) wants: fn(&str) -> bool,
    pub(crate) does: Mutex<Does>,
    pub(crate) tries: mpsc::UnboundedSender<(i64, Instant)>,
}

#[async_trait]
impl Subscriber for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn wants(&self, kind: &str) -> bool {
        (self.wants)(kind)
    }

    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        let _ = self.tries.send((event.position, now()));
        let does = *self.does.lock().unwrap();
        match does {
            Does::Takes | Does::FailsTimes(0) | Does::HangsTimes(0) => Ok(()),
            Does::FailsTimes(left) => {
                *self.does.lock().unwrap() = Does::FailsTimes(left - 1);
                Err(SubscriberError::new("not now"))
            }
            Does::HangsTimes(left) => {
                *self.does.lock().unwrap() = Does::HangsTimes(left - 1);
                pending().await
            }
            Does::Panics => panic!("a subscriber's own fault"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's paused clock, which the tests own"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) struct Tries(pub(crate) mpsc::UnboundedReceiver<(i64, Instant)>);

impl Tries {
    pub(crate) async fn positions(&mut self, count: usize) -> Vec<i64> {
        let mut positions = Vec::new();
        for _ in 0..count {
            positions.push(self.0.recv().await.unwrap().0);
        }
        positions
    }

    pub(crate) fn no_more(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

pub(crate) fn recorder(name: &'static str, does: Does) -> (Arc<Recorder>, Tries) {
    let (tries, seen) = mpsc::unbounded_channel();
    (
        Arc::new(Recorder {
            name,
            wants: |_| true,
            does: Mutex::new(does),
            tries,
        }),
        Tries(seen),
    )
}

pub(crate) fn options() -> RelayOptions {
    RelayOptions {
        batch: 3,
        ..RelayOptions::default()
    }
}

/// Without polling: what happens, happens because of a signal.
pub(crate) fn unpolled() -> RelayOptions {
    RelayOptions {
        poll_interval: LONG,
        ..options()
    }
}

pub(crate) struct Running {
    pub(crate) signal: RelaySignal,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinSet<Result<(), RelayError>>,
}

impl Running {
    pub(crate) async fn start(log: &Arc<Log>, subscribers: &[&Arc<Recorder>], options: RelayOptions) -> Self {
        let subscribers = subscribers
            .iter()
            .map(|s| Arc::clone(s) as Arc<dyn Subscriber>)
            .collect();
        let relay = Relay::at_head(Arc::clone(log) as Arc<dyn EventLog>, subscribers, options)
            .await
            .unwrap();
        let (signal, shutdown) = (relay.signal(), CancellationToken::new());
        let mut task = JoinSet::new();
        task.spawn(relay.run(shutdown.clone()));
        Self {
            signal,
            shutdown,
            task,
        }
    }

    pub(crate) async fn ended(&mut self) -> Result<(), RelayError> {
        self.task.join_next().await.unwrap().unwrap()
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        self.ended().await.unwrap();
    }
}
