use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, global, metrics::Meter};

/// How often a cache had what it was asked for. Counted here, and read when somebody looks: a look-up takes less time
/// than an instrument does.
#[derive(Debug, Default)]
pub(crate) struct LookUps {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl LookUps {
    /// Shows the look-ups of the cache of this name, and how many entries it says that it keeps.
    pub(crate) fn shown(cache: &'static str, entries: impl Fn() -> u64 + Send + Sync + 'static) -> Arc<Self> {
        Self::shown_by(&global::meter("postrider"), cache, entries)
    }

    fn shown_by(
        meter: &Meter,
        cache: &'static str,
        entries: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        let look_ups = Arc::new(Self::default());
        let of = Arc::clone(&look_ups);
        let labels = |result| [KeyValue::new("cache", cache), KeyValue::new("result", result)];
        let (hit, miss) = (labels("hit"), labels("miss"));
        meter
            .u64_observable_counter("postrider.cache.requests")
            .with_unit("{request}")
            .with_description("Look-ups in a cache, by whether it had what it was asked for")
            .with_callback(move |observer| {
                observer.observe(of.hits.load(Ordering::Relaxed), &hit);
                observer.observe(of.misses.load(Ordering::Relaxed), &miss);
            })
            .build();
        let label = [KeyValue::new("cache", cache)];
        meter
            .u64_observable_gauge("postrider.cache.entries")
            .with_unit("{entry}")
            .with_description("Entries that a cache keeps, some of which may be out of date")
            .with_callback(move |observer| observer.observe(entries(), &label))
            .build();
        look_ups
    }

    /// The cache was asked, and had it or not.
    pub(crate) fn note(&self, hit: bool) {
        let count = if hit { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Hits and misses so far.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> [u64; 2] {
        [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed))
    }
}
