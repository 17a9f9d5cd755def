//! How far the subscribers of the log have come, and what they could not take.

use async_trait::async_trait;
use postrider_domain::TenantId;

use crate::ports::{Epoch, StoreError};

/// Where a subscriber begins that has no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest event that is kept.
    Beginning,
    /// With what is committed from now on.
    Head,
    /// After this position.
    After(i64),
}

/// An aggregate in the log. Names of some are unique within their tenant only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateKey {
    /// Its tenant; none of global things.
    pub tenant: Option<TenantId>,
    /// Its id or name, as the log has it.
    pub aggregate: String,
}

/// A cursor that a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCursor {
    /// Whose.
    pub subscriber: String,
    /// The last event that is done with, or was set aside.
    pub position: i64,
    /// Whether events that were set aside are to be delivered again.
    pub again: bool,
}

/// An event that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its position in the log.
    pub position: i64,
    /// What it happened to.
    pub of: AggregateKey,
    /// What happened.
    pub kind: String,
    /// How often the subscriber refused it; 0 if it only waits for an earlier one of its aggregate.
    pub attempts: u32,
    /// The code of its last error; none if it only waits.
    pub error: Option<String>,
    /// Whether the operator has given it up: it is passed over, and what waits for it follows.
    pub discarded: bool,
    /// Whether later events of its aggregate wait that are not written down: when it is done with, they are read from
    /// the log again.
    pub later_in_log: bool,
}

/// What of a subscriber's is set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked {
    /// The aggregates of which an event is set aside: later ones wait.
    pub aggregates: Vec<BlockedAggregate>,
}

/// An aggregate of which events are set aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlockedAggregate {
    /// Which.
    pub of: AggregateKey,
    /// How many of its events are written down as set aside, those that wait included.
    pub events: u64,
    /// Whether later ones are not written down: see [`SetAside::later_in_log`].
    pub later_in_log: bool,
}

/// The cursors of the subscribers that the whole installation has, each of which one node runs at a time: the node that
/// holds it by its epoch, for as long as that node's lease runs. Every change is fenced by that epoch, so that a node
/// which was paused moves nothing any more.
#[async_trait]
pub trait RelayCursors: Send + Sync {
    /// Makes the cursor of a subscriber that has none.
    async fn declare(&self, subscriber: &str, start: StartAt) -> Result<(), StoreError>;

    /// Takes those of the cursors that no living node holds, if `node` lives, and answers all of them that it holds.
    /// When there is nothing to take this is one statement that reads.
    async fn take(&self, node: Epoch, subscribers: &[&str]) -> Result<Vec<HeldCursor>, StoreError>;

    /// Moves a cursor on, and writes down with it what was set aside on the way; `false`, and nothing is changed, if
    /// `node` does not hold it any more. A cursor never moves back. Repeating it changes nothing.
    async fn advance(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        aside: &[SetAside],
    ) -> Result<bool, StoreError>;

    /// What of the subscriber's is set aside.
    async fn blocked(&self, subscriber: &str) -> Result<Blocked, StoreError>;

    /// Wants everything delivered again that was refused with this error.
    async fn reconsider(&self, subscriber: &str, error: &str) -> Result<(), StoreError>;

    /// Up to `limit` events that the operator wants delivered again, and those that wait for nothing any more because
    /// the one before them was delivered; in the order of the log.
    async fn to_deliver_again(&self, subscriber: &str, limit: u32) -> Result<Vec<SetAside>, StoreError>;

    /// The earliest event of an aggregate that is set aside.
    async fn first_set_aside(
        &self,
        subscriber: &str,
        of: &AggregateKey,
    ) -> Result<Option<SetAside>, StoreError>;

    /// An event that was set aside is done with, and `next` stand in its place: those of its aggregate that were not
    /// written down yet. `false`, and nothing is changed, if `node` does not hold the cursor any more.
    async fn delivered(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        next: &[SetAside],
    ) -> Result<bool, StoreError>;

    /// It was refused again, `attempts` times more; as [`Self::delivered`].
    async fn refused_again(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        attempts: u32,
        error: &str,
    ) -> Result<bool, StoreError>;

    /// The last position that nobody needs any more: every cursor, every living node is past it, and nothing up to it
    /// is set aside. What is older may be removed from the log. The cursor of a subscriber that no living node has
    /// held for a week counts no more, nor what is set aside for it: it was switched off.
    async fn all_done_up_to(&self) -> Result<i64, StoreError>;
}
