use std::time::Duration;

use crate::Timestamp;

/// When an endpoint that only fails is disabled, so that nobody sends to what is not there any more for ever.
///
/// An endpoint is failing from the first failed attempt after its last success (or after it was enabled) until it
/// answers 2xx again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailingPolicy {
    /// It is disabled once it has only failed for this long; absent: never. Default five days: longer than the
    /// default retry schedule, so that no delivery is cut off that began before the endpoint did fail.
    pub disable_after: Option<Duration>,
}

impl FailingPolicy {
    /// The default of [`Self::disable_after`].
    pub const DEFAULT_DISABLE_AFTER: Duration = Duration::from_hours(5 * 24);

    /// Never disables.
    pub const NEVER: Self = Self { disable_after: None };

    /// Whether an endpoint that has only failed since `failing_since` is to be disabled at `now`. One that is not
    /// failing never is; neither is one whose failing lies in the future, by a clock that was set back.
    pub fn disables(&self, failing_since: Option<Timestamp>, now: Timestamp) -> bool {
        match (self.disable_after, failing_since) {
            (Some(after), Some(since)) => now >= since.plus(after),
            _ => false,
        }
    }
}

impl Default for FailingPolicy {
    fn default() -> Self {
        Self {
            disable_after: Some(Self::DEFAULT_DISABLE_AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::{Jitter, RetryPolicy};
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp::from_micros(1_000_000);
    const FIVE_DAYS: Duration = Duration::from_hours(120);

    #[test]
    fn five_days_of_failures_are_enough_and_a_microsecond_less_is_not() {
        let policy = FailingPolicy::default();
        assert!(policy.disables(Some(T0), T0.plus(FIVE_DAYS)));
        let before = Timestamp::from_micros(T0.plus(FIVE_DAYS).as_micros() - 1);
        assert!(!policy.disables(Some(T0), before));
        assert!(!policy.disables(None, T0.plus(FIVE_DAYS * 100)));
        assert!(!FailingPolicy::NEVER.disables(Some(T0), T0.plus(FIVE_DAYS * 100)));
    }

    #[test]
    fn the_default_outlasts_the_default_schedule() {
        let policy = RetryPolicy::default();
        let waits = (1..=9).map(|failures| policy.wait_after(failures, None, Jitter::from_bits(u16::MAX)));
        let longest: Duration = waits.map(Option::unwrap).sum();
        assert!(longest < FailingPolicy::DEFAULT_DISABLE_AFTER);
    }

    proptest! {
        #[test]
        fn once_it_disables_it_goes_on_doing_so_and_never_before_its_time(
            after_s in 0u64..1_000_000,
            passed_us in 0u64..2_000_000_000_000,
            more_us: u32,
        ) {
            let after = Duration::from_secs(after_s);
            let policy = FailingPolicy { disable_after: Some(after) };
            let now = T0.plus(Duration::from_micros(passed_us));
            let disables = policy.disables(Some(T0), now);
            prop_assert_eq!(disables, now.since(T0) >= after);
            prop_assert!(!disables || policy.disables(Some(T0), now.plus(Duration::from_micros(more_us.into()))));
        }
    }
}
