//! The real world behind the system ports.
#![expect(
    clippy::disallowed_methods,
    reason = "these adapters are where the real clock and real ids come from"
)]

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use postrider_application::ports::{Clock, Ids};
use postrider_domain::Timestamp;
use uuid::Uuid;

/// One origin for the whole process, so that monotonic times of several clocks can be compared.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock(());

impl SystemClock {
    /// The machine's clock.
    pub fn new() -> Self {
        LazyLock::force(&ORIGIN);
        Self(())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a broken one; zero keeps us going and is seen by everybody.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        ORIGIN.elapsed()
    }
}

/// UUIDs of version 7, increasing within this process even inside a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7Ids(());

impl UuidV7Ids {
    /// The process's ids.
    pub fn new() -> Self {
        Self(())
    }
}

impl Ids for UuidV7Ids {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_clocks_agree() {
        let (a, b) = (UuidV7Ids::new().next(), UuidV7Ids::new().next());
        assert!(a < b && a.get_version_num() == 7);
        let first = SystemClock::new();
        // So long after the first that a later origin would show.
        while first.monotonic() < Duration::from_millis(2) {}
        let t = first.monotonic();
        assert!(SystemClock::new().monotonic() >= t, "one origin for all");
    }
}
