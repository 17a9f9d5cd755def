//! When which chore last ended well, and how often it did not.

use std::sync::Arc;

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge, Meter},
};
use postrider_application::ports::Clock;

/// Notes how rounds of chores end.
pub(crate) struct ChoreNotes {
    clock: Arc<dyn Clock>,
    last_success: Gauge<f64>,
    failures: Counter<u64>,
}

impl ChoreNotes {
    /// Notes on these chores, which begin now: until its first round has ended, a chore that never ends well must look
    /// like one that did when the node began, or nobody would be told of it.
    pub(crate) fn of(chores: &[&'static str], clock: &Arc<dyn Clock>) -> Self {
        Self::by(&global::meter("postrider"), chores, clock)
    }

    fn by(meter: &Meter, chores: &[&'static str], clock: &Arc<dyn Clock>) -> Self {
        let notes = Self {
            clock: Arc::clone(clock),
            last_success: meter
                .f64_gauge("postrider.chore.last_success")
                .with_unit("s")
                .with_description(
                    "When a round of the chore last ended well on this node, in seconds since 1970; until the first has \
                     ended, when the node began",
                )
                .build(),
            failures: meter
                .u64_counter("postrider.chore.failures")
                .with_unit("{round}")
                .with_description("Rounds of the chore that failed on this node")
                .build(),
        };
        for chore in chores {
            notes.succeeded(chore);
            notes.failures.add(0, &[KeyValue::new("chore", *chore)]);
        }
        notes
    }

    /// A round of `chore` has ended.
    pub(crate) fn ended(&self, chore: &'static str, well: bool) {
        if well {
            self.succeeded(chore);
        } else {
            self.failures.add(1, &[KeyValue::new("chore", chore)]);
        }
    }

    fn succeeded(&self, chore: &'static str) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds do not matter to a chore")]
        let seconds = self.clock.now().as_micros() as f64 / 1e6;
        self.last_success
            .record(seconds, &[KeyValue::new("chore", chore)]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postrider_testkit::memory::TestClock;

    use super::*;
    use crate::metrics::measured::Measured;

    #[test]
    fn a_chore_that_never_ends_well_shows_when_the_node_began() {
        let measured = Measured::new();
        let clock = Arc::new(TestClock::new());
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let now = || clock.now().as_micros() as f64 / 1e6;
        let began = now();
        let of: Arc<dyn Clock> = clock.clone();
        let notes = ChoreNotes::by(&measured.meter(), &["good", "bad"], &of);
        clock.advance(Duration::from_mins(1));
        notes.ended("good", true);
        notes.ended("bad", false);
        notes.ended("bad", false);
        let ended = now();
        assert_eq!(
            measured.gauge("postrider.chore.last_success"),
            [("chore=bad".to_owned(), began), ("chore=good".to_owned(), ended)]
        );
        assert_eq!(
            measured.counter("postrider.chore.failures"),
            [("chore=bad".to_owned(), 2), ("chore=good".to_owned(), 0)]
        );
    }
}
