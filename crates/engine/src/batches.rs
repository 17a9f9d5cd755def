use std::{collections::VecDeque, time::Duration};

use postrider_application::ports::StoreError;

use crate::{backoff::Backoff, store_calls::is_given_up};

/// How long a row that the database refuses, all by itself, waits before it is tried again: it stays ours and is
/// not lost, but only a repair helps it.
const REFUSED_ROW_WAIT: Duration = Duration::from_secs(30);
/// The pause after a row that was refused once more, before the next refused one is tried: however many there are,
/// they cost the database ten calls a second at most. While they succeed, there is no pause.
const REFUSED_AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// Rows that wait for a call of the store, one call at a time: what arrives meanwhile makes the next batch, so
/// batches grow with the load and nobody waits for a timer. Failed batches are tried again until they get through.
///
/// A row that the database refuses all by itself is set aside, where it needs no room among the rows in flight, and
/// recalled later, one at a time.
///
/// Bounded by the rows in flight and set aside, each of which is here at most once. Pure: time is handed in.
pub(crate) struct Batches<T> {
    limit: usize,
    /// How long a batch may gather, unless it is half full before.
    gather: Duration,
    /// Since when the fresh rows gather.
    gathers_since: Option<Duration>,
    fresh: VecDeque<T>,
    failed: VecDeque<Batch<T>>,
    /// Batches of one row each, in the order in which they are to be recalled.
    set_aside: VecDeque<Batch<T>>,
    /// No row is recalled before.
    recall_from: Duration,
    prefer_failed: bool,
    busy: bool,
    /// While the database is away nothing is tried before.
    closed_until: Duration,
    backoff: Backoff,
}

/// Rows of one call.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) rows: Vec<T>,
    /// Whether an earlier try failed in a way that leaves open whether it took effect.
    pub(crate) uncertain: bool,
    /// Whether it is a row that was set aside before.
    recalled: bool,
    not_before: Duration,
}

impl<T> Batch<T> {
    /// Leaves the first half of the rows and answers the second, both to be tried from `now` on.
    fn halve(&mut self, now: Duration) -> Self {
        self.not_before = now;
        Self {
            rows: self.rows.split_off(self.rows.len() / 2),
            uncertain: self.uncertain,
            recalled: false,
            not_before: now,
        }
    }
}

impl<T> Batches<T> {
    /// Batches of at most `limit` rows.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            gather: Duration::ZERO,
            gathers_since: None,
            fresh: VecDeque::new(),
            failed: VecDeque::new(),
            set_aside: VecDeque::new(),
            recall_from: Duration::ZERO,
            prefer_failed: false,
            busy: false,
            closed_until: Duration::ZERO,
            backoff: Backoff::default(),
        }
    }

    /// The same, gathering for so long before a batch that is less than half full: each call costs something,
    /// whatever its size, and nobody waits for it.
    pub(crate) fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    /// No more gathering: whoever waits for the end wants it soon.
    pub(crate) const fn hurry(&mut self) {
        self.gather = Duration::ZERO;
    }

    /// When fresh rows make a batch; none if there are none.
    fn gathered_at(&self) -> Option<Duration> {
        if self.fresh.is_empty() {
            None
        } else if self.fresh.len() >= self.limit / 2 {
            Some(Duration::ZERO)
        } else {
            self.gathers_since.map(|since| since + self.gather)
        }
    }

    /// One more row.
    pub(crate) fn push(&mut self, row: T) {
        self.fresh.push_back(row);
    }

    /// How many rows are set aside.
    pub(crate) fn set_aside(&self) -> usize {
        self.set_aside.len()
    }

    /// Whether there is nothing here, and nothing under way.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy && self.fresh.is_empty() && self.failed.is_empty() && self.set_aside.is_empty()
    }

    /// When a row may be recalled: one at a time, so that they never fill the room of others.
    fn recalls_at(&self) -> Option<Duration> {
        let first = self.set_aside.front()?;
        let alone = !self.busy && !self.failed.iter().any(|batch| batch.recalled);
        alone.then_some(first.not_before.max(self.recall_from).max(self.closed_until))
    }

    /// Brings one row back that was set aside, if it is time.
    pub(crate) fn recall(&mut self, now: Duration) {
        let due = self.recalls_at().is_some_and(|at| at <= now);
        let recalled = due.then(|| self.set_aside.pop_front()).flatten();
        self.failed.extend(recalled.map(|batch| Batch {
            recalled: true,
            ..batch
        }));
    }

    /// The batch of the next call, if there is one and no call is under way; then [`Self::succeeded`] or
    /// [`Self::failed`] must follow.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Batch<T>> {
        if self.gathers_since.is_none() && !self.fresh.is_empty() {
            self.gathers_since = Some(now);
        }
        if self.busy || now < self.closed_until {
            return None;
        }
        let gathered = self.gathered_at().is_some_and(|at| at <= now);
        let again = self.failed.iter().position(|batch| batch.not_before <= now);
        // In turn, so that neither batches that always fail nor a steady flow keeps the other from its turn.
        let batch = match again {
            Some(index) if !gathered || self.prefer_failed => self.failed.remove(index)?,
            _ if !gathered => return None,
            _ => {
                self.gathers_since = None;
                Batch {
                    rows: self.fresh.drain(..self.fresh.len().min(self.limit)).collect(),
                    uncertain: false,
                    recalled: false,
                    not_before: now,
                }
            }
        };
        self.busy = true;
        self.prefer_failed = !self.prefer_failed;
        Some(batch)
    }

    /// When to ask again for a batch, or to recall a row, if only time stands in the way.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        if self.busy {
            return None;
        }
        let again = self.failed.iter().map(|batch| batch.not_before).min();
        let fresh = self.gathered_at();
        let recall = self.recalls_at();
        let earliest = again.into_iter().chain(fresh).chain(recall).min();
        earliest.map(|at| at.max(self.closed_until))
    }

    /// The call succeeded.
    pub(crate) const fn succeeded(&mut self) {
        self.busy = false;
        self.backoff.reset();
    }

    /// The call failed. If the database was away, the batch is tried again as a whole; if it took too long, in
    /// halves after a wait; if the database refused it, in halves, so that a row with which no statement works holds
    /// up no other. Answers the row that was set aside because it was alone: it is not in flight any more.
    pub(crate) fn failed(
        &mut self,
        mut batch: Batch<T>,
        error: &StoreError,
        now: Duration,
    ) -> Option<&mut T> {
        self.busy = false;
        if matches!(error, StoreError::Unavailable(_)) {
            batch.uncertain = true;
            self.closed_until = now + self.backoff.next();
            if is_given_up(error) && batch.rows.len() > 1 {
                let half = batch.halve(now);
                self.failed.push_back(half);
            }
            self.failed.push_back(batch);
        } else if batch.rows.len() > 1 {
            let half = batch.halve(now);
            self.failed.extend([batch, half]);
        } else {
            if batch.recalled {
                self.recall_from = now + REFUSED_AGAIN_PAUSE;
            }
            batch.not_before = now + REFUSED_ROW_WAIT;
            self.set_aside.push_back(batch);
            return self.set_aside.back_mut()?.rows.first_mut();
        }
        None
    }

    /// Empties it of all that is in flight and not under way.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.gathers_since = None;
        let failed = self.failed.drain(..).flat_map(|batch| batch.rows);
        self.fresh.drain(..).chain(failed).collect()
    }

    /// Empties it of what was set aside.
    pub(crate) fn take_set_aside(&mut self) -> Vec<T> {
        self.set_aside.drain(..).flat_map(|batch| batch.rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;

    fn batches(rows: u32, limit: usize) -> Batches<u32> {
        let mut batches = Batches::new(limit);
        (0..rows).for_each(|n| batches.push(n));
        batches
    }

    fn unavailable() -> StoreError {
        StoreError::Unavailable("away".into())
    }

    fn refused() -> StoreError {
        StoreError::Internal("no such column".into())
    }

    /// Whether a row that was set aside comes back now.
    fn recalled(batches: &mut Batches<u32>, now: Duration) -> bool {
        let aside = batches.set_aside();
        batches.recall(now);
        batches.set_aside() < aside
    }

    #[test]
    fn one_call_at_a_time_of_at_most_the_limit() {
        let mut batches = batches(5, 3);
        assert_eq!(batches.next(T0).unwrap().rows, [0, 1, 2]);
        assert!(batches.next(T0).is_none() && batches.wakes_at().is_none() && !batches.is_idle());
        batches.succeeded();
        assert_eq!(batches.next(T0).unwrap().rows, [3, 4]);
        batches.succeeded();
        assert!(batches.next(T0).is_none() && batches.is_idle());
    }

    #[test]
    fn a_small_batch_gathers_and_a_large_one_does_not() {
        let gather = Duration::from_millis(10);
        let mut small = batches(1, 4).gathering(gather);
        assert!(small.next(T0).is_none());
        assert_eq!(small.wakes_at(), Some(T0 + gather));
        assert_eq!(small.next(T0 + gather).unwrap().rows, [0]);
        assert_eq!(batches(2, 4).gathering(gather).next(T0).unwrap().rows, [0, 1]);
        let mut hurried = batches(1, 4).gathering(gather);
        hurried.hurry();
        assert_eq!(hurried.next(T0).unwrap().rows, [0]);
    }

    #[test]
    fn a_batch_that_failed_does_not_gather_again() {
        let gather = Duration::from_secs(10);
        let mut batches = batches(1, 4).gathering(gather);
        let batch = batches.next(T0 + gather);
        assert!(batch.is_none(), "it gathers from the first look on");
        let batch = batches.next(T0 + gather * 2).unwrap();
        batches.failed(batch, &unavailable(), T0 + gather * 2);
        let again = batches.wakes_at().unwrap();
        assert!(again < T0 + gather * 3 && batches.next(again).is_some());
    }

    #[test]
    fn an_absent_database_gets_the_same_batch_again_after_a_wait() {
        let mut batches = batches(3, 10);
        let batch = batches.next(T0).unwrap();
        batches.failed(batch, &unavailable(), T0);
        batches.push(3);
        assert!(batches.next(T0).is_none(), "nor are others tried before");
        let again = batches.wakes_at().unwrap();
        assert!(again > T0);
        let batch = batches.next(again).unwrap();
        assert_eq!((batch.rows, batch.uncertain), (vec![0, 1, 2], true));
    }

    #[test]
    fn a_refused_row_holds_up_no_other_and_is_not_lost() {
        let mut batches = batches(8, 8);
        let (mut written, mut refusals) = (Vec::new(), 0);
        while let Some(batch) = batches.next(T0) {
            if batch.rows.contains(&5) {
                refusals += 1;
                let alone = batch.rows.len() == 1;
                let set_aside = batches.failed(batch, &refused(), T0).copied();
                assert_eq!(set_aside, alone.then_some(5));
            } else {
                written.extend(batch.rows);
                batches.succeeded();
            }
        }
        written.sort_unstable();
        assert_eq!((written, refusals), (vec![0, 1, 2, 3, 4, 6, 7], 4));
        batches.push(8);
        assert_eq!(batches.next(T0).unwrap().rows, [8]);
        batches.succeeded();
        let later = batches.wakes_at().unwrap();
        assert_eq!((later, batches.set_aside()), (REFUSED_ROW_WAIT, 1));
        assert!(batches.next(later).is_none() && recalled(&mut batches, later));
        assert_eq!(batches.next(later).unwrap().rows, [5]);
        batches.succeeded();
        assert!(batches.is_idle());
    }

    #[test]
    fn rows_set_aside_are_recalled_one_at_a_time_and_with_a_pause_while_they_are_refused() {
        let mut batches = batches(3, 1);
        while let Some(batch) = batches.next(T0) {
            batches.failed(batch, &refused(), T0);
        }
        assert!(!recalled(&mut batches, T0) && !batches.is_idle());
        let later = T0 + REFUSED_ROW_WAIT;
        assert!(recalled(&mut batches, later) && !recalled(&mut batches, later));
        let first = batches.next(later).unwrap();
        assert!(!recalled(&mut batches, later));
        assert_eq!(batches.failed(first, &refused(), later), Some(&mut 0));
        assert_eq!(batches.wakes_at(), Some(later + REFUSED_AGAIN_PAUSE));
        let later = later + REFUSED_AGAIN_PAUSE;
        for row in [1, 2] {
            assert!(recalled(&mut batches, later), "what succeeds is followed at once");
            assert_eq!(batches.next(later).unwrap().rows, [row]);
            batches.succeeded();
        }
        assert_eq!(batches.take_set_aside(), [0]);
        assert!(batches.is_idle());
    }

    #[test]
    fn failed_and_fresh_take_turns() {
        let mut batches = batches(1, 1);
        let poison = batches.next(T0).unwrap();
        batches.failed(poison, &refused(), T0);
        (10..14).for_each(|n| batches.push(n));
        let later = T0 + REFUSED_ROW_WAIT;
        assert!(recalled(&mut batches, later));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let batch = batches.next(later).unwrap();
            seen.push(batch.rows[0]);
            batches.succeeded();
        }
        assert!(seen.contains(&0), "{seen:?}");
    }

    #[test]
    fn emptying_takes_what_waits_and_what_failed() {
        let mut batches = batches(2, 1);
        let first = batches.next(T0).unwrap();
        batches.failed(first, &unavailable(), T0);
        assert_eq!(batches.take_all(), [1, 0]);
        assert!(batches.is_idle());
    }
}
