//! Durations counted in buckets that are at most a 32nd wide, so that a percentile is right to 3 %.

use serde::{Deserialize, Serialize};

use super::numbers::{float, length};

const SUB_BITS: u32 = 5;
const SUBS: u64 = 1 << SUB_BITS;

/// Counted durations, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// What is told of a histogram, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How many durations.
    pub(super) count: u64,
    /// Half are at most this long.
    pub(super) p50_us: f64,
    /// Nine of ten are.
    pub(super) p90_us: f64,
    /// 99 of a hundred are.
    pub(super) p99_us: f64,
    /// 999 of a thousand are.
    pub(super) p999_us: f64,
    /// The longest, exactly.
    pub(super) max_us: f64,
}

impl Histogram {
    /// Counts one.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        let bucket = bucket(nanoseconds);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// The duration that this share of all do not exceed.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = share * float(self.total);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && float(seen) >= wanted {
                return upper(bucket).min(self.max);
            }
        }
        self.max
    }

    /// Its percentiles.
    pub(super) fn summary(&self) -> Summary {
        let at = |share| float(self.quantile(share)) / 1e3;
        Summary {
            count: self.total,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: float(self.max) / 1e3,
        }
    }
}

/// Small values have a bucket each; from there on each doubling has 32.
fn bucket(value: u64) -> usize {
    if value < SUBS {
        return length(value);
    }
    let shift = value.ilog2() - SUB_BITS;
    length((u64::from(shift) + 1) * SUBS + ((value >> shift) & (SUBS - 1)))
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    if bucket < SUBS {
        return bucket;
    }
    let shift = bucket / SUBS - 1;
    let first = (SUBS + bucket % SUBS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_own_upper_bound_and_not_the_next() {
        for value in (0..5_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX / 2]) {
            let bucket_of = bucket(value);
            assert!(upper(bucket_of) >= value);
            assert_eq!(bucket(upper(bucket_of)), bucket_of);
            assert_eq!(bucket(upper(bucket_of) + 1), bucket_of + 1);
            assert!(float(upper(bucket_of)) <= float(value) * 1.04 + 1.0);
        }
    }

    #[test]
    fn percentiles_are_right_to_three_percent() {
        let mut histogram = Histogram::default();
        for microseconds in 1..=10_000 {
            histogram.record(microseconds * 1_000);
        }
        let seen = histogram.summary();
        let near = |seen: f64, expected: f64| (seen / expected - 1.0).abs() < 0.04;
        assert!(near(seen.p50_us, 5_000.0) && near(seen.p90_us, 9_000.0) && near(seen.p99_us, 9_900.0));
        assert!((seen.max_us - 10_000.0).abs() < 1e-6 && seen.count == 10_000);
        assert_eq!(Histogram::default().summary(), Summary::default());
    }
}
