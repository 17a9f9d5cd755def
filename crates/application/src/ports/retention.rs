//! What is kept for how long.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// How long the installation keeps what; without a time, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// Messages, and where their deliveries stand.
    pub messages: Option<Duration>,
    /// The payloads of messages. Not longer than the messages.
    pub payloads: Option<Duration>,
    /// The attempts of deliveries. Not longer than the messages.
    pub attempts: Option<Duration>,
    /// The audit log.
    pub audit: Option<Duration>,
    /// The log of aggregates' events, as far as everybody has read it.
    pub events: Option<Duration>,
}

/// What a round of retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Partitions of history.
    pub partitions: u32,
    /// Rows, one by one.
    pub rows: u64,
    /// Whether there is more that was not removed because a batch is bounded.
    pub more: bool,
    /// A table whose days could not be dropped, because somebody is in the way: a matter of the next round, if it is not
    /// so each time.
    pub refused: Option<&'static str>,
}

/// Removes what is old enough. What is still queued is never removed, however old it is.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Removes what `policy` does not keep: where history is partitioned, whole days of it; otherwise, and of the logs,
    /// up to `limit` rows of each table. Events from the position `needed` on stay. One node at a time does it; the
    /// others are told that there is nothing to do. What somebody is in the way of is left for the next round.
    async fn remove_old(
        &self,
        policy: &RetentionPolicy,
        needed: Option<i64>,
        limit: u32,
    ) -> Result<Removed, StoreError>;
}

/// Who reads the log of aggregates' events.
#[async_trait]
pub trait EventReaders: Send + Sync {
    /// The least position that somebody has still to read; none, if nobody would miss what is there.
    async fn least_needed(&self) -> Result<Option<i64>, StoreError>;
}
