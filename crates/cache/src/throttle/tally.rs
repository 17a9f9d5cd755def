//! How attempts are counted, and what wait follows from them.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::sync::Cache;

use super::Allowance;

impl Allowance {
    /// The wait after so many attempts.
    pub(super) fn wait(&self, attempts: u32) -> Duration {
        match attempts.checked_sub(self.free.max(1)) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first_wait.saturating_mul(factor).min(self.longest_wait)
            }
        }
    }
}

/// Attempts so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    attempts: u32,
    /// When the last one began, by the clock's monotonic time.
    last_at: Duration,
}

impl Tally {
    /// One attempt counts no more: it was right.
    pub(super) fn give_back_one(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }
}

/// By what a tally is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) allowance: Allowance,
    pub(super) forget_after: Duration,
}

impl Rules {
    /// For how long an attempt counts: no wait is cut short.
    pub(super) fn remembered(&self) -> Duration {
        self.forget_after.max(self.allowance.longest_wait)
    }

    /// Whether the next attempt may be made now; else how long it must wait.
    pub(super) fn check(&self, tally: &Tally, now: Duration) -> Result<(), Duration> {
        let over_at = tally.last_at.saturating_add(self.allowance.wait(tally.attempts));
        match over_at.saturating_sub(now) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }

    /// Counts an attempt.
    pub(super) fn count(&self, tally: &mut Tally, now: Duration) {
        if now.saturating_sub(tally.last_at) >= self.remembered() {
            tally.attempts = 0;
        }
        tally.attempts = tally.attempts.saturating_add(1);
        tally.last_at = now;
    }
}

pub(super) type Shared<T> = Arc<Mutex<T>>;

pub(super) fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    // What is in there is whole after each step: whoever panicked holding it left it so.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tallies of many, bounded: those that are seen least are forgotten first.
pub(super) struct Tallies<K> {
    pub(super) rules: Rules,
    pub(super) kept: Cache<K, Shared<Tally>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Tallies<K> {
    pub(super) fn new(rules: Rules, max_entries: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(max_entries)
            // By moka's own clock. That frees the memory; what counts is judged by ours.
            .time_to_idle(rules.remembered())
            .build();
        Self { rules, kept }
    }

    /// The tally of `key`; made if there is none.
    pub(super) fn of(&self, key: K) -> Shared<Tally> {
        self.kept.get_with(key, Shared::default)
    }

    /// Changes the tally of `key`, if there is one. It is changed where it is: others may hold it.
    pub(super) fn change(&self, key: &K, change: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.kept.get(key) {
            change(&mut lock(&tally));
        }
    }
}
