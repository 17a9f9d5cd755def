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
                        tracing::warn!(error, "the signing keys cannot be refreshed; those known stay in use");
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
