use std::time::Duration;

/// Waits between tries of something that has nowhere else to go: the store is away, so everybody waits. Doubling, up to
/// 5 s; from 100 ms on, unless somebody waits for the answer.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from_first(Self::FIRST)
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// The same beginning with `first`.
    pub(crate) const fn from_first(first: Duration) -> Self {
        Self { first, next: first }
    }

    /// The wait before the next try.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait
    }

    /// It worked.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_bound_and_starts_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        assert_eq!(backoff.next(), Backoff::FIRST);
        let mut backoff = Backoff::from_first(Duration::from_millis(10));
        let waits: Vec<u128> = (0..2).map(|_| backoff.next().as_millis()).collect();
        backoff.reset();
        assert_eq!((waits, backoff.next().as_millis()), (vec![10, 20], 10));
    }
}
