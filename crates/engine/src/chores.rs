use std::{sync::Arc, time::Duration};

use postrider_application::ports::{
    Clock, EndpointGuard, EndpointHealth, ErasureStep, Housekeeping, MessageWriter, Partitions, StoreError,
};
use postrider_domain::{
    Change,
    endpoints::{DisableReason, FailingPolicy},
};
use tokio::{task, time};
use tokio_util::sync::CancellationToken;

use crate::{
    chore_notes::ChoreNotes,
    store_calls::{bounded, warn},
};

/// How many rows one statement removes: short enough that nobody waits for it.
const BATCH: u32 = 1_000;
/// How many statements one round of one chore makes; what is left waits for the next.
const BATCHES: u32 = 100;
/// How long one call of a chore may take: longer than any that is still worked at, so that only one is given up whose
/// connection fell silent. Waited for for ever, that chore would never be done again on this node.
const CALL_TIMEOUT: Duration = Duration::from_mins(5);
/// How many steps of erasing are made before a pause, so that the database has time for others.
const ERASE_STEPS: u32 = 50;
/// How many failing endpoints are disabled in one round.
const FAILING_AT_ONCE: u32 = 100;
/// How long that pause is.
const ERASE_PAUSE: Duration = Duration::from_millis(250);

const KEYS: &str = "forget_keys";
const EXPIRED: &str = "forget_expired";
const PARTITIONS: &str = "partitions";
const ERASE: &str = "erase";
const FAILING: &str = "disable_failing";

/// How the chores are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoresOptions {
    /// How often there is a round. Default a minute.
    pub interval: Duration,
    /// How long after a tenant's deletion was ordered its rows begin to go: longer than caches and requests live,
    /// so that nothing is written behind the eraser. Default a minute.
    pub erase_grace: Duration,
    /// How far ahead there are partitions of history, where it is partitioned. Default a week.
    pub partitions_ahead: Duration,
    /// When an endpoint that only fails is disabled.
    pub failing: FailingPolicy,
}

impl Default for ChoresOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(1),
            erase_grace: Duration::from_mins(1),
            partitions_ahead: Duration::from_hours(7 * 24),
            failing: FailingPolicy::default(),
        }
    }
}

/// Housekeeping that nobody waits for, in small batches: what has expired is removed (deduplication keys, sessions,
/// invitations, password resets), tenants whose deletion was ordered are erased, partitions are made ahead, and
/// endpoints that only fail are disabled. Every node does it; they pass over what another is at.
pub struct Chores {
    ports: ChoresPorts,
    options: ChoresOptions,
    notes: ChoreNotes,
}

/// Everything of the outside that the chores use.
#[derive(Clone)]
pub struct ChoresPorts {
    /// Forgets deduplication keys.
    pub writer: Arc<dyn MessageWriter>,
    /// Forgets what is over, and erases.
    pub housekeeping: Arc<dyn Housekeeping>,
    /// Makes partitions.
    pub partitions: Arc<dyn Partitions>,
    /// Knows which endpoints fail.
    pub health: Arc<dyn EndpointHealth>,
    /// Disables them.
    pub guard: Arc<dyn EndpointGuard>,
    /// Time, to be noted.
    pub clock: Arc<dyn Clock>,
}

/// How a round of erasing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Erasing {
    /// Nothing is left to do here for now.
    Idle,
    /// There is more to do.
    UnderWay,
    /// A step failed.
    Interrupted,
}

impl Chores {
    /// Chores over these ports.
    pub fn new(ports: ChoresPorts, options: ChoresOptions) -> Self {
        let disables = options.failing.disable_after.is_some();
        let all = [KEYS, EXPIRED, PARTITIONS, ERASE, FAILING];
        let done = if disables { &all[..] } else { &all[..4] };
        let notes = ChoreNotes::of(done, &ports.clock);
        Self {
            ports,
            options,
            notes,
        }
    }

    /// Does the chores until `shutdown`. What fails is tried again in the next round.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            // Beside each other: an erasure of hours holds up no forgetting, and the other way round.
            _ = async { tokio::join!(self.forget(), self.erase(), self.look_ahead(), self.disable_failing()) } => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn forget(&self) {
        loop {
            time::sleep(self.options.interval).await;
            let keys = while_full("expired deduplication keys were not removed", || {
                self.ports.writer.forget_expired_keys(BATCH)
            });
            self.notes.ended(KEYS, keys.await);
            let what = "expired sessions, invitations and password resets were not removed";
            let expired = while_full(what, || self.ports.housekeeping.forget_expired(BATCH));
            self.notes.ended(EXPIRED, expired.await);
        }
    }

    /// Partitions are made at once, and then long before anything needs them.
    async fn look_ahead(&self) {
        loop {
            let made = self.ports.partitions.make_ahead(self.options.partitions_ahead);
            let made = bounded(CALL_TIMEOUT, made).await;
            self.notes.ended(PARTITIONS, made.is_ok());
            match made {
                Ok(0) => {}
                Ok(made) => tracing::info!(made, "partitions of history were made"),
                Err(error) => warn("partitions of history could not be made", &error),
            }
            time::sleep(self.options.interval).await;
        }
    }

    async fn disable_failing(&self) {
        let Some(at_least) = self.options.failing.disable_after else {
            return std::future::pending().await;
        };
        loop {
            time::sleep(self.options.interval).await;
            let disabled = self.disable_those_failing_for(at_least).await;
            self.notes.ended(FAILING, matches!(disabled, Ok(true)));
            if let Err(error) = disabled {
                warn("endpoints that only fail could not be looked for", &error);
            }
        }
    }

    /// Whether all of them could be disabled.
    async fn disable_those_failing_for(&self, at_least: Duration) -> Result<bool, StoreError> {
        let mut all = true;
        let failing = self.ports.health.failing_for(at_least, FAILING_AT_ONCE);
        for failing in bounded(CALL_TIMEOUT, failing).await? {
            // By its own attempts and no clock: our time may be another one than the database's.
            if !self
                .options
                .failing
                .disables(Some(failing.since), failing.last_at)
            {
                continue;
            }
            let (tenant, application) = (failing.tenant, failing.application);
            let (why, seen) = (DisableReason::Failing, Some(failing.version));
            let (guard, endpoint) = (&self.ports.guard, failing.endpoint);
            let disable = guard.disable(tenant, application, endpoint, why, seen);
            match bounded(CALL_TIMEOUT, disable).await {
                Ok(Change::Made) => {
                    tracing::info!(%tenant, %endpoint, "an endpoint that only fails was disabled");
                }
                Ok(Change::None) => {}
                // The others have their turn.
                Err(error) => {
                    all = false;
                    tracing::warn!(%error, %tenant, %endpoint, "it could not be disabled");
                }
            }
        }
        Ok(all)
    }

    async fn erase(&self) {
        let mut pause = self.options.interval;
        loop {
            time::sleep(pause).await;
            let erasing = self.erase_some().await;
            self.notes.ended(ERASE, erasing != Erasing::Interrupted);
            pause = match erasing {
                Erasing::Idle | Erasing::Interrupted => self.options.interval,
                Erasing::UnderWay => ERASE_PAUSE.min(self.options.interval),
            };
        }
    }

    /// One round of erasing.
    async fn erase_some(&self) -> Erasing {
        for _ in 0..ERASE_STEPS {
            let step = self.ports.housekeeping.erase(BATCH, self.options.erase_grace);
            match bounded(CALL_TIMEOUT, step).await {
                Ok(ErasureStep::Nothing | ErasureStep::Busy) => return Erasing::Idle,
                Ok(ErasureStep::Removed { .. }) => {}
                Ok(ErasureStep::Erased { tenant, rows }) => {
                    let rows: u64 = rows.iter().map(|(_, count)| count).sum();
                    tracing::info!(%tenant, rows, "a tenant was erased");
                }
                Err(error) => {
                    warn("erasing was interrupted", &error);
                    return Erasing::Interrupted;
                }
            }
            // A store that answers at once must not keep the thread.
            task::yield_now().await;
        }
        Erasing::UnderWay
    }
}

/// Makes one statement after the other while each finds a whole batch to remove; whether none failed. If one does,
/// `otherwise` is said.
async fn while_full<F>(otherwise: &'static str, mut remove: impl FnMut() -> F) -> bool
where
    F: Future<Output = Result<u32, StoreError>>,
{
    for _ in 0..BATCHES {
        match bounded(CALL_TIMEOUT, remove()).await {
            Ok(BATCH) => {}
            Ok(_) => return true,
            Err(error) => {
                warn(otherwise, &error);
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
#[path = "chores_silence_tests.rs"]
mod silence_tests;
#[cfg(test)]
#[path = "chores_tests.rs"]
mod tests;
