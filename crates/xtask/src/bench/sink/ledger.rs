//! What has arrived.

use anyhow::{Context, ensure};

use super::{Audit, Begin, State};
use crate::bench::clock::SECOND;
use crate::bench::histogram::Histogram;
use crate::bench::load::fate;
use crate::bench::numbers::{count, length};
use crate::bench::payload::Stamp;

/// No run has so many messages; a number beyond it is no message of ours.
const MOST: usize = 1 << 28;

/// The arrivals of one run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    run: u64,
    /// By endpoint and number: the short name of the id it came under, 0 if it has not come.
    endpoints: Vec<Vec<u64>>,
    first_at: Option<u64>,
    latency: Histogram,
    windows: Vec<Histogram>,
    state: State,
}

impl Ledger {
    /// Nothing has arrived yet.
    pub(super) fn new(begin: Begin) -> Self {
        Self {
            run: begin.run,
            endpoints: vec![vec![0; begin.messages.min(MOST)]; begin.endpoints],
            ..Self::default()
        }
    }

    /// Notes an arrival at an endpoint.
    pub(super) fn note(&mut self, endpoint: usize, stamp: Option<Stamp>, id: u64, now: u64) {
        let stamp = stamp.filter(|stamp| stamp.run == self.run && stamp.number < count(MOST));
        let (Some(stamp), Some(arrivals)) = (stamp, self.endpoints.get_mut(endpoint)) else {
            self.state.strangers += 1;
            return;
        };
        let number = length(stamp.number);
        if number >= arrivals.len() {
            arrivals.resize((number + 1).next_power_of_two(), 0);
        }
        self.state.arrived += 1;
        if arrivals[number] != 0 {
            return;
        }
        arrivals[number] = id;
        self.state.distinct += 1;
        self.state.last_at = now;
        let latency = now.saturating_sub(stamp.at);
        self.latency.record(latency);
        let first = *self.first_at.get_or_insert(stamp.at);
        let window = length(stamp.at.saturating_sub(first) / SECOND);
        if window >= self.windows.len() {
            self.windows.resize_with(window + 1, Histogram::default);
        }
        self.windows[window].record(latency);
    }

    /// Notes an arrival at the slow endpoint.
    pub(super) fn note_slow(&mut self) {
        self.state.slow += 1;
    }

    /// How it stands.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Compares with what became of each publish: eight bytes a message, by number.
    pub(super) fn audit(&self, fates: &[u8]) -> anyhow::Result<Audit> {
        let (fates, rest) = fates.as_chunks::<8>();
        ensure!(rest.is_empty(), "the list of what was accepted is cut off");
        let mut audit = Audit {
            duplicates: self.state.arrived - self.state.distinct,
            latency: self.latency.summary(),
            windows: self.windows.iter().map(Histogram::summary).collect(),
            ..Audit::default()
        };
        for arrivals in &self.endpoints {
            let known = fates.len().max(arrivals.len());
            for number in 0..known {
                let fate = fates
                    .get(number)
                    .map_or(fate::NOT_ACCEPTED, |bytes| u64::from_le_bytes(*bytes));
                let arrived = arrivals.get(number).copied().unwrap_or_default();
                match (fate, arrived) {
                    (fate::NOT_ACCEPTED | fate::UNKNOWN, 0) => {}
                    (fate::NOT_ACCEPTED, _) => audit.uncalled += 1,
                    (fate::UNKNOWN, _) => audit.unknown_arrived += 1,
                    (_, 0) => {
                        audit.lost += 1;
                        audit.first_lost.get_or_insert(count(number));
                    }
                    (fate::ACCEPTED, _) => {}
                    (id, arrived) => audit.renamed += u64::from(id != arrived),
                }
            }
        }
        Ok(audit)
    }

    /// The same from a file.
    pub(super) fn audit_file(&self, path: &str) -> anyhow::Result<Audit> {
        self.audit(&std::fs::read(path).with_context(|| path.to_owned())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64, at: u64) -> Stamp {
        Stamp { run: 3, number, at }
    }

    fn fates(list: &[u64]) -> Vec<u8> {
        list.iter().flat_map(|fate| fate.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_accepted_must_arrive_everywhere_under_its_id() {
        let mut ledger = Ledger::new(Begin {
            run: 3,
            endpoints: 2,
            messages: 1,
            slow_ms: 0,
        });
        for endpoint in 0..2 {
            ledger.note(endpoint, Some(stamp(0, 1_000)), 10, 3_000);
            ledger.note(endpoint, Some(stamp(1, SECOND + 1_000)), 11, SECOND + 9_000);
        }
        ledger.note(0, Some(stamp(1, SECOND + 1_000)), 11, SECOND + 9_500);
        ledger.note(
            0,
            Some(Stamp {
                run: 2,
                number: 0,
                at: 1,
            }),
            10,
            2,
        );
        ledger.note(7, Some(stamp(0, 1)), 10, 2);
        ledger.note(0, None, 10, 2);
        let state = ledger.state();
        assert_eq!((state.arrived, state.distinct, state.strangers), (5, 4, 3));
        assert_eq!(state.last_at, SECOND + 9_000);

        let good = ledger.audit(&fates(&[10, 11])).unwrap();
        assert_eq!(
            (good.lost, good.renamed, good.uncalled, good.duplicates),
            (0, 0, 0, 1)
        );
        assert_eq!((good.windows.len(), good.latency.count), (2, 4));
        assert!((good.latency.max_us - 8.0).abs() < 1e-9);
        let bad = ledger
            .audit(&fates(&[12, fate::NOT_ACCEPTED, 13, fate::UNKNOWN]))
            .unwrap();
        assert_eq!((bad.lost, bad.renamed, bad.uncalled), (2, 2, 2));
        assert_eq!(bad.first_lost, Some(2));
        assert_eq!(
            ledger
                .audit(&fates(&[10, fate::UNKNOWN]))
                .unwrap()
                .unknown_arrived,
            2
        );
        assert!(ledger.audit(&[0; 9]).is_err());
    }
}
