//! From where somebody was right about an account's password before: most likely its owner.

use std::{net::IpAddr, time::Duration};

use moka::sync::Cache;

use super::tally::{Rules, Shared, Tally, lock};

/// The most places of one account; the one that was right longest ago is forgotten first. Only who knows an account's
/// password takes one of its places, and none of another account's.
pub(super) const MAX_PLACES: usize = 8;

/// One address, as the throttle knows it, at one account.
struct Place {
    address: IpAddr,
    right_at: Duration,
    tally: Tally,
}

/// The familiar places of accounts.
pub(super) struct Places {
    rules: Rules,
    familiar_for: Duration,
    kept: Cache<u64, Shared<Vec<Place>>>,
}

impl Places {
    pub(super) fn new(rules: Rules, familiar_for: Duration, max_accounts: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(max_accounts)
            // By moka's own clock. That frees the memory; what is familiar is judged by ours.
            .time_to_live(familiar_for)
            .build();
        Self {
            rules,
            familiar_for,
            kept,
        }
    }

    /// Counts an attempt, or says how long to wait; none if the place is not familiar.
    pub(super) fn attempt(
        &self,
        account: u64,
        address: IpAddr,
        now: Duration,
    ) -> Option<Result<(), Duration>> {
        let places = self.kept.get(&account)?;
        let mut places = lock(&places);
        let place = places
            .iter_mut()
            .find(|place| place.address == address && self.is_familiar(place, now))?;
        let may = self.rules.check(&place.tally, now);
        if may.is_ok() {
            self.rules.count(&mut place.tally, now);
        }
        Some(may)
    }

    /// The place is familiar from now on, and its attempts are forgotten; whether it was before.
    pub(super) fn right(&self, account: u64, address: IpAddr, now: Duration) -> bool {
        let shared = self.kept.get_with(account, Shared::default);
        let mut places = lock(&shared);
        places.retain(|place| self.is_familiar(place, now));
        let known = places.iter().position(|place| place.address == address);
        if let Some(known) = known {
            places.remove(known);
        } else if places.len() >= MAX_PLACES {
            places.remove(0);
        }
        // The one that was right last stands last.
        places.push(Place {
            address,
            right_at: now,
            tally: Tally::default(),
        });
        drop(places);
        // Its time begins anew.
        self.kept.insert(account, shared);
        known.is_some()
    }

    fn is_familiar(&self, place: &Place, now: Duration) -> bool {
        now.saturating_sub(place.right_at) < self.familiar_for
    }
}
