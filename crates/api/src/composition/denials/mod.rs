//! Who was denied what, on its way into the audit log.
//!
//! A request never waits for it, and a flood of denials becomes neither a flood of rows nor of memory: those alike
//! are counted in one entry, written at most once a second, and beyond a bound for each tenant they are told apart
//! only by who was denied what kind of thing, and at last dropped, which is said.

#[cfg(test)]
mod tests;
mod waiting;
#[cfg(test)]
mod waiting_tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::{
    audit::AuditEntry,
    ports::{Clock, DenialLog, Housekeeping, StoreError},
};
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use self::waiting::Waiting;

/// How long entries alike are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often one batch is tried, with pauses that double from [`GATHER`] to [`LONGEST_PAUSE`]: for two minutes and as
/// long as the tries take.
const TRIES: u32 = 8;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often it is said, at most, that entries were dropped.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change is whole before anything that could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes denials down; [`DenialWriter`] writes them.
#[derive(Clone, Default)]
pub(super) struct Denials(Arc<Shared>);

impl DenialLog for Denials {
    fn denied(&self, entry: AuditEntry) {
        self.0.waiting().add(entry);
        self.0.news.notify_one();
    }
}

/// Entries that were not written, or of which we do not know it. They are tried again as they are: those that were
/// written after all are known by their ids, and are not written twice.
struct Failed {
    entries: Vec<AuditEntry>,
    tries: u32,
}

impl Failed {
    fn pause(&self) -> Duration {
        let factor = 1_u32
            .checked_shl(self.tries.saturating_sub(1))
            .unwrap_or(u32::MAX);
        GATHER.saturating_mul(factor).min(LONGEST_PAUSE)
    }
}

/// Writes what [`Denials`] took down.
pub(super) struct DenialWriter {
    shared: Arc<Shared>,
    log: Arc<dyn Housekeeping>,
    clock: Arc<dyn Clock>,
    failed: Option<Failed>,
    complained_at: Option<Duration>,
}

impl DenialWriter {
    pub(super) fn new(denials: &Denials, log: Arc<dyn Housekeeping>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: denials.0.clone(),
            log,
            clock,
            failed: None,
            complained_at: None,
        }
    }

    /// Writes until `shutdown`, and then what is left.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(self.gather()).await.is_some() {
            self.write().await;
        }
        self.finish().await;
    }

    /// Waits for the first entry, and then for those like it; or until what failed is to be tried again.
    async fn gather(&self) {
        if let Some(failed) = &self.failed {
            time::sleep(failed.pause()).await;
        } else {
            self.shared.news.notified().await;
            time::sleep(GATHER).await;
        }
    }

    /// Writes what failed before, else what waits. What comes meanwhile waits, within its bounds.
    async fn write(&mut self) {
        let Failed { entries, tries } = self.failed.take().unwrap_or_else(|| Failed {
            entries: self.shared.waiting().take(),
            tries: 0,
        });
        if let Err(error) = self.append(&entries).await {
            let tries = tries + 1;
            if tries < TRIES {
                tracing::warn!(%error, tries, "denials were not written to the audit log, and are tried again");
                self.failed = Some(Failed { entries, tries });
            } else {
                self.give_up(&entries, &error);
            }
        }
        self.complain();
    }

    /// Writes what is left, each once.
    async fn finish(mut self) {
        let failed = self.failed.take().map(|failed| failed.entries);
        let waiting = self.shared.waiting().take();
        let mut away = false;
        for entries in [failed.unwrap_or_default(), waiting] {
            if away {
                self.shared.waiting().drop_all(&entries);
            } else if let Err(error) = self.append(&entries).await {
                away = true;
                self.give_up(&entries, &error);
            }
        }
        self.complained_at = None;
        self.complain();
    }

    async fn append(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        time::timeout(WRITE_TIMEOUT, self.log.append_audit(entries))
            .await
            .unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))
    }

    fn give_up(&self, entries: &[AuditEntry], error: &StoreError) {
        tracing::error!(%error, "denials cannot be written to the audit log");
        self.shared.waiting().drop_all(entries);
    }

    /// Says how many were dropped, now and then.
    fn complain(&mut self) {
        let now = self.clock.monotonic();
        let too_soon = self
            .complained_at
            .is_some_and(|at| now.saturating_sub(at) < COMPLAIN_EVERY);
        if too_soon {
            return;
        }
        let dropped = std::mem::take(&mut self.shared.waiting().dropped);
        if dropped > 0 {
            self.complained_at = Some(now);
            tracing::warn!(
                dropped,
                "denials are missing in the audit log: there were too many, or they could not be written"
            );
        }
    }
}
