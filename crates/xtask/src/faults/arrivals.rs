//! What arrived, seen from the fault: what came for the first time, what came again, and of what a server can know.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use super::publisher::{Ledger, payload_hash};
use crate::receiver::Arrival;

/// How things stood when the fault came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// 202s read by the clients.
    pub(super) accepted: usize,
    /// Webhooks that had arrived.
    pub(super) arrived: usize,
    /// Of those, answered.
    pub(super) answered: usize,
    /// When it came.
    pub(super) at: Instant,
}

impl Standing {
    /// Requests at the receiver that had no answer yet.
    pub(super) fn in_flight(&self) -> usize {
        self.arrived.saturating_sub(self.answered)
    }

    /// Accepted, and not answered by the receiver.
    pub(super) fn unfinished(&self) -> usize {
        self.accepted.saturating_sub(self.answered)
    }
}

/// When things happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    /// How things stood when the fault came.
    pub(super) standing: Standing,
    /// When the server process was gone, if it was the one to go: answers written later were read by nobody.
    pub(super) gone: Option<Instant>,
    /// When what had been stopped was started again.
    pub(super) restarted: Instant,
    /// When it was ready.
    pub(super) over: Instant,
}

impl Course {
    /// Whether a server can have known that this arrival was answered.
    fn is_acknowledged(&self, arrival: &Arrival) -> bool {
        arrival
            .answered
            .is_some_and(|answered| self.gone.is_none_or(|gone| answered <= gone || arrival.at > gone))
    }
}

/// Arrivals, sorted by what they mean.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    /// When each message arrived first.
    pub(super) firsts: BTreeMap<&'a str, Instant>,
    /// Of which a server can know that they were answered.
    pub(super) acknowledged: BTreeSet<&'a str>,
    /// Under ids that no client was told, of publishes whose outcome is not known.
    pub(super) strangers: BTreeSet<&'a str>,
    /// What is wrong with the others.
    pub(super) bad: Vec<String>,
    /// Beyond the first of their message, where the first was before the fault was over.
    pub(super) expected_duplicates: usize,
    /// Beyond the first, where that was later: nothing explains them.
    pub(super) odd_duplicates: usize,
    /// When the last of both kinds came.
    pub(super) last_duplicate: Option<Instant>,
}

impl<'a> Sorted<'a> {
    /// By what the clients know.
    pub(super) fn of(course: &Course, ledger: &Ledger, arrivals: &'a [Arrival]) -> Self {
        let unknown: HashSet<[u8; 32]> = ledger
            .unknown
            .iter()
            .map(|&number| payload_hash(number))
            .collect();
        let mut sorted = Self::default();
        for arrival in arrivals {
            let known = ledger.accepted.get(&arrival.id);
            let exact = known.map_or_else(
                || unknown.contains(&arrival.sha256),
                |(number, _)| payload_hash(*number) == arrival.sha256,
            );
            if let Some(fault) = &arrival.fault {
                sorted.bad.push(format!("{}: {fault}", arrival.id));
                continue;
            }
            if !exact {
                sorted.bad.push(format!("{}: not what was published", arrival.id));
                continue;
            }
            if known.is_none() {
                sorted.strangers.insert(&arrival.id);
            }
            if course.is_acknowledged(arrival) {
                sorted.acknowledged.insert(&arrival.id);
            }
            sorted.count(arrival, course.over);
        }
        sorted
    }

    /// As the first of its message, or as one more.
    fn count(&mut self, arrival: &'a Arrival, over: Instant) {
        let Some(first) = self.firsts.get(arrival.id.as_str()) else {
            self.firsts.insert(&arrival.id, arrival.at);
            return;
        };
        self.last_duplicate = self.last_duplicate.max(Some(arrival.at));
        if *first <= over {
            self.expected_duplicates += 1;
        } else {
            self.odd_duplicates += 1;
        }
    }
}
