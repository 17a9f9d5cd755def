//! What waits, as figures.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// What waits in the queue; each count ends at a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueBacklog {
    /// Rows that are due and that no living node holds.
    pub due: u64,
    /// Rows that will be due: scheduled messages, and deliveries that wait for their next attempt.
    pub scheduled: u64,
    /// Rows that are set aside because their endpoint's lane is full.
    pub parked: u64,
    /// For how long the oldest of those that are due has been.
    pub oldest_due: Duration,
}

/// What a subscriber of the log of events has before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberBacklog {
    /// Its name.
    pub subscriber: String,
    /// How many positions the newest event is ahead of it.
    pub lag: u64,
    /// The age of the oldest event that it is not done with; nothing, if there is none.
    pub age: Duration,
    /// Events that it could not take and that wait for the operator; the count ends at a bound.
    pub dead_letters: u64,
}

/// What waits in the installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// The queue.
    pub queue: QueueBacklog,
    /// Those who have a cursor, by name.
    pub subscribers: Vec<SubscriberBacklog>,
    /// Replays that are under way; the count ends at a bound.
    pub replays: u64,
}

/// Looks at what waits.
#[async_trait]
pub trait Backlogs: Send + Sync {
    /// What waits now. Nothing is counted further than to `most`, so that a look at a long queue is as short as one at a
    /// queue of that length.
    async fn backlog(&self, most: u32) -> Result<Backlog, StoreError>;
}
