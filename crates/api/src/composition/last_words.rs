use std::{sync::Arc, time::Duration};

use postrider_application::ports::{NodeRegistry as _, WorkBell as _};
use postrider_engine::EngineHandle;
use postrider_persistence::SqlStore;

/// What is left to be done for a platform whose end took too long and was cut short.
pub struct LastWords {
    pub(super) store: Arc<SqlStore>,
    pub(super) engine: EngineHandle,
}

impl LastWords {
    /// How long it may take at the longest; if it fails, the lease runs out by itself.
    const LONGEST: Duration = Duration::from_secs(2);

    /// Says what is left, and gives it back: others may have it at once. To be called once [`Platform::run`](super::Platform::run) was
    /// dropped. Takes no longer than `within`.
    pub async fn say(self, within: Duration) {
        let status = self.engine.status();
        tracing::warn!(
            in_flight = status.in_flight,
            waiting = status.waiting,
            holds_lease = status.epoch.is_some(),
            "the shutdown took too long and is cut short; what was under way goes back to the queue and will be repeated"
        );
        let Some(epoch) = status.epoch else { return };
        let leaving = async {
            self.store.leave(epoch).await?;
            self.store.ring().await
        };
        match tokio::time::timeout(within.min(Self::LONGEST), leaving).await {
            Ok(Ok(())) => tracing::info!(%epoch, "left; nothing is leased any more"),
            Ok(Err(error)) => tracing::warn!(%epoch, %error, "could not leave; the lease will run out"),
            Err(_) => tracing::warn!(%epoch, "could not leave in time; the lease will run out"),
        }
    }
}
