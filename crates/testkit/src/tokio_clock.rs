use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postrider_application::ports::Clock;
use postrider_domain::Timestamp;
use tokio::time::Instant;

/// A [`Clock`] that follows tokio's time: with `#[tokio::test(start_paused = true)]` it stands still while tasks
/// work, and jumps to the next timer when all of them wait. So a retry due in five minutes is due at once, and
/// in order.
#[derive(Debug)]
pub struct TokioClock {
    wall_start: Timestamp,
    start: Instant,
}

impl TokioClock {
    /// What [`TokioClock::new`] starts at: 2026-11-02T08:30:00.123457Z.
    pub const START: Timestamp = Timestamp::from_micros(1_793_608_200_123_457);

    /// A clock that shows [`TokioClock::START`] now.
    pub fn new() -> Self {
        Self::starting_at(Self::START)
    }

    /// A clock that shows `wall` now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is an implementation of the Clock port, over tokio's time that tests can pause"
    )]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self {
            wall_start: wall,
            start: Instant::now(),
        }
    }

    /// A clock that shows the machine's time now: for tests beside a database, whose clock nobody moves.
    #[expect(
        clippy::disallowed_methods,
        reason = "an implementation of the Clock port; ids made by it must fall into the partitions of today"
    )]
    pub fn of_this_machine() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp::from_micros(0).plus(since))
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.wall_start.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_paused_time() {
        let clock = TokioClock::new();
        let minute = Duration::from_mins(1);
        tokio::time::sleep(minute).await;
        assert_eq!(clock.monotonic(), minute);
        assert_eq!(clock.now(), TokioClock::START.plus(minute));
    }
}
