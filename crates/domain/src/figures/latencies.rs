use std::{collections::BTreeMap, time::Duration};

/// A class of latencies. Classes are exact below eight microseconds; from there on eight of equal width share each
/// power of two, so that no latency is more than an eighth from the end of its class. The last one begins after four
/// hours, and holds everything above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LatencyClass(pub u8);

/// Classes to each power of two, as a power of two itself.
const SUB_BITS: u32 = 3;
/// The highest power of two that has classes: they are numbered up to 255.
const MOST_BITS: u32 = 33;

impl LatencyClass {
    /// The class of a latency.
    pub fn of(latency: Duration) -> Self {
        let most = (1_u64 << (MOST_BITS + 1)) - 1;
        let micros = u64::try_from(latency.as_micros()).unwrap_or(most).min(most);
        if micros < 1 << SUB_BITS {
            return Self(u8::try_from(micros).unwrap_or(u8::MAX));
        }
        let bits = micros.ilog2();
        let sub = (micros >> (bits - SUB_BITS)) & ((1 << SUB_BITS) - 1);
        let class = u64::from(bits - SUB_BITS + 1) * (1 << SUB_BITS) + sub;
        Self(u8::try_from(class).unwrap_or(u8::MAX))
    }

    /// The longest latency of the class.
    pub fn end(self) -> Duration {
        let class = u64::from(self.0);
        let (group, sub) = (class >> SUB_BITS, class & ((1 << SUB_BITS) - 1));
        if group == 0 {
            return Duration::from_micros(class);
        }
        Duration::from_micros((((1 << SUB_BITS) + sub + 1) << (group - 1)) - 1)
    }
}

/// How many latencies were in which class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latencies(BTreeMap<LatencyClass, u64>);

impl Latencies {
    /// One more.
    pub fn note(&mut self, latency: Duration) {
        self.add(LatencyClass::of(latency), 1);
    }

    /// So many more.
    pub fn add(&mut self, class: LatencyClass, count: u64) {
        let known = self.0.entry(class).or_default();
        *known = known.saturating_add(count);
    }

    /// All of the others as well.
    pub fn merge(&mut self, others: &Self) {
        for (class, count) in others.classes() {
            self.add(class, count);
        }
    }

    /// The classes that something is in, the shortest first.
    pub fn classes(&self) -> impl Iterator<Item = (LatencyClass, u64)> {
        self.0.iter().map(|(class, count)| (*class, *count))
    }

    /// The latency that so many of a hundred did not exceed, to an eighth; none if there are none.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let all: u128 = self.0.values().map(|count| u128::from(*count)).sum();
        // Rounded up: of two, the first is the 50th percentile, and the second the 51st.
        let wanted = (all * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut so_far = 0;
        self.0.iter().find_map(|(class, count)| {
            so_far += u128::from(*count);
            (so_far >= wanted).then(|| class.end())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_known_latencies() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), None);
        for millis in 1..=100 {
            latencies.note(Duration::from_millis(millis));
        }
        let near = |percent: u8, millis: u64| {
            let found = latencies.percentile(percent).unwrap().as_micros();
            let exact = u128::from(millis) * 1_000;
            assert!(
                found >= exact && found <= exact + exact / 8,
                "{percent}: {found} us, not {exact}"
            );
        };
        near(50, 50);
        near(99, 99);
        near(100, 100);
        near(0, 1);
    }

    #[test]
    fn the_longest_is_in_the_last_class() {
        assert_eq!(LatencyClass::of(Duration::MAX), LatencyClass(255));
        assert!(LatencyClass(255).end() > Duration::from_hours(4));
    }

    proptest! {
        #[test]
        fn a_latency_is_at_most_an_eighth_below_the_end_of_its_class(micros in 0_u64..1 << 34) {
            let end = u64::try_from(LatencyClass::of(Duration::from_micros(micros)).end().as_micros()).unwrap();
            prop_assert!(end >= micros && end - micros <= micros / 8, "{} ends at {}", micros, end);
        }

        #[test]
        fn classes_are_in_the_order_of_latencies(a in 0_u64..1 << 35, b in 0_u64..1 << 35) {
            let (a, b) = (a.min(b), a.max(b));
            let of = |micros| LatencyClass::of(Duration::from_micros(micros));
            prop_assert!(of(a) <= of(b));
        }
    }
}
