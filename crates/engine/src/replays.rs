use std::{sync::Arc, time::Duration};

use postrider_application::ports::{
    Clock, Ids, ReplayLimits, ReplayStep, ReplayWorker, StoreError, WorkSignal,
};
use tokio::{task, time};
use tokio_util::sync::CancellationToken;

use crate::{chore_notes::ChoreNotes, store_calls::bounded};

/// The chore's name.
const CHORE: &str = "replays";

/// How replays are worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaysOptions {
    /// The bounds of one step.
    pub limits: ReplayLimits,
    /// How often it is asked whether there is a replay to be worked, while there is none. Default 5 s.
    pub interval: Duration,
    /// How long a step may take before it is given up, and taken again later. Default 30 s.
    pub step_timeout: Duration,
}

impl Default for ReplaysOptions {
    fn default() -> Self {
        Self {
            limits: ReplayLimits::default(),
            interval: Duration::from_secs(5),
            step_timeout: Duration::from_secs(30),
        }
    }
}

/// Everything of the outside that replays use.
#[derive(Clone)]
pub struct ReplaysPorts {
    /// Takes the steps.
    pub worker: Arc<dyn ReplayWorker>,
    /// Wakes the engine.
    pub signal: Arc<dyn WorkSignal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of queue rows.
    pub ids: Arc<dyn Ids>,
}

/// Works replays, step by step, in turns. Every node does it; of all nodes one takes a step at a time.
pub struct Replays {
    ports: ReplaysPorts,
    options: ReplaysOptions,
    notes: ChoreNotes,
}

impl Replays {
    /// Works replays over these ports.
    pub fn new(ports: ReplaysPorts, options: ReplaysOptions) -> Self {
        let notes = ChoreNotes::of(&[CHORE], &ports.clock);
        Self {
            ports,
            options,
            notes,
        }
    }

    /// Works until `shutdown`. A step that is under way then is as though it had never begun. What fails is tried
    /// again.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = self.work() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn work(&self) {
        loop {
            let worked = self.round().await;
            self.notes.ended(CHORE, worked.is_ok());
            let pause = match worked {
                // Soon, as long as one waits for something.
                Ok(true) => self.options.limits.wait.min(self.options.interval),
                Ok(false) => self.options.interval,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::warn!(%error, ?cause, "a step of a replay was not made");
                    self.options.interval
                }
            };
            time::sleep(pause).await;
        }
    }

    /// Takes steps as long as there are some to be taken now; whether there were any.
    async fn round(&self) -> Result<bool, StoreError> {
        let mut any = false;
        loop {
            let (limits, ids) = (&self.options.limits, &*self.ports.ids);
            let step = self.ports.worker.step(limits, ids, self.ports.clock.now());
            let queued = match bounded(self.options.step_timeout, step).await? {
                ReplayStep::Nothing => return Ok(any),
                ReplayStep::Waiting { queued, .. } => queued,
                ReplayStep::Made {
                    replay,
                    queued,
                    finished,
                } => {
                    if finished {
                        tracing::info!(%replay, "a replay is finished");
                    }
                    queued
                }
            };
            any = true;
            if queued > 0 {
                self.ports.signal.work_queued();
            }
            // A store that answers at once must not keep the thread.
            task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use postrider_domain::{ReplayId, Timestamp};
    use postrider_testkit::memory::{CountingSignal, SequentialIds, TestClock};
    use uuid::Uuid;

    use super::*;

    /// Answers what was prepared, then nothing.
    struct Scripted {
        answers: Mutex<Vec<Result<ReplayStep, StoreError>>>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl ReplayWorker for Scripted {
        async fn step(&self, _: &ReplayLimits, _: &dyn Ids, _: Timestamp) -> Result<ReplayStep, StoreError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.answers
                .lock()
                .unwrap()
                .pop()
                .unwrap_or(Ok(ReplayStep::Nothing))
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside steps that fail")]
    fn made(queued: u32) -> Result<ReplayStep, StoreError> {
        Ok(ReplayStep::Made {
            replay: ReplayId::from_uuid(Uuid::from_u128(1)),
            queued,
            finished: false,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn steps_follow_each_other_and_what_fails_is_tried_again() {
        let answers = vec![made(0), Err(StoreError::Stale), made(7), made(5)];
        let worker = Arc::new(Scripted {
            answers: Mutex::new(answers),
            asked: AtomicUsize::new(0),
        });
        let (signal, clock) = (Arc::new(CountingSignal::default()), Arc::new(TestClock::new()));
        let ports = ReplaysPorts {
            worker: worker.clone(),
            signal: signal.clone(),
            ids: Arc::new(SequentialIds::new(clock.clone())),
            clock,
        };
        let shutdown = CancellationToken::new();
        let replays = Replays::new(ports, ReplaysOptions::default());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(replays.run(shutdown.clone()));
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            worker.asked.load(Ordering::SeqCst),
            3,
            "up to the failure, at once"
        );
        assert_eq!(signal.count(), 2);
        time::sleep(Duration::from_millis(5_500)).await;
        assert_eq!(
            worker.asked.load(Ordering::SeqCst),
            6,
            "then all, and one in vain soon after"
        );
        assert_eq!(signal.count(), 2, "nothing was queued");
        shutdown.cancel();
        running.join_next().await.unwrap().unwrap();
    }
}
