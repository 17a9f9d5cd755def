//! Median, 99th percentile and worst of a few measurements.

use std::fmt;
use std::time::Duration;

/// Sorted measurements.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Vec<Duration>);

impl Durations {
    /// Of these, in any order.
    pub(super) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// The smallest that at least this share of all does not exceed; zero of none.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// The median.
    pub(super) fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The largest.
    pub(super) fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        write!(
            f,
            "median {:.2} ms, p99 {:.2} ms, worst {:.2} ms of {}",
            ms(self.median()),
            ms(self.percentile(99)),
            ms(self.worst()),
            self.0.len()
        )
    }
}

/// How many times as long.
pub(super) fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measurements() {
        let all = Durations::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(all.median(), Duration::from_millis(100));
        assert_eq!(all.percentile(99), Duration::from_millis(198));
        assert_eq!(all.worst(), Duration::from_millis(200));
        let one = Durations::of(vec![Duration::from_millis(7)]);
        assert_eq!((one.median(), one.percentile(99)), (one.worst(), one.worst()));
        assert_eq!(Durations::default().median(), Duration::ZERO);
        assert!((ratio(Duration::from_millis(6), Duration::from_millis(2)) - 3.0).abs() < 1e-9);
    }
}
