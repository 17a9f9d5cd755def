use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use moka::{future::Cache, ops::compute::Op};
use postrider_application::ports::{Clock, StoreError};

use crate::{generations::Generations, look_ups::LookUps};

/// How long and how much a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// The greatest age of an entry, counted from before it was read; 5 seconds by default. A revocation holds on
    /// every node after this time even if the node is never told of it. Zero switches the cache off.
    pub ttl: Duration,
    /// The most entries; 100,000 by default.
    pub max_entries: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(5),
            max_entries: 100_000,
        }
    }
}

/// A key's entries are filed by generation: what was read in an older one is out of reach, and a load that was begun
/// in an older one is not joined.
type Filed<K> = (K, u64);

struct Entry<V> {
    value: Arc<V>,
    /// By the clock's monotonic time.
    stale_at: Duration,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            stale_at: self.stale_at,
        }
    }
}

/// What a load came to when there is nothing to keep; shared by all who waited for it.
enum NotKept<V> {
    Absent,
    /// Invalidated while it was being read. Whoever waited had asked before that, so it is a true answer for them.
    Superseded(Arc<V>),
    Failed(StoreError),
}

/// A cache with single flight in which an invalidation wins over the loads that it overtakes.
pub(crate) struct Flights<K, V> {
    entries: Cache<Filed<K>, Entry<V>>,
    generations: Generations,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    look_ups: Arc<LookUps>,
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// A cache of its own name.
    pub(crate) fn new(name: &'static str, options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder()
            .max_capacity(options.max_entries)
            .time_to_live(options.ttl)
            .build();
        let counted = entries.clone();
        Self {
            look_ups: LookUps::shown(name, move || counted.entry_count()),
            entries,
            generations: Generations::new(),
            clock,
            ttl: options.ttl,
        }
    }

    /// The value of `key`, kept or loaded. It is invalidated by the name of its `group`.
    pub(crate) async fn get<G, F>(
        &self,
        group: &G,
        key: K,
        load: impl FnOnce() -> F,
    ) -> Result<Option<Arc<V>>, StoreError>
    where
        G: Hash,
        F: Future<Output = Result<Option<V>, StoreError>>,
    {
        if self.ttl.is_zero() {
            self.look_ups.note(false);
            return Ok(load().await?.map(Arc::new));
        }
        let generation = self.generations.of(group);
        let filed = (key, generation);
        if let Some(entry) = self.entries.get(&filed).await {
            if !self.is_stale(&entry) {
                self.look_ups.note(true);
                return Ok(Some(entry.value));
            }
            self.remove_stale(filed.clone()).await;
        }
        self.look_ups.note(false);
        let loaded = self
            .entries
            .try_get_with(filed, self.load(group, generation, load))
            .await;
        match loaded {
            Ok(entry) => Ok(Some(entry.value)),
            Err(not_kept) => match &*not_kept {
                NotKept::Absent => Ok(None),
                NotKept::Superseded(value) => Ok(Some(Arc::clone(value))),
                NotKept::Failed(_) => Err(shared(not_kept)),
            },
        }
    }

    async fn load<G, F>(
        &self,
        group: &G,
        generation: u64,
        load: impl FnOnce() -> F,
    ) -> Result<Entry<V>, NotKept<V>>
    where
        G: Hash,
        F: Future<Output = Result<Option<V>, StoreError>>,
    {
        // Before the read: the entry can be no older than this.
        let stale_at = self.clock.monotonic().saturating_add(self.ttl);
        let value = load()
            .await
            .map_err(NotKept::Failed)?
            .map(Arc::new)
            .ok_or(NotKept::Absent)?;
        let entry = Entry { value, stale_at };
        if self.generations.of(group) != generation {
            return Err(NotKept::Superseded(entry.value));
        }
        Ok(entry)
    }

    /// Whatever is kept of the group is out of reach from now on, and so is what is being read.
    pub(crate) fn invalidate<G: Hash>(&self, group: &G) {
        self.generations.advance(group);
    }

    /// Everything is out of reach from now on.
    pub(crate) fn invalidate_all(&self) {
        self.generations.advance_all();
        // What is out of reach would go by itself within the time to live; this frees the memory now.
        self.entries.invalidate_all();
    }

    fn is_stale(&self, entry: &Entry<V>) -> bool {
        self.clock.monotonic() >= entry.stale_at
    }

    /// In one step: another caller may have loaded it anew since it was looked at.
    async fn remove_stale(&self, filed: Filed<K>) {
        let check = |found: Option<moka::Entry<Filed<K>, Entry<V>>>| {
            let stale = found.is_some_and(|found| self.is_stale(found.value()));
            std::future::ready(if stale { Op::Remove } else { Op::Nop })
        };
        self.entries.entry(filed).and_compute_with(check).await;
    }
}

/// The cause of a failure that several callers share.
struct SharedFailure<V>(Arc<NotKept<V>>);

impl<V> SharedFailure<V> {
    fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        match &*self.0 {
            NotKept::Failed(StoreError::Unavailable(cause) | StoreError::Internal(cause)) => Some(&**cause),
            _ => None,
        }
    }
}

impl<V> fmt::Debug for SharedFailure<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Debug::fmt(cause, f))
    }
}

impl<V> fmt::Display for SharedFailure<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl<V> std::error::Error for SharedFailure<V> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().and_then(std::error::Error::source)
    }
}

/// The same error for one of several callers: of the same kind, with the same causes.
fn shared<V: Send + Sync + 'static>(not_kept: Arc<NotKept<V>>) -> StoreError {
    match &*not_kept {
        NotKept::Failed(StoreError::Stale) => StoreError::Stale,
        NotKept::Failed(StoreError::Conflict(rule)) => StoreError::Conflict(*rule),
        NotKept::Failed(StoreError::Unavailable(_)) => {
            StoreError::Unavailable(Box::new(SharedFailure(not_kept)))
        }
        _ => StoreError::Internal(Box::new(SharedFailure(not_kept))),
    }
}

#[cfg(test)]
#[path = "flight_tests.rs"]
mod tests;
