use std::time::Duration;

use crate::{InvalidValue, Rule, Timestamp};

/// How far from now a message may be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleBounds {
    /// How far ahead.
    pub horizon: Duration,
    /// How far back: a repetition of a request must stay one though its time has passed. It is due at once.
    pub past: Duration,
}

impl ScheduleBounds {
    /// Refuses a time that lies too far from `now`.
    pub fn check(self, at: Timestamp, now: Timestamp) -> Result<Timestamp, InvalidValue> {
        let range = |message: String| Err(InvalidValue::new(Rule::Range, message));
        if at > now.plus(self.horizon) {
            let days = self.horizon.as_secs() / 86_400;
            return range(format!("must be at most {days} days from now"));
        }
        if at.plus(self.past) < now {
            return range("must not lie that far in the past".to_owned());
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_within_the_bounds() {
        let bounds = ScheduleBounds {
            horizon: Duration::from_hours(48),
            past: Duration::from_secs(10),
        };
        let now = Timestamp::from_micros(1_000_000_000_000);
        let seconds = |n: i64| Timestamp::from_micros(now.as_micros() + n * 1_000_000);
        for good in [-10, 0, 1, 48 * 3_600] {
            assert_eq!(bounds.check(seconds(good), now), Ok(seconds(good)), "{good}");
        }
        for bad in [-11, 48 * 3_600 + 1] {
            assert_eq!(bounds.check(seconds(bad), now).unwrap_err().rule, Rule::Range);
        }
        for end in [i64::MIN, i64::MAX] {
            assert!(bounds.check(Timestamp::from_micros(end), now).is_err(), "{end}");
        }
    }
}
