use std::{collections::VecDeque, time::Duration};

use postrider_application::ports::{Settlement, StoreError};

use crate::backoff::Backoff;

/// Outcomes that wait to be written, and batches that could not be. One batch is written at a time: what arrives
/// meanwhile makes the next one, so batches grow with the load and nobody waits for a timer.
///
/// Bounded by the rows in flight, each of which has at most one outcome.
pub(crate) struct Settling {
    limit: usize,
    fresh: VecDeque<Settlement>,
    failed: VecDeque<Batch>,
    prefer_failed: bool,
    busy: bool,
    not_before: Duration,
    backoff: Backoff,
}

/// Settlements that are written together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Settlement>,
    /// Whether an earlier try failed in a way that leaves open whether it was committed.
    pub(crate) uncertain: bool,
}

impl Settling {
    /// Batches of at most `limit` rows.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            fresh: VecDeque::new(),
            failed: VecDeque::new(),
            prefer_failed: false,
            busy: false,
            not_before: Duration::ZERO,
            backoff: Backoff::default(),
        }
    }

    /// An outcome to be written.
    pub(crate) fn push(&mut self, settlement: Settlement) {
        self.fresh.push_back(settlement);
    }

    /// The batch to be written now, if there is one and none is being written.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Batch> {
        if self.busy || now < self.not_before {
            return None;
        }
        // In turn, so that neither a batch that always fails nor a steady flow keeps the other from its turn.
        let batch = if self.fresh.is_empty() || (self.prefer_failed && !self.failed.is_empty()) {
            self.failed.pop_front()?
        } else {
            let rows = self.fresh.drain(..self.fresh.len().min(self.limit)).collect();
            Batch { rows, uncertain: false }
        };
        self.busy = true;
        self.prefer_failed = !self.prefer_failed;
        Some(batch)
    }

    /// When to ask again for a batch, if time alone stands in the way.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        let waits = !self.busy && !(self.fresh.is_empty() && self.failed.is_empty());
        waits.then_some(self.not_before)
    }

    /// The batch was written.
    pub(crate) fn written(&mut self) {
        self.busy = false;
        self.backoff.reset();
    }

    /// The batch was not written, as far as we know. It is tried again as a whole if the database was away; if the
    /// database refused it, in halves, so that a row which cannot be written keeps no other from it.
    pub(crate) fn failed(&mut self, mut batch: Batch, error: &StoreError, now: Duration) {
        self.busy = false;
        self.not_before = now + self.backoff.next();
        match error {
            StoreError::Unavailable(_) => {
                batch.uncertain = true;
                self.failed.push_back(batch);
            }
            _ if batch.rows.len() > 1 => {
                let second = batch.rows.split_off(batch.rows.len() / 2);
                self.not_before = now; // halving ends by itself
                self.failed.push_back(Batch {
                    rows: second,
                    uncertain: batch.uncertain,
                });
                self.failed.push_back(batch);
            }
            _ => self.failed.push_back(batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::{Settled, WorkRef};
    use postrider_domain::WorkId;
    use uuid::Uuid;

    const T0: Duration = Duration::ZERO;

    fn settlement(n: u128) -> Settlement {
        Settlement {
            work: WorkRef {
                id: WorkId::from_uuid(Uuid::from_u128(n)),
                claim: 1,
            },
            settled: Settled::FannedOut(Vec::new()),
        }
    }

    fn settling(rows: u128, limit: usize) -> Settling {
        let mut settling = Settling::new(limit);
        (0..rows).for_each(|n| settling.push(settlement(n)));
        settling
    }

    fn unavailable() -> StoreError {
        StoreError::Unavailable("away".into())
    }

    fn refused() -> StoreError {
        StoreError::Internal("no such column".into())
    }

    #[test]
    fn one_batch_at_a_time_of_at_most_the_limit() {
        let mut settling = settling(5, 3);
        assert_eq!(settling.next(T0).unwrap().rows.len(), 3);
        assert!(settling.next(T0).is_none() && settling.wakes_at().is_none());
        settling.written();
        assert_eq!(settling.next(T0).unwrap().rows.len(), 2);
        settling.written();
        assert!(settling.next(T0).is_none());
    }

    #[test]
    fn an_absent_database_gets_the_same_batch_again_after_a_wait() {
        let mut settling = settling(3, 10);
        let batch = settling.next(T0).unwrap();
        settling.failed(batch, &unavailable(), T0);
        assert!(settling.next(T0).is_none());
        let again = settling.wakes_at().unwrap();
        let batch = settling.next(again).unwrap();
        assert_eq!((batch.rows.len(), batch.uncertain), (3, true));
    }

    #[test]
    fn a_refused_row_keeps_no_other_from_being_written() {
        let mut settling = settling(8, 8);
        let poison = settlement(5);
        let (mut now, mut written) = (T0, 0);
        for _ in 0..40 {
            now = now.max(settling.wakes_at().unwrap());
            let batch = settling.next(now).unwrap();
            if batch.rows.contains(&poison) {
                settling.failed(batch, &refused(), now);
            } else {
                written += batch.rows.len();
                settling.written();
            }
        }
        assert_eq!(written, 7);
        // It still lets others pass, and is still there.
        settling.push(settlement(9));
        settling.push(settlement(10));
        let mut seen = Vec::new();
        for _ in 0..3 {
            now = now.max(settling.wakes_at().unwrap_or(now));
            let Some(batch) = settling.next(now) else { break };
            seen.extend(batch.rows.iter().map(|row| row.work.id));
            if batch.rows.contains(&poison) {
                settling.failed(batch, &refused(), now);
            } else {
                settling.written();
            }
        }
        assert!(seen.contains(&settlement(9).work.id) && seen.contains(&poison.work.id));
    }
}
