use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash},
    sync::atomic::{AtomicU64, Ordering},
};

/// How many counters the keys share.
const STRIPES: usize = 256;

/// Counts invalidations. A key's generation rises whenever the key may have been invalidated.
///
/// Keys share a fixed number of counters, so memory is bounded; that two share one means only that now and then an
/// entry is loaded again for nothing.
pub(crate) struct Generations {
    all: AtomicU64,
    stripes: [AtomicU64; STRIPES],
    /// Without random keys: nobody gains anything by ids that share a counter.
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Generations {
    pub(crate) fn new() -> Self {
        Self {
            all: AtomicU64::new(0),
            stripes: [const { AtomicU64::new(0) }; STRIPES],
            hasher: BuildHasherDefault::default(),
        }
    }

    /// The generation of everything that `group` names.
    ///
    /// The two counters are not read in one step. They only rise, so the sum is never more than the present one, and
    /// never less than the one at the beginning of the call: it names a generation that was current in between, or
    /// one that is gone already, whose entries nobody will ask for.
    pub(crate) fn of<G: Hash + ?Sized>(&self, group: &G) -> u64 {
        self.all
            .load(Ordering::SeqCst)
            .wrapping_add(self.stripe(group).load(Ordering::SeqCst))
    }

    /// Begins a new generation of everything that `group` names.
    pub(crate) fn advance<G: Hash + ?Sized>(&self, group: &G) {
        self.stripe(group).fetch_add(1, Ordering::SeqCst);
    }

    /// Begins a new generation of everything.
    pub(crate) fn advance_all(&self) {
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    fn stripe<G: Hash + ?Sized>(&self, group: &G) -> &AtomicU64 {
        // The remainder is below the number of stripes, which is far below what fits either type.
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let index = (self.hasher.hash_one(group) % STRIPES as u64) as usize;
        &self.stripes[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_rises_with_its_group_and_with_all() {
        let generations = Generations::new();
        let before = generations.of("a");
        generations.advance("a");
        assert_eq!(generations.of("a"), before + 1);
        generations.advance_all();
        assert_eq!(generations.of("a"), before + 2);
    }

    #[test]
    fn most_other_groups_do_not_rise() {
        let generations = Generations::new();
        generations.advance("a");
        let risen = (0..1_000).filter(|other| generations.of(other) != 0).count();
        // 1,000 / 256 are expected; 100 would be twenty-five times as many.
        assert!(risen < 100, "{risen}");
    }
}
