//! What a course knows of the events that are set aside for its subscriber.

use std::collections::HashMap;

use postrider_application::ports::{AggregateKey, Blocked, SetAside};

/// The aggregates of which events are set aside.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<AggregateKey, Rows>);

#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    /// How many events are written down.
    events: u64,
    /// Whether later ones are not.
    later_in_log: bool,
}

impl Held {
    /// As the database has it.
    pub(super) fn learned(blocked: Blocked) -> Self {
        let rows = blocked.aggregates.into_iter().map(|known| {
            let rows = Rows {
                events: known.events,
                later_in_log: known.later_in_log,
            };
            (known.of, rows)
        });
        Self(rows.collect())
    }

    /// How many events are written down.
    pub(super) fn events(&self) -> u64 {
        self.0.values().map(|rows| rows.events).sum()
    }

    pub(super) fn contains(&self, of: &AggregateKey) -> bool {
        self.0.contains_key(of)
    }

    /// Whether what comes of the aggregate is not written down.
    pub(super) fn is_later_in_log(&self, of: &AggregateKey) -> bool {
        self.0.get(of).is_some_and(|rows| rows.later_in_log)
    }

    /// One more of the aggregate; whether it is the last to be written down. The first is the one that was refused.
    pub(super) fn add(&mut self, of: &AggregateKey, max_waiting: u64) -> bool {
        let rows = self.0.entry(of.clone()).or_default();
        rows.events += 1;
        rows.later_in_log = rows.events > max_waiting;
        rows.later_in_log
    }

    /// One is done with, and others stand in its place.
    pub(super) fn replace(&mut self, of: &AggregateKey, done: &SetAside, next: &[SetAside]) {
        let rows = self.0.entry(of.clone()).or_default();
        rows.events = rows.events.saturating_sub(1) + next.len() as u64;
        if done.later_in_log {
            rows.later_in_log = next.last().is_some_and(|last| last.later_in_log);
        }
    }

    /// Nothing of the aggregate is set aside any more.
    pub(super) fn remove(&mut self, of: &AggregateKey) {
        self.0.remove(of);
    }
}
