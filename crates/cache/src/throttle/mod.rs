mod options;
mod places;
mod tally;

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use postrider_application::ports::{Clock, Throttle};
use postrider_domain::users::Email;

pub use options::{Allowance, ThrottleOptions};
use places::Places;
use tally::{Rules, Tallies, Tally, lock};

/// Holds up whoever guesses passwords: at one account from many addresses, or at many accounts from one address or
/// from the network around it.
///
/// An attempt counts when it begins, so of many at the same time no more are let through than one after the other. One
/// that is refused counts nothing and lengthens no wait; and where the address is refused, the account is not even
/// looked at, so that no entry is made for it.
///
/// Somebody who keeps an account's tally full does not lock its owner out: an address that was right about it before
/// is counted apart there, and not with its network. That memory is lost with the process.
///
/// Each node counts for itself: behind a balancer, so many times more attempts are let through as there are nodes.
pub struct AttemptThrottle {
    accounts: Tallies<u64>,
    places: Places,
    addresses: Tallies<IpAddr>,
    networks: Tallies<IpAddr>,
    /// Accounts are known by a hash under a key of this process's own: no addresses of people in memory, and nobody can
    /// choose two that share one.
    account_key: RandomState,
    clock: Arc<dyn Clock>,
}

impl AttemptThrottle {
    /// Counts from now on.
    pub fn new(options: ThrottleOptions, clock: Arc<dyn Clock>) -> Self {
        let rules = |allowance| Rules {
            allowance,
            forget_after: options.forget_after,
        };
        let max = options.max_entries;
        Self {
            accounts: Tallies::new(rules(options.account), max),
            places: Places::new(rules(options.place), options.familiar_for, max),
            addresses: Tallies::new(rules(options.address), max),
            networks: Tallies::new(rules(options.network), max),
            account_key: RandomState::new(),
            clock,
        }
    }

    /// Counts an attempt from somewhere that is not familiar, with its network and at the account.
    fn attempt_by_a_stranger(
        &self,
        account: u64,
        address: Option<IpAddr>,
        now: Duration,
    ) -> Result<(), Duration> {
        let network = address.map(|address| self.networks.of(around(address)));
        let mut network = network.as_ref().map(lock);
        if let Some(network) = &network {
            self.networks.rules.check(network, now)?;
        }
        let account = self.accounts.of(account);
        let mut account = lock(&account);
        self.accounts.rules.check(&account, now)?;
        self.accounts.rules.count(&mut account, now);
        if let Some(network) = &mut network {
            self.networks.rules.count(network, now);
        }
        Ok(())
    }
}

impl Throttle for AttemptThrottle {
    fn attempt(&self, account: &Email, address: Option<IpAddr>) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let account = self.account_key.hash_one(account);
        let address = address.map(customer);
        // All that are counted are held until all are: the address, its network, the account, always in this order.
        let from = address.map(|address| self.addresses.of(address));
        let mut from = from.as_ref().map(lock);
        if let Some(from) = &from {
            self.addresses.rules.check(from, now)?;
        }
        match address.and_then(|address| self.places.attempt(account, address, now)) {
            Some(at_place) => at_place?,
            None => self.attempt_by_a_stranger(account, address, now)?,
        }
        if let Some(from) = &mut from {
            self.addresses.rules.count(from, now);
        }
        Ok(())
    }

    fn succeeded(&self, account: &Email, address: Option<IpAddr>) {
        let now = self.clock.monotonic();
        let account = self.account_key.hash_one(account);
        let address = address.map(customer);
        let familiar = address.is_some_and(|address| self.places.right(account, address, now));
        if let Some(address) = &address {
            self.addresses.change(address, Tally::give_back_one);
        }
        // At a familiar place nothing was counted elsewhere, and what others did there goes on counting.
        if !familiar {
            self.accounts.change(&account, |tally| *tally = Tally::default());
            if let Some(address) = address {
                self.networks.change(&around(address), Tally::give_back_one);
            }
        }
    }
}

impl fmt::Debug for AttemptThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptThrottle").finish_non_exhaustive()
    }
}

/// What one customer of a provider is given: an IPv4 address, or the first 64 bits of an IPv6 address.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => first_bits(v6, 64),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What one customer may have many addresses in: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
fn around(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => first_bits(v6, 48),
    }
}

/// The first `bits` bits, of which there are more than none.
fn first_bits(address: Ipv6Addr, bits: u32) -> IpAddr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))).into()
}

#[cfg(test)]
mod address_tests;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
mod tests;
