use std::time::Duration;

/// How many attempts at passwords are let through.
///
/// An address stands for what one customer of a provider is given: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// At one account, from wherever it has no familiar place: by default 5 at once, then with waits from 1 second to
    /// 60 seconds. Short, as whoever guesses at an account holds up its owner too.
    pub account: Allowance,
    /// At one account from a familiar place, an address that was right there before: by default as at an account. It
    /// is apart from all others, so that nobody elsewhere locks the owner out.
    pub place: Allowance,
    /// From one address, at whichever accounts: by default 20 at once, then with waits from 1 second to 15 minutes.
    pub address: Allowance,
    /// From one network around an address (an IPv4 /24, an IPv6 /48), at whichever accounts where that is no familiar
    /// place: by default eight times as much as from an address: 160 at once, then with waits from 1 second to 2
    /// minutes.
    pub network: Allowance,
    /// How long after the last attempt that was let through all are forgotten; 1 hour by default, and never before the
    /// longest wait is over.
    pub forget_after: Duration,
    /// How long a place is familiar after it was last right; 30 days by default.
    pub familiar_for: Duration,
    /// The most accounts, addresses, networks, and accounts with familiar places, that are remembered; 100,000 of each
    /// by default. Beyond that, those that are seen least are forgotten first, so that a flood of made-up ones does
    /// not wash out the one that is guessed at.
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
        let account = Allowance {
            free: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
        };
        let address = Allowance {
            free: 20,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
        };
        Self {
            account,
            place: account,
            address,
            network: Allowance {
                free: 8 * address.free,
                first_wait: address.first_wait,
                longest_wait: Duration::from_mins(2),
            },
            forget_after: Duration::from_hours(1),
            familiar_for: Duration::from_hours(30 * 24),
            max_entries: 100_000,
        }
    }
}
