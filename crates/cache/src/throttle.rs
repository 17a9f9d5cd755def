use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use postrider_application::ports::{Clock, Throttle};
use postrider_domain::users::Email;

/// How many attempts at passwords are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// At one account, from wherever: by default 5 at once, then with waits from 1 second to 60 seconds. Short, as
    /// whoever guesses at an account holds up its owner too.
    pub account: Allowance,
    /// From one address (of IPv6: from one /64, which is what one customer is given), at whichever accounts: by
    /// default 20 at once, then with waits from 1 second to 15 minutes.
    pub address: Allowance,
    /// How long after the last attempt that was let through all are forgotten; 1 hour by default, and never before the
    /// longest wait is over.
    pub forget_after: Duration,
    /// The most accounts, and the most addresses, that are remembered; 100,000 by default. Beyond that, those that are
    /// seen least are forgotten first, so that a flood of made-up ones does not wash out the one that is guessed at.
    pub max_entries: u64,
}

/// How often something may be done before one must wait, and how long one must wait then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How often without waiting; 0 is as good as 1.
    pub free: u32,
    /// The wait after the last free one; it doubles with each one after that.
    pub first_wait: Duration,
    /// What it doubles up to.
    pub longest_wait: Duration,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self {
            account: Allowance {
                free: 5,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_mins(1),
            },
            address: Allowance {
                free: 20,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_mins(15),
            },
            forget_after: Duration::from_hours(1),
            max_entries: 100_000,
        }
    }
}

impl Allowance {
    /// The wait after so many attempts.
    fn wait(&self, attempts: u32) -> Duration {
        match attempts.checked_sub(self.free.max(1)) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first_wait.saturating_mul(factor).min(self.longest_wait)
            }
        }
    }
}

/// Holds up whoever guesses passwords: at one account from many addresses, or at many accounts from one address.
///
/// An attempt counts when it begins, so of many at the same time no more are let through than one after the other. One
/// that is refused counts nothing and lengthens no wait. Each node counts for itself: behind a balancer, so many times
/// more attempts are let through as there are nodes.
pub struct AttemptThrottle {
    accounts: Tallies<u64>,
    addresses: Tallies<IpAddr>,
    /// Accounts are known by a hash under a key of this process's own: no addresses of people in memory, and nobody can
    /// choose two that share one.
    account_key: RandomState,
    clock: Arc<dyn Clock>,
}

impl AttemptThrottle {
    /// Counts from now on.
    pub fn new(options: ThrottleOptions, clock: Arc<dyn Clock>) -> Self {
        let tallies = |allowance| Rules {
            allowance,
            forget_after: options.forget_after,
        };
        Self {
            accounts: Tallies::new(tallies(options.account), options.max_entries),
            addresses: Tallies::new(tallies(options.address), options.max_entries),
            account_key: RandomState::new(),
            clock,
        }
    }

    fn account(&self, account: &Email) -> SharedTally {
        self.accounts.of(self.account_key.hash_one(account))
    }

    fn address(&self, address: Option<IpAddr>) -> Option<SharedTally> {
        address.map(|address| self.addresses.of(network(address)))
    }
}

impl Throttle for AttemptThrottle {
    fn attempt(&self, account: &Email, address: Option<IpAddr>) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let (account, address) = (self.account(account), self.address(address));
        // Both are held until both are counted, always in this order.
        let mut account = lock(&account);
        let mut address = address.as_ref().map(lock);
        let waits = self.accounts.rules.wait(&account, now).into_iter();
        let waits = waits.chain(
            address
                .as_ref()
                .and_then(|tally| self.addresses.rules.wait(tally, now)),
        );
        if let Some(longest) = waits.max() {
            return Err(longest);
        }
        self.accounts.rules.count(&mut account, now);
        if let Some(address) = &mut address {
            self.addresses.rules.count(address, now);
        }
        Ok(())
    }

    fn succeeded(&self, account: &Email, address: Option<IpAddr>) {
        // Emptied where it is, not removed: others may hold it.
        *lock(&self.account(account)) = Tally::default();
        if let Some(address) = self.address(address) {
            let mut address = lock(&address);
            address.attempts = address.attempts.saturating_sub(1);
        }
    }
}

impl fmt::Debug for AttemptThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptThrottle").finish_non_exhaustive()
    }
}

/// What one customer of a provider is given: an IPv4 address, or the first 64 bits of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Attempts so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    attempts: u32,
    /// When the last one began, by the clock's monotonic time.
    last_at: Duration,
}

type SharedTally = Arc<Mutex<Tally>>;

fn lock(tally: &SharedTally) -> MutexGuard<'_, Tally> {
    // It is written in one go: whoever panicked holding it left it whole.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is counted by, and how.
struct Tallies<K> {
    rules: Rules,
    kept: Cache<K, SharedTally>,
}

impl<K: std::hash::Hash + Eq + Send + Sync + 'static> Tallies<K> {
    fn new(rules: Rules, max_entries: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(max_entries)
            // By moka's own clock. That frees the memory; what counts is judged by ours.
            .time_to_idle(rules.remembered())
            .build();
        Self { rules, kept }
    }

    fn of(&self, key: K) -> SharedTally {
        self.kept.get_with(key, SharedTally::default)
    }
}

struct Rules {
    allowance: Allowance,
    forget_after: Duration,
}

impl Rules {
    /// For how long an attempt counts: no wait is cut short.
    fn remembered(&self) -> Duration {
        self.forget_after.max(self.allowance.longest_wait)
    }

    /// How long the next attempt must wait; none if it need not.
    fn wait(&self, tally: &Tally, now: Duration) -> Option<Duration> {
        let over_at = tally.last_at.saturating_add(self.allowance.wait(tally.attempts));
        Some(over_at.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    fn count(&self, tally: &mut Tally, now: Duration) {
        if now.saturating_sub(tally.last_at) >= self.remembered() {
            tally.attempts = 0;
        }
        tally.attempts = tally.attempts.saturating_add(1);
        tally.last_at = now;
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
