use std::{sync::Arc, time::Duration};

use postrider_application::ports::{ErasureStep, Housekeeping, MessageIntake, StoreError};
use tokio::{task, time};
use tokio_util::sync::CancellationToken;

/// How many rows one statement removes: short enough that nobody waits for it.
const BATCH: u32 = 1_000;
/// How many statements one round of one chore makes; what is left waits for the next.
const BATCHES: u32 = 100;
/// How many steps of erasing are made before a pause, so that the database has time for others.
const ERASE_STEPS: u32 = 50;
/// How long that pause is.
const ERASE_PAUSE: Duration = Duration::from_millis(250);

/// How the chores are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoresOptions {
    /// How often there is a round. Default a minute.
    pub interval: Duration,
    /// How long after a tenant's deletion was ordered its rows begin to go: longer than caches and requests live,
    /// so that nothing is written behind the eraser. Default a minute.
    pub erase_grace: Duration,
}

impl Default for ChoresOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(1),
            erase_grace: Duration::from_mins(1),
        }
    }
}

/// Housekeeping that nobody waits for, in small batches: what has expired is removed (deduplication keys, sessions,
/// invitations, password resets), and tenants whose deletion was ordered are erased. Every node does it; they pass
/// over what another is at.
pub struct Chores {
    intake: Arc<dyn MessageIntake>,
    housekeeping: Arc<dyn Housekeeping>,
    options: ChoresOptions,
}

/// How a round of erasing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Erasing {
    /// Nothing is left to do here for now.
    Idle,
    /// There is more to do.
    UnderWay,
}

impl Chores {
    /// Chores over these ports.
    pub fn new(
        intake: Arc<dyn MessageIntake>,
        housekeeping: Arc<dyn Housekeeping>,
        options: ChoresOptions,
    ) -> Self {
        Self {
            intake,
            housekeeping,
            options,
        }
    }

    /// Does the chores until `shutdown`. What fails is tried again in the next round.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            // Beside each other: an erasure of hours holds up no forgetting, and the other way round.
            _ = async { tokio::join!(self.forget(), self.erase()) } => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn forget(&self) {
        loop {
            time::sleep(self.options.interval).await;
            while_full("expired deduplication keys", || {
                self.intake.forget_expired_keys(BATCH)
            })
            .await;
            while_full("expired sessions, invitations and password resets", || {
                self.housekeeping.forget_expired(BATCH)
            })
            .await;
        }
    }

    async fn erase(&self) {
        let mut pause = self.options.interval;
        loop {
            time::sleep(pause).await;
            pause = match self.erase_some().await {
                Erasing::Idle => self.options.interval,
                Erasing::UnderWay => ERASE_PAUSE.min(self.options.interval),
            };
        }
    }

    /// One round of erasing.
    async fn erase_some(&self) -> Erasing {
        for _ in 0..ERASE_STEPS {
            let step = self.housekeeping.erase(BATCH, self.options.erase_grace);
            match step.await {
                Ok(ErasureStep::Nothing | ErasureStep::Busy) => return Erasing::Idle,
                Ok(ErasureStep::Removed { .. }) => {}
                Ok(ErasureStep::Erased { tenant, rows }) => {
                    let rows: u64 = rows.iter().map(|(_, count)| count).sum();
                    tracing::info!(%tenant, rows, "a tenant was erased");
                }
                Err(error) => {
                    tracing::warn!(%error, "erasing was interrupted");
                    return Erasing::Idle;
                }
            }
            // A store that answers at once must not keep the thread.
            task::yield_now().await;
        }
        Erasing::UnderWay
    }
}

/// Makes one statement after the other while each finds a whole batch to remove.
async fn while_full<F>(what: &'static str, mut remove: impl FnMut() -> F)
where
    F: Future<Output = Result<u32, StoreError>>,
{
    for _ in 0..BATCHES {
        match remove().await {
            Ok(BATCH) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "{what} were not removed");
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "chores_tests.rs"]
mod tests;
