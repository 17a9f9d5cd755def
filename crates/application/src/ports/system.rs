use std::time::Duration;

use postrider_domain::Timestamp;
use uuid::Uuid;

/// Time. Tests own it.
pub trait Clock: Send + Sync {
    /// Wall-clock time, for facts that are stored or sent.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back, for leases and latencies.
    fn monotonic(&self) -> Duration;
}

/// New ids.
pub trait Ids: Send + Sync {
    /// A UUID of version 7 (RFC 9562): unique, and ordered by its time to the millisecond.
    fn next(&self) -> Uuid;
}

/// Cryptographically secure random bytes.
pub trait Randomness: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Randomness + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
