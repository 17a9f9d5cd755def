use std::{sync::Arc, time::Duration};

use crate::{InvalidValue, Rule};

/// The waits between attempts. The first attempt is made at once and is not part of it; `n` waits allow `n + 1`
/// attempts. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Arc<[Duration]>);

impl RetrySchedule {
    /// The most waits.
    pub const MAX_WAITS: usize = 20;
    /// The longest wait.
    pub const MAX_WAIT: Duration = Duration::from_hours(24);

    /// A schedule of these waits: at most 20, each of at least one second and at most 24 hours.
    pub fn new(waits: Vec<Duration>) -> Result<Self, InvalidValue> {
        if waits.len() > Self::MAX_WAITS {
            return Err(InvalidValue::new(Rule::TooLong, "must have at most 20 waits"));
        }
        if waits
            .iter()
            .any(|wait| !(Duration::from_secs(1)..=Self::MAX_WAIT).contains(wait))
        {
            return Err(InvalidValue::new(
                Rule::Range,
                "must wait from 1 second to 24 hours each time",
            ));
        }
        Ok(Self(waits.into()))
    }

    /// The schedule that [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability)
    /// recommends: ten attempts in a little over three days.
    pub fn standard_webhooks() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let waits = [
            5,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self(Arc::new(waits.map(Duration::from_secs)))
    }

    /// The waits, in order.
    pub fn waits(&self) -> &[Duration] {
        &self.0
    }

    /// The wait after `failures` failed attempts in a row; nothing once the schedule is exhausted.
    pub fn wait_after(&self, failures: u32) -> Option<Duration> {
        let index = failures.checked_sub(1)?;
        self.0.get(usize::try_from(index).ok()?).copied()
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::standard_webhooks()
    }
}

/// A random fraction in `[0, 1)`, drawn outside of the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(u16);

impl Jitter {
    /// The fraction `bits / 65536`.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// `duration` times the fraction.
    fn of(self, duration: Duration) -> Duration {
        duration.mul_f64(f64::from(self.0) / 65_536.0)
    }
}

/// When to try again: a schedule, how far jitter may stretch its waits, and how much longer a receiver may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits.
    pub schedule: RetrySchedule,
    /// A wait is lengthened by up to this many percent, so that endpoints that failed together do not all come
    /// back together. It is never shortened.
    pub jitter_percent: u8,
    /// The longest wait that a receiver can ask for (`Retry-After`), before jitter; longer ones are cut to it, so that
    /// no receiver can put its deliveries off until they mean nothing. Default 24 hours, the longest wait that a
    /// schedule can have.
    pub max_retry_after: Duration,
}

impl RetryPolicy {
    /// The wait after `failures` failed attempts in a row, jitter included; nothing once the schedule is exhausted.
    ///
    /// A receiver that asked for a longer wait (`retry_after`) gets it, up to [`Self::max_retry_after`]. It never
    /// shortens the schedule's wait, and never adds an attempt. Jitter stretches what was asked for too: whoever
    /// sends many away at once must not see them all come back at once.
    pub fn wait_after(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        jitter: Jitter,
    ) -> Option<Duration> {
        let planned = self.schedule.wait_after(failures)?;
        let asked = retry_after.unwrap_or_default().min(self.max_retry_after);
        let wait = planned.max(asked);
        let stretch = wait.saturating_mul(self.jitter_percent.into()) / 100;
        Some(wait.saturating_add(jitter.of(stretch)))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            schedule: RetrySchedule::default(),
            jitter_percent: 20,
            max_retry_after: RetrySchedule::MAX_WAIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_is_the_schedule_of_standard_webhooks() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.waits().len(), 9);
        let total: Duration = schedule.waits().iter().sum();
        assert_eq!(total, Duration::from_secs(75 * 3_600 + 35 * 60 + 5));
        assert_eq!(schedule.wait_after(0), None);
        assert_eq!(schedule.wait_after(1), Some(Duration::from_secs(5)));
        assert_eq!(schedule.wait_after(10), None);
    }

    #[test]
    fn the_longest_wait_of_all_does_not_overflow() {
        let policy = RetryPolicy {
            jitter_percent: 255,
            max_retry_after: Duration::MAX,
            ..RetryPolicy::default()
        };
        let wait = policy.wait_after(1, Some(Duration::MAX), Jitter::from_bits(u16::MAX));
        assert_eq!(wait, Some(Duration::MAX));
    }

    #[test]
    fn schedules_are_bounded() {
        assert!(RetrySchedule::new(vec![]).is_ok(), "one attempt only is a choice");
        assert_eq!(
            RetrySchedule::new(vec![Duration::ZERO]).unwrap_err().rule,
            Rule::Range
        );
        assert_eq!(
            RetrySchedule::new(vec![Duration::from_secs(86_401)])
                .unwrap_err()
                .rule,
            Rule::Range
        );
        assert_eq!(
            RetrySchedule::new(vec![Duration::from_secs(1); 21])
                .unwrap_err()
                .rule,
            Rule::TooLong
        );
    }

    proptest! {
        #[test]
        fn jitter_lengthens_by_at_most_its_share(failures in 1u32..=9, bits: u16) {
            let policy = RetryPolicy::default();
            let plain = policy.schedule.wait_after(failures).unwrap();
            let wait = policy.wait_after(failures, None, Jitter::from_bits(bits)).unwrap();
            prop_assert!(wait >= plain && wait < plain * 12 / 10);
        }

        #[test]
        fn a_receiver_gets_the_wait_that_it_asks_for_but_for_the_bounds(
            failures in 0u32..=12,
            asked_ms: u64,
            max_s in 0u64..=2 * 86_400,
            jitter_percent in 0u8..=100,
            bits: u16,
        ) {
            let policy = RetryPolicy {
                jitter_percent,
                max_retry_after: Duration::from_secs(max_s),
                ..RetryPolicy::default()
            };
            let (asked, jitter) = (Duration::from_millis(asked_ms), Jitter::from_bits(bits));
            let unasked = policy.wait_after(failures, None, jitter);
            let wait = policy.wait_after(failures, Some(asked), jitter);
            prop_assert_eq!(wait.is_some(), unasked.is_some(), "it neither adds nor takes attempts");
            if let (Some(wait), Some(unasked)) = (wait, unasked) {
                let planned = policy.schedule.wait_after(failures).unwrap();
                prop_assert!(wait >= unasked, "never shorter than without it");
                prop_assert!(wait >= asked.min(policy.max_retry_after), "not before it, up to the bound");
                let longest = planned.max(policy.max_retry_after);
                prop_assert!(wait <= longest * (100 + u32::from(jitter_percent)) / 100, "bounded");
            }
        }
    }
}
