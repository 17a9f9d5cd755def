//! What a round amounts to.

use std::fmt;
use std::time::{Duration, Instant};

use super::arrivals::{Course, Sorted, Standing};
use super::publisher::Ledger;
use crate::receiver::Arrival;

/// What came of the messages.
#[derive(Debug)]
pub(super) struct Report {
    standing: Standing,
    accepted: usize,
    arrived: usize,
    lost: Vec<String>,
    /// Arrived, and no server can know it: none may call it delivered.
    unacknowledged: Vec<String>,
    bad: Vec<String>,
    /// Arrivals beyond the first of their message, where the first was before the fault was over.
    expected_duplicates: usize,
    /// The others: nothing explains them.
    odd_duplicates: usize,
    unknown: usize,
    said_unknown: usize,
    unknown_arrived: usize,
    refused: usize,
    knocks: usize,
    wrong: Vec<String>,
    restarted: Instant,
    first: Option<Instant>,
    first_old: Option<Instant>,
    last: Option<Instant>,
    last_duplicate: Option<Instant>,
    fault_over: Duration,
}

impl Report {
    /// Compares the clients' ledger with what arrived. Taken once the API calls every message delivered: what is
    /// delivered again comes late, when a dead node's lease has run out.
    pub(super) fn of(course: &Course, ledger: &Ledger, arrivals: &[Arrival]) -> Self {
        let Course {
            standing,
            restarted,
            over,
            ..
        } = *course;
        let sorted = Sorted::of(course, ledger, arrivals);
        let Sorted {
            firsts, acknowledged, ..
        } = &sorted;
        let (arrived, lost): (Vec<&String>, Vec<&String>) = ledger
            .accepted
            .keys()
            .partition(|id| firsts.contains_key(id.as_str()));
        let unacknowledged = arrived.iter().filter(|id| !acknowledged.contains(id.as_str()));
        let after = |at: &&Instant| **at > restarted;
        let old = firsts.iter().filter(|(id, at)| {
            after(at)
                && ledger
                    .accepted
                    .get(**id)
                    .is_some_and(|(_, when)| *when < standing.at)
        });
        Self {
            standing,
            accepted: ledger.accepted.len(),
            arrived: arrived.len(),
            lost: lost.iter().copied().cloned().collect(),
            unacknowledged: unacknowledged.copied().cloned().collect(),
            expected_duplicates: sorted.expected_duplicates,
            odd_duplicates: sorted.odd_duplicates,
            unknown: ledger.unknown.len(),
            said_unknown: ledger.said_unknown,
            unknown_arrived: sorted.strangers.len(),
            refused: ledger.refused,
            knocks: ledger.knocks,
            wrong: ledger.wrong.clone(),
            restarted,
            first: firsts.values().filter(after).min().copied(),
            first_old: old.map(|(_, at)| *at).min(),
            last: firsts.values().max().copied(),
            last_duplicate: sorted.last_duplicate,
            fault_over: over.saturating_duration_since(restarted),
            bad: sorted.bad,
        }
    }

    /// Attempts that an end in order must not cut: what was under way is finished, so nothing comes twice.
    pub(super) fn cut_attempts(&self) -> Option<String> {
        let twice = self.expected_duplicates + self.odd_duplicates;
        (twice > 0).then(|| format!("{twice} attempts were cut, or made twice"))
    }

    /// What must not be, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut tell = |what: &str, list: &[String]| {
            if let Some(example) = list.first() {
                problems.push(format!("{} {what}, for example {example}", list.len()));
            }
        };
        tell("accepted and lost", &self.lost);
        tell(
            "arrived, never acknowledged and not sent again",
            &self.unacknowledged,
        );
        tell("arrived wrong", &self.bad);
        tell("requests answered with neither 202 nor 503", &self.wrong);
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: Option<Instant>| {
            at.map_or_else(
                || "none".to_owned(),
                |at| {
                    format!(
                        "{:.2} s",
                        at.saturating_duration_since(self.restarted).as_secs_f64()
                    )
                },
            )
        };
        let standing = &self.standing;
        writeln!(
            f,
            "  at the fault     {} accepted: {} answered, {} in flight, {} queued",
            standing.accepted,
            standing.answered,
            standing.in_flight(),
            standing.accepted.saturating_sub(standing.arrived),
        )?;
        writeln!(
            f,
            "  accepted         {}, arrived {}, lost {}, bad {}",
            self.accepted,
            self.arrived,
            self.lost.len(),
            self.bad.len()
        )?;
        writeln!(
            f,
            "  duplicates       {} whose first arrival was before the fault was over, {} others",
            self.expected_duplicates, self.odd_duplicates
        )?;
        writeln!(
            f,
            "  outcome unknown  {} requests ({} broken off, {} answered so), of which {} arrived",
            self.unknown,
            self.unknown - self.said_unknown,
            self.said_unknown,
            self.unknown_arrived
        )?;
        writeln!(
            f,
            "  sent again       {} after a 503, {} that found no server",
            self.refused, self.knocks
        )?;
        write!(
            f,
            "  after restart    ready {:.2} s, first arrival {}, first of the old ones {}, last {}, last duplicate {}",
            self.fault_over.as_secs_f64(),
            seconds(self.first),
            seconds(self.first_old),
            seconds(self.last),
            seconds(self.last_duplicate)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::publisher::payload_hash;

    struct Story {
        begin: Instant,
        ledger: Ledger,
        arrivals: Vec<Arrival>,
    }

    impl Story {
        fn at(&self, seconds: u64) -> Instant {
            self.begin + Duration::from_secs(seconds)
        }

        fn arrive(&mut self, id: &str, number: usize, seconds: u64) {
            let at = self.at(seconds);
            self.arrivals.push(Arrival {
                id: id.to_owned(),
                sha256: payload_hash(number),
                bytes: 1,
                fault: None,
                at,
                answered: Some(at),
            });
        }

        /// The fault at 10, gone at 11, restart at 12, ready at 14.
        fn report(&self) -> Report {
            let standing = Standing {
                accepted: 5,
                arrived: 3,
                answered: 2,
                at: self.at(10),
            };
            let course = Course {
                standing,
                gone: Some(self.at(11)),
                restarted: self.at(12),
                over: self.at(14),
            };
            Report::of(&course, &self.ledger, &self.arrivals)
        }
    }

    fn story(accepted: &[(&str, usize)]) -> Story {
        let begin = Instant::now();
        let accepted = accepted
            .iter()
            .map(|(id, number)| ((*id).to_owned(), (*number, begin)))
            .collect();
        Story {
            begin,
            ledger: Ledger {
                accepted,
                ..Ledger::default()
            },
            arrivals: Vec::new(),
        }
    }

    #[test]
    fn what_did_not_arrive_is_lost() {
        let mut story = story(&[("a", 1), ("b", 2)]);
        story.arrive("a", 1, 5);
        let report = story.report();
        assert_eq!(
            (report.arrived, report.lost.as_slice()),
            (1, &["b".to_owned()][..])
        );
        assert!(report.problems()[0].contains("1 accepted and lost, for example b"));
    }

    #[test]
    fn duplicates_across_the_fault_are_expected_and_later_ones_are_not() {
        let mut story = story(&[("a", 1), ("b", 2)]);
        for (id, number, at) in [("a", 1, 9), ("a", 1, 20), ("b", 2, 20), ("b", 2, 21)] {
            story.arrive(id, number, at);
        }
        let report = story.report();
        assert_eq!((report.expected_duplicates, report.odd_duplicates), (1, 1));
        assert!(report.cut_attempts().unwrap().starts_with("2 attempts"));
        assert!(report.problems().is_empty());
        assert_eq!(report.first_old, Some(story.at(20)));
    }

    #[test]
    fn an_unknown_outcome_may_arrive_but_nothing_else_may() {
        let mut story = story(&[("a", 1)]);
        story.ledger.unknown.push(2);
        story.arrive("a", 1, 5);
        story.arrive("other", 2, 5);
        assert_eq!(story.report().unknown_arrived, 1);
        assert!(story.report().problems().is_empty());
        story.arrive("stranger", 3, 5);
        assert!(story.report().problems()[0].contains("stranger"));
    }

    #[test]
    fn a_changed_body_is_not_an_arrival() {
        let mut story = story(&[("a", 1)]);
        story.arrive("a", 2, 5);
        let report = story.report();
        assert_eq!((report.lost.len(), report.bad.len()), (1, 1));
    }

    #[test]
    fn what_only_a_dead_server_was_told_must_be_sent_again() {
        let mut story = story(&[("a", 1)]);
        story.arrive("a", 1, 9);
        story.arrivals[0].answered = Some(story.at(13));
        assert!(story.report().problems()[0].contains("never acknowledged"));
        story.arrivals[0].answered = None;
        assert!(story.report().problems()[0].contains("never acknowledged"));
        story.arrive("a", 1, 20);
        assert!(story.report().problems().is_empty());
    }
}
