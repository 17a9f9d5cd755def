//! The machine's monotonic clock: one for all processes, so that one may stamp what another reads.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * SECOND + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// CPU time of this process so far, in nanoseconds.
pub(super) fn own_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * SECOND + u64::try_from(time.tv_nsec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go_forward() {
        let (wall, cpu) = (now(), own_cpu());
        let mut sum = 0_u64;
        while own_cpu() == cpu {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(now() > wall);
    }
}
