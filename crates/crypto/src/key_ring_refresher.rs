use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{KeyRing, KeyRingError};

/// Tells this node of signing keys that another one made, so that it signs with the newest and publishes all.
pub struct KeyRingRefresher {
    keys: Arc<KeyRing>,
    interval: Duration,
}

impl KeyRingRefresher {
    /// How long it waits between two looks by default: a new key is known everywhere within 5 seconds, the time to
    /// read it included.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(4);

    /// Refreshes `keys`, waiting [`Self::DEFAULT_INTERVAL`] in between.
    pub fn new(keys: Arc<KeyRing>) -> Self {
        Self {
            keys,
            interval: Self::DEFAULT_INTERVAL,
        }
    }

    /// The same, waiting `interval` in between. Below a second it is a second.
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Refreshes until `shutdown`. Failures are logged, each once; the keys that are known stay in use meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        let refreshing = async {
            let mut health = Health::default();
            loop {
                tokio::time::sleep(self.interval).await;
                match health.note(self.keys.refresh().await) {
                    None => {}
                    Some(Change::Failing(error)) => {
                        tracing::warn!(
                            error,
                            "the signing keys cannot be refreshed; those known stay in use"
                        );
                    }
                    Some(Change::Recovered) => tracing::info!("the signing keys are refreshed again"),
                }
            }
        };
        shutdown.run_until_cancelled(refreshing).await;
    }
}

/// Whether the last look failed, and how: what does not change is not said again.
#[derive(Default)]
struct Health(Option<String>);

/// What is worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Failing(String),
    Recovered,
}

impl Health {
    fn note(&mut self, outcome: Result<(), Arc<KeyRingError>>) -> Option<Change> {
        let failure = outcome.err().map(|error| error.answer().chain());
        if failure == self.0 {
            return None;
        }
        self.0.clone_from(&failure);
        Some(failure.map_or(Change::Recovered, Change::Failing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{StoredKeys, sealer, two_keys};
    use postrider_application::ports::{Clock as _, StoreError};
    use postrider_testkit::TokioClock;

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_made_elsewhere_is_published_within_five_seconds() {
        let (old, new) = two_keys().await;
        let store = StoredKeys::holding([old]);
        let clock = Arc::new(TokioClock::new());
        let keys = KeyRing::load_or_create(store.clone(), Arc::new(sealer(1)), clock).await;
        let keys = Arc::new(keys.unwrap());
        let shutdown = CancellationToken::new();
        let running = KeyRingRefresher::new(keys.clone()).run(shutdown.clone());
        let watching = async {
            for moment in 0..3 {
                // At any moment between two looks.
                tokio::time::sleep(Duration::from_millis(1_300 * moment)).await;
                store.stored.lock().unwrap().push(new.clone());
                tokio::time::sleep(Duration::from_secs(5)).await;
                assert!(keys.jwks().contains(&new.kid), "stored at moment {moment}");
                store.stored.lock().unwrap().retain(|key| key.kid != new.kid);
                tokio::time::sleep(Duration::from_secs(5)).await;
                assert!(!keys.jwks().contains(&new.kid), "removed at moment {moment}");
            }
            shutdown.cancel();
        };
        // It ends because it is told to, or the test would hang.
        tokio::join!(running, watching);
    }

    #[tokio::test(start_paused = true)]
    async fn shutting_down_does_not_wait_for_the_next_look() {
        let store = StoredKeys::holding([two_keys().await.0]);
        let clock = Arc::new(TokioClock::new());
        let keys = KeyRing::load_or_create(store, Arc::new(sealer(1)), clock.clone()).await;
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let started = clock.monotonic();
        let refresher = KeyRingRefresher::new(Arc::new(keys.unwrap())).every(Duration::from_hours(1));
        refresher.run(shutdown).await;
        assert_eq!(clock.monotonic(), started);
    }

    #[test]
    fn a_failure_is_said_once_and_its_end_too() {
        let failing = |cause: &str| {
            let cause = StoreError::Unavailable(cause.to_owned().into());
            Err(Arc::new(KeyRingError::Store(cause)))
        };
        let mut health = Health::default();
        assert_eq!(health.note(Ok(())), None);
        let said = health.note(failing("no route"));
        assert!(
            matches!(&said, Some(Change::Failing(chain)) if chain.contains("no route")),
            "{said:?}"
        );
        assert_eq!(health.note(failing("no route")), None);
        assert!(matches!(
            health.note(failing("refused")),
            Some(Change::Failing(_))
        ));
        assert_eq!(health.note(failing("refused")), None);
        assert_eq!(health.note(Ok(())), Some(Change::Recovered));
        assert_eq!(health.note(Ok(())), None);
    }
}
