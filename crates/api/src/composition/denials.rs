//! Who was denied what, on its way into the audit log.
//!
//! A request never waits for it, and a flood of denials becomes neither a flood of rows nor of memory: those alike
//! are counted in one entry, written at most once a second, and beyond a bound they are dropped, which is said.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postrider_application::{
    audit::{Actor, AuditEntry},
    ports::{Clock, DenialLog, Housekeeping, StoreError},
};
use postrider_domain::TenantId;
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

/// The most different entries that wait.
const MAX_WAITING: usize = 1_024;
/// How long entries alike are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is said, at most, that entries were dropped.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// What entries have in common that are counted in one.
type Alike = (Option<TenantId>, Actor, Cow<'static, str>, Option<String>);

fn alike(entry: &AuditEntry) -> Alike {
    (
        entry.tenant,
        entry.actor.clone(),
        entry.action.clone(),
        entry.target.clone(),
    )
}

#[derive(Default)]
struct Waiting {
    entries: HashMap<Alike, AuditEntry>,
    dropped: u64,
}

impl Waiting {
    fn drop_all(&mut self, entries: &[AuditEntry]) {
        self.dropped += entries.iter().map(|entry| u64::from(entry.times)).sum::<u64>();
    }

    fn add(&mut self, entry: AuditEntry) {
        let full = self.entries.len() >= MAX_WAITING;
        match self.entries.entry(alike(&entry)) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.times = known.times.saturating_add(entry.times);
            }
            Entry::Vacant(_) if full => self.drop_all(&[entry]),
            Entry::Vacant(place) => {
                place.insert(entry);
            }
        }
    }
}

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

/// Writes what [`Denials`] took down.
pub(super) struct DenialWriter {
    shared: Arc<Shared>,
    log: Arc<dyn Housekeeping>,
    clock: Arc<dyn Clock>,
    complained_at: Option<Duration>,
}

impl DenialWriter {
    pub(super) fn new(denials: &Denials, log: Arc<dyn Housekeeping>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: denials.0.clone(),
            log,
            clock,
            complained_at: None,
        }
    }

    /// Writes until `shutdown`, and then what is left.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(self.gather()).await.is_some() {
            self.write().await;
        }
        self.write().await;
    }

    /// Waits for the first entry, and then for those like it.
    async fn gather(&self) {
        self.shared.news.notified().await;
        time::sleep(GATHER).await;
    }

    async fn write(&mut self) {
        let mut entries: Vec<_> = {
            let mut waiting = self.shared.waiting();
            waiting.entries.drain().map(|(_, entry)| entry).collect()
        };
        if !entries.is_empty() {
            // By id, which is by time: rows that follow each other are cheaper to insert.
            entries.sort_unstable_by_key(|entry| entry.id);
            match time::timeout(WRITE_TIMEOUT, self.log.append_audit(&entries)).await {
                Ok(Ok(())) => {}
                Ok(Err(StoreError::Unavailable(_))) | Err(_) => self.put_back(entries),
                // The same entries would be refused again.
                Ok(Err(error)) => {
                    tracing::error!(%error, "denials cannot be written to the audit log");
                    self.shared.waiting().drop_all(&entries);
                }
            }
        }
        self.complain();
    }

    /// The database is away: they are tried again with the next.
    fn put_back(&self, entries: Vec<AuditEntry>) {
        let mut waiting = self.shared.waiting();
        for entry in entries {
            waiting.add(entry);
        }
        self.shared.news.notify_one();
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
                "denials were not written to the audit log: there were too many"
            );
        }
    }
}

#[cfg(test)]
#[path = "denials_tests.rs"]
mod tests;
