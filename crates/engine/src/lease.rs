use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use postrider_application::ports::{Clock, Epoch};
use tokio::time;

use crate::{EngineOptions, backoff::Backoff, ports::EnginePorts, store_calls::bounded};

/// One life of this node, as far as it can judge itself: until the lease ran out by its own monotonic clock, read
/// *before* the beat that extended it, it may start attempts and settle; never after.
///
/// An attempt may take longer than the lease (60 s against 15 s), so an attempt is not required to fit into what is
/// left of the lease: beats go on while it runs, and if they stop, everything under way is dropped with the life.
pub(crate) struct Lease {
    pub(crate) epoch: Epoch,
    clock: Arc<dyn Clock>,
    /// Microseconds of the monotonic clock.
    until: AtomicU64,
    /// No other node can be: then nobody could take over, and to stop would only repeat what is under way.
    sole: bool,
}

/// Why a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The registry says that others declared the node dead.
    Buried,
    /// No beat got through in time.
    RanOut,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Lease {
    /// A life whose lease runs for `ttl`, and that nobody extends.
    #[cfg(test)]
    pub(crate) fn for_test(epoch: Epoch, clock: Arc<dyn Clock>, ttl: Duration) -> Arc<Self> {
        let until = AtomicU64::new(micros(clock.monotonic() + ttl));
        Arc::new(Self {
            epoch,
            clock,
            until,
            sole: false,
        })
    }

    /// A new life.
    pub(crate) async fn join(ports: &EnginePorts, options: &EngineOptions) -> Arc<Self> {
        let mut backoff = Backoff::default();
        loop {
            let before = ports.clock.monotonic();
            match bounded(options.store_timeout, ports.nodes.join(options.lease_ttl)).await {
                Ok(epoch) => {
                    tracing::info!(%epoch, "joined");
                    return Arc::new(Self {
                        epoch,
                        clock: Arc::clone(&ports.clock),
                        until: AtomicU64::new(micros(before + options.lease_ttl)),
                        sole: options.sole_node,
                    });
                }
                Err(error) => {
                    let wait = backoff.next();
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), ?wait, "cannot join");
                    time::sleep(wait).await;
                }
            }
        }
    }

    /// How long the lease still runs by our own clock.
    pub(crate) fn remaining(&self) -> Duration {
        Duration::from_micros(self.until.load(Ordering::Acquire)).saturating_sub(self.clock.monotonic())
    }

    /// Whether anything may be started.
    pub(crate) fn holds(&self) -> bool {
        self.sole || !self.remaining().is_zero()
    }

    /// Extends the lease again and again; returns when it is lost.
    pub(crate) async fn keep(self: Arc<Self>, ports: Arc<EnginePorts>, options: Arc<EngineOptions>) -> Lost {
        let mut wait = options.lease_beat;
        loop {
            let wait_for = if self.sole {
                wait
            } else {
                wait.min(self.remaining())
            };
            time::sleep(wait_for).await;
            let before = self.clock.monotonic();
            if !self.holds() {
                return Lost::RanOut;
            }
            // A beat that gets no answer must leave time for another one.
            let limit = if self.sole {
                options.store_timeout
            } else {
                options.lease_beat.min(self.remaining())
            };
            match bounded(limit, ports.nodes.beat(self.epoch, options.lease_ttl)).await {
                // An answer that was read too late revives nothing: attempts were given up meanwhile.
                Ok(true) if !self.holds() => return Lost::RanOut,
                Ok(true) => {
                    self.until
                        .store(micros(before + options.lease_ttl), Ordering::Release);
                    wait = options.lease_beat;
                }
                Ok(false) => return Lost::Buried,
                Err(error) => {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "a beat failed");
                    wait = options.lease_beat / 4;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use postrider_application::ports::{EndpointGuard, NodeRegistry, StoreError};
    use postrider_crypto::StandardSigner;
    use postrider_domain::{ApplicationId, Change, EndpointId, TenantId, Version, endpoints::DisableReason};
    use postrider_testkit::{
        RecordingSender, TokioClock,
        memory::{MemoryStore, SeededRandomness, SequentialIds},
    };

    /// Answers everything a second late, and beats only the first few times.
    struct Late(std::sync::Mutex<Vec<Result<bool, StoreError>>>);

    #[async_trait]
    impl NodeRegistry for Late {
        async fn join(&self, _: Duration) -> Result<Epoch, StoreError> {
            time::sleep(Duration::from_secs(1)).await;
            Ok(Epoch(1))
        }

        async fn beat(&self, _: Epoch, _: Duration) -> Result<bool, StoreError> {
            let answer = self.0.lock().unwrap().pop();
            match answer {
                None => std::future::pending().await,
                Some(answer) => {
                    time::sleep(Duration::from_secs(1)).await;
                    answer
                }
            }
        }

        async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
            Ok(Vec::new())
        }

        async fn leave(&self, _: Epoch) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// Nobody's endpoint is disabled here.
    struct NoGuard;

    #[async_trait]
    impl EndpointGuard for NoGuard {
        async fn disable(
            &self,
            _: TenantId,
            _: ApplicationId,
            _: EndpointId,
            _: DisableReason,
            _: Option<Version>,
        ) -> Result<Change, StoreError> {
            Ok(Change::None)
        }
    }

    fn ports(beats: Vec<Result<bool, StoreError>>) -> EnginePorts {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        EnginePorts {
            queue: store.clone(),
            nodes: Arc::new(Late(beats.into())),
            bell: store.clone(),
            guard: Arc::new(NoGuard),
            material: store,
            sender: Arc::new(RecordingSender::new(clock.clone())),
            signer: Arc::new(StandardSigner),
            ids: Arc::new(SequentialIds::new(clock.clone())),
            randomness: Arc::new(SeededRandomness::default()),
            clock,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_lease_runs_from_before_it_was_asked_for() {
        let options = Arc::new(EngineOptions::default());
        let ports = ports(vec![Ok(true)]);
        let lease = Lease::join(&ports, &options).await;
        assert_eq!(lease.remaining() + SECOND, options.lease_ttl);
        // One beat, asked for 3 s after joining, then none is answered any more.
        let lost = Arc::clone(&lease)
            .keep(Arc::new(ports.clone()), Arc::clone(&options))
            .await;
        assert_eq!(lost, Lost::RanOut);
        assert_eq!(
            ports.clock.monotonic(),
            SECOND + options.lease_beat + options.lease_ttl
        );
        assert!(!lease.holds());
    }

    /// A node that stands still while its beat is under way: until its lease has run out, and not as long as the one that
    /// the beat was for.
    struct StandsStill {
        clock: TokioClock,
        ahead: std::sync::Mutex<Duration>,
    }

    impl Clock for StandsStill {
        fn now(&self) -> postrider_domain::Timestamp {
            self.clock.now()
        }

        fn monotonic(&self) -> Duration {
            self.clock.monotonic() + *self.ahead.lock().unwrap()
        }
    }

    struct WhileItBeats(Arc<StandsStill>);

    #[async_trait]
    impl NodeRegistry for WhileItBeats {
        async fn join(&self, _: Duration) -> Result<Epoch, StoreError> {
            Ok(Epoch(1))
        }

        async fn beat(&self, _: Epoch, ttl: Duration) -> Result<bool, StoreError> {
            *self.0.ahead.lock().unwrap() += ttl.saturating_sub(2 * SECOND);
            Ok(true)
        }

        async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
            Ok(Vec::new())
        }

        async fn leave(&self, _: Epoch) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_too_late_revives_nothing() {
        let options = Arc::new(EngineOptions::default());
        let clock = Arc::new(StandsStill {
            clock: TokioClock::new(),
            ahead: std::sync::Mutex::default(),
        });
        let ports = EnginePorts {
            nodes: Arc::new(WhileItBeats(clock.clone())),
            clock: clock.clone(),
            ..ports(Vec::new())
        };
        let lease = Lease::join(&ports, &options).await;
        let beat = options.lease_beat;
        let lost = Arc::clone(&lease).keep(Arc::new(ports), options).await;
        assert_eq!(lost, Lost::RanOut);
        assert!(!lease.holds());
        assert_eq!(clock.clock.monotonic(), beat, "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn failing_beats_are_repeated_and_a_burial_ends_it() {
        let options = Arc::new(EngineOptions::default());
        let away = || Err(StoreError::Unavailable("away".into()));
        let ports = ports(vec![Ok(false), Ok(true), away(), away()]);
        let lease = Lease::join(&ports, &options).await;
        assert_eq!(
            Arc::clone(&lease).keep(Arc::new(ports), options).await,
            Lost::Buried
        );
        assert!(lease.holds(), "it would still have run");
    }
}
