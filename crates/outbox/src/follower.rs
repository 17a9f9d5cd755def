//! This node's own way along the log: everything that it remembers hears of every event, and then the database is told
//! how far it came.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{Epoch, EventBell, EventLog, Heard, NodeLife, NodeSight};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Barrier, NodeSubscriber, RelayOptions, RelaySignal,
    backoff::Backoff,
    course::{chain, millis},
    store_calls::{STORE_TIMEOUT, bounded},
};

/// The pause after the bell could not be heard.
const BELL_PAUSE: Duration = Duration::from_secs(1);

/// Reads the log for this node.
pub(crate) struct Follower {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) subscribers: Arc<[Arc<dyn NodeSubscriber>]>,
    pub(crate) position: i64,
    pub(crate) options: RelayOptions,
    pub(crate) signal: RelaySignal,
    /// How far it came.
    pub(crate) progress: watch::Sender<i64>,
    /// Told when somebody woke us and there was no event: it was for those who hold cursors.
    pub(crate) look: Arc<Notify>,
}

impl Follower {
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut signal = self.signal.0.subscribe();
        let mut backoff = Backoff::new(self.options.retry_first, self.options.retry_cap);
        let mut woken = false;
        loop {
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                read = bounded(STORE_TIMEOUT, self.log.after(self.position, self.options.batch)) => read,
            };
            let pause = match read {
                Ok(events) => {
                    backoff.reset();
                    if woken && events.is_empty() {
                        self.look.notify_one();
                    }
                    for event in &events {
                        self.subscribers
                            .iter()
                            .for_each(|subscriber| subscriber.apply(event));
                        self.position = event.position;
                    }
                    if !events.is_empty() {
                        self.progress.send_replace(self.position);
                    }
                    if events.len() >= self.options.batch as usize {
                        continue;
                    }
                    self.options.poll_interval
                }
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(
                        position = self.position,
                        pause_ms = millis(pause),
                        error = chain(&error),
                        "the event log cannot be read; trying again"
                    );
                    pause
                }
            };
            // A signal given since the last pause ended, during the read too, ends this one at once.
            woken = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = signal.changed() => true,
                () = sleep(pause) => false,
            };
        }
    }
}

/// Tells the database how far the node has seen the log. Only after everything that it remembers has heard of it.
pub(crate) struct Witness {
    pub(crate) sight: Arc<dyn NodeSight>,
    pub(crate) life: Arc<dyn NodeLife>,
    pub(crate) progress: watch::Receiver<i64>,
    pub(crate) barrier: Barrier,
    pub(crate) options: RelayOptions,
}

impl Witness {
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut told: Option<(Epoch, i64)> = None;
        let mut backoff = Backoff::new(self.options.retry_first, self.options.retry_cap);
        loop {
            let (epoch, position) = (self.life.epoch(), *self.progress.borrow_and_update());
            let seen = epoch.map(|epoch| (epoch, position));
            if let Some((node, position)) = seen.filter(|_| seen != told) {
                let noted = bounded(STORE_TIMEOUT, self.sight.note_seen(node, position));
                let Some(noted) = shutdown.run_until_cancelled(noted).await else {
                    return;
                };
                match noted {
                    Ok(()) => {
                        told = seen;
                        backoff.reset();
                        self.barrier.wake();
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = chain(&error),
                            "what was seen cannot be told; trying again"
                        );
                        tokio::select! {
                            biased;
                            () = shutdown.cancelled() => return,
                            () = sleep(backoff.pause()) => {}
                        }
                        continue;
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = self.progress.changed() => if changed.is_err() { return },
                () = self.life.changed(epoch) => {}
            }
        }
    }
}

/// Hears what other nodes say.
pub(crate) struct Ear {
    pub(crate) bell: Arc<dyn EventBell>,
    pub(crate) subscribers: Arc<[Arc<dyn NodeSubscriber>]>,
    pub(crate) signal: RelaySignal,
    pub(crate) barrier: Barrier,
}

impl Ear {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            let heard = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                heard = self.bell.heard() => heard,
            };
            match heard {
                Ok(Heard::Events) => self.signal.wake(),
                Ok(Heard::Seen) => self.barrier.wake(),
                Ok(Heard::Anew) => {
                    self.subscribers
                        .iter()
                        .for_each(|subscriber| subscriber.forget_all());
                    self.signal.wake();
                    self.barrier.wake();
                }
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot hear of events; looking now and then"
                    );
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        () = sleep(BELL_PAUSE) => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use postrider_application::ports::{StoreError, Unseen};
    use tokio::task::JoinSet;

    use super::*;
    use crate::test_support::{Life, now};

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl NodeSight for Silent {
        async fn note_seen(&self, _: Epoch, _: i64) -> Result<(), StoreError> {
            std::future::pending().await
        }

        async fn unseen(&self, _: Option<i64>) -> Result<Unseen, StoreError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_not_held_up_by_an_answer_that_does_not_come() {
        let (life, options) = (Life::new(), RelayOptions::default());
        life.set(Some(Epoch(1)));
        let witness = Witness {
            sight: Arc::new(Silent),
            life,
            progress: watch::channel(7).1,
            barrier: Barrier::new(Arc::new(Silent), &options),
            options,
        };
        let (shutdown, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(witness.run(shutdown.clone()));
        tokio::task::yield_now().await;
        let before = now();
        shutdown.cancel();
        running.join_next().await.unwrap().unwrap();
        assert_eq!(now(), before);
    }
}
