//! How much the engine may hold in memory: rows, and bytes of payloads and captured answers.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Shared by all that takes rows into memory: the intake's hand-off, claims, fan-outs. What is taken is given back
/// when the [`Permit`] is dropped.
#[derive(Debug)]
pub(crate) struct Budget {
    max_rows: i64,
    max_bytes: i64,
    rows: AtomicI64,
    bytes: AtomicI64,
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Budget {
    /// Room for so many rows and bytes.
    pub(crate) fn new(rows: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            max_rows: signed(rows),
            max_bytes: signed(bytes),
            rows: AtomicI64::new(signed(rows)),
            bytes: AtomicI64::new(signed(bytes)),
        })
    }

    /// Rows that may still be taken.
    pub(crate) fn free_rows(&self) -> usize {
        usize::try_from(self.rows.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether there are bytes left: as long as there are not, no attempt is begun.
    pub(crate) fn has_bytes(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    /// Whether less than half of the bytes are taken: then rows that wait may keep their payloads.
    pub(crate) fn is_roomy(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.max_bytes / 2
    }

    /// Room for `rows`, if there is.
    pub(crate) fn take_rows(self: &Arc<Self>, rows: usize) -> Option<Permit> {
        take(&self.rows, signed(rows), signed(rows)).then(|| self.permit(signed(rows), 0))
    }

    /// Room for one row, if as much as a quarter of all is left after it: the last quarter is for rows that were
    /// accepted before.
    pub(crate) fn take_row_for_new(self: &Arc<Self>) -> Option<Permit> {
        take(&self.rows, 1, 1 + self.max_rows / 4).then(|| self.permit(1, 0))
    }

    /// No room, to be added to.
    pub(crate) fn nothing(self: &Arc<Self>) -> Permit {
        self.permit(0, 0)
    }

    /// Room for `bytes`, if there is. What is longer than all that there ever is finds room when nothing else is held.
    pub(crate) fn take_bytes(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let bytes = signed(bytes);
        take(&self.bytes, bytes, bytes.min(self.max_bytes)).then(|| self.permit(0, bytes))
    }

    /// Room for `bytes`, if as much as a quarter of all is left after it: the last quarter is for what was accepted
    /// before.
    pub(crate) fn take_bytes_for_new(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let bytes = signed(bytes);
        take(&self.bytes, bytes, bytes + self.max_bytes / 4).then(|| self.permit(0, bytes))
    }

    /// Room for bytes that are there already, and that were not known before. The budget may be overdrawn by it, by as
    /// much as attempts under way can capture.
    pub(crate) fn overdraw(self: &Arc<Self>, bytes: usize) -> Permit {
        let bytes = signed(bytes);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.permit(0, bytes)
    }

    fn permit(self: &Arc<Self>, rows: i64, bytes: i64) -> Permit {
        Permit {
            budget: Arc::clone(self),
            rows,
            bytes,
        }
    }

    /// Rows that are taken.
    pub(crate) fn taken_rows(&self) -> usize {
        usize::try_from(self.max_rows - self.rows.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes that are taken.
    pub(crate) fn taken_bytes(&self) -> usize {
        usize::try_from(self.max_bytes - self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Takes `amount` if at least `needed` is left.
fn take(left: &AtomicI64, amount: i64, needed: i64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        (left >= needed).then_some(left - amount)
    })
    .is_ok()
}

/// What was taken of a [`Budget`]; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    rows: i64,
    bytes: i64,
}

impl Permit {
    /// Takes one row out of a permit of several.
    pub(crate) fn split_row(&mut self) -> Option<Self> {
        (self.rows > 0).then(|| {
            self.rows -= 1;
            self.budget.permit(1, 0)
        })
    }

    /// One permit for both.
    #[must_use]
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.rows += std::mem::take(&mut other.rows);
        self.bytes += std::mem::take(&mut other.bytes);
        self
    }

    /// The bytes of it as a permit of their own.
    pub(crate) fn split_bytes(&mut self) -> Self {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.permit(0, bytes)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.rows != 0 {
            self.budget.rows.fetch_add(self.rows, Ordering::Relaxed);
        }
        if self.bytes != 0 {
            self.budget.bytes.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::new(3, 10);
        let mut rows = budget.take_rows(2).unwrap();
        assert!(budget.take_rows(2).is_none());
        let one = rows.split_row().unwrap();
        drop(rows);
        assert_eq!((budget.free_rows(), budget.taken_rows()), (2, 1));
        let both = one.and(budget.take_bytes(4).unwrap());
        assert_eq!((budget.taken_rows(), budget.taken_bytes()), (1, 4));
        drop(both);
        assert_eq!((budget.taken_rows(), budget.taken_bytes()), (0, 0));
    }

    #[test]
    fn what_is_longer_than_everything_finds_room_alone() {
        let budget = Budget::new(1, 10);
        let small = budget.take_bytes(1).unwrap();
        assert!(budget.take_bytes(11).is_none());
        drop(small);
        let large = budget.take_bytes(11).unwrap();
        assert!(!budget.has_bytes());
        assert!(budget.take_bytes(1).is_none());
        drop(large);
        assert!(budget.is_roomy());
    }

    #[test]
    fn answers_may_overdraw_it() {
        let budget = Budget::new(1, 10);
        let answer = budget.overdraw(12);
        assert!(!budget.has_bytes());
        drop(answer);
        assert!(budget.has_bytes());
    }
}
