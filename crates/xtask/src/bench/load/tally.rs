//! What became of each publish.

use std::path::Path;

use anyhow::Context;

use super::client::Answer;
use super::{Report, fate};
use crate::bench::clock::SECOND;
use crate::bench::histogram::Histogram;
use crate::bench::numbers::length;
use crate::bench::payload::Stamp;

/// Of what is wrong, so much is told.
const SHOWN: usize = 5;

/// The books of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    fates: Vec<u64>,
    latency: Histogram,
    report: Report,
}

impl Tally {
    /// Notes that one is sent.
    pub(super) fn sent(&mut self, stamp: Stamp) {
        if self.report.first_at == 0 {
            self.report.first_at = stamp.at;
        }
        let number = length(stamp.number);
        if number >= self.fates.len() {
            self.fates
                .resize((number + 1).next_power_of_two(), fate::NOT_ACCEPTED);
        }
        // Until it is answered.
        self.fates[number] = fate::UNKNOWN;
    }

    /// Notes an answer.
    pub(super) fn answered(&mut self, stamp: Stamp, answer: Answer, now: u64) {
        self.report.last_at = now;
        let fate = match answer {
            Answer::Accepted(id) => {
                self.accepted(stamp, now);
                id
            }
            Answer::Unknown => {
                self.report.unknown += 1;
                fate::UNKNOWN
            }
            Answer::Refused(status) => {
                *self.report.refused.entry(status).or_default() += 1;
                fate::NOT_ACCEPTED
            }
            Answer::Wrong(what) => {
                self.wrong(what);
                fate::UNKNOWN
            }
        };
        self.fates[length(stamp.number)] = fate;
    }

    /// Notes that the connection broke before the answer.
    pub(super) fn broken(&mut self, why: &std::io::Error) {
        self.report.unknown += 1;
        self.wrong(format!("a connection broke: {why}"));
    }

    /// Whether so much is wrong that going on is useless.
    pub(super) fn is_hopeless(&self) -> bool {
        self.report.wrong.len() >= SHOWN
    }

    fn accepted(&mut self, stamp: Stamp, now: u64) {
        self.report.accepted += 1;
        self.latency.record(now.saturating_sub(stamp.at));
        let second = length(now.saturating_sub(self.report.first_at) / SECOND);
        if second >= self.report.by_second.len() {
            self.report.by_second.resize(second + 1, 0);
        }
        self.report.by_second[second] += 1;
    }

    fn wrong(&mut self, what: String) {
        if self.report.wrong.len() < SHOWN {
            self.report.wrong.push(what);
        }
    }

    /// Closes the books: what became of each message goes to the file.
    pub(super) fn close(mut self, file: &Path, sent: u64) -> anyhow::Result<Report> {
        self.fates.truncate(length(sent));
        let bytes: Vec<u8> = self.fates.iter().flat_map(|fate| fate.to_le_bytes()).collect();
        std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
        self.report.latency = self.latency.summary();
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_its_fate() {
        let mut tally = Tally::default();
        let stamps = [0, 1, 2, 3].map(|number| Stamp {
            run: 1,
            number,
            at: SECOND * (number + 1),
        });
        for stamp in stamps {
            tally.sent(stamp);
        }
        tally.answered(stamps[0], Answer::Accepted(99), SECOND + 5_000);
        tally.answered(stamps[1], Answer::Refused(503), 3 * SECOND);
        tally.answered(stamps[2], Answer::Accepted(98), 4 * SECOND);
        tally.broken(&std::io::ErrorKind::UnexpectedEof.into());
        let file = tempfile::NamedTempFile::new().unwrap();
        let report = tally.close(file.path(), 4).unwrap();
        assert_eq!((report.accepted, report.unknown, report.refused[&503]), (2, 1, 1));
        assert_eq!((report.by_second, report.wrong.len()), (vec![1, 0, 0, 1], 1));
        let fates: Vec<u8> = [99_u64, 0, 98, 1]
            .iter()
            .flat_map(|fate| fate.to_le_bytes())
            .collect();
        assert_eq!(std::fs::read(file.path()).unwrap(), fates);
    }
}
