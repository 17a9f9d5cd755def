use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use postrider_application::ports::Clock;
use postrider_domain::Timestamp;

/// A [`Clock`] that only the test moves.
#[derive(Debug, Default)]
pub struct TestClock {
    elapsed: Mutex<Duration>,
}

impl TestClock {
    /// What a new clock shows: 2026-11-02T08:30:00.123457Z. Odd microseconds, so that a store which keeps fewer
    /// digits is found out.
    pub const START: Timestamp = Timestamp::from_micros(1_793_608_200_123_457);

    /// A clock that shows [`TestClock::START`] until it is moved.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `by` pass.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Self::START.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
