//! How the installation runs, as the operator sees it.

use postrider_domain::Timestamp;

use super::{DeadLetterId, DeadLetterView};
use crate::{
    access::OperatorScope,
    ports::{Epoch, FailingEndpoint, Page, PageRequest, StoreError},
};

/// A living node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeView {
    /// Its life.
    pub epoch: Epoch,
    /// When it joined.
    pub joined_at: Timestamp,
    /// How much longer its lease runs, in microseconds; negative if it ran out.
    pub lease_us: i64,
    /// Up to which position it has seen the log; none of a release that does not say so.
    pub seen: Option<i64>,
}

/// A subscriber of the whole installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberView {
    /// Its name.
    pub name: String,
    /// The last event that is done with.
    pub position: i64,
    /// How many positions the newest event is ahead of it.
    pub lag: i64,
    /// The living node that runs it.
    pub node: Option<Epoch>,
    /// How many events are set aside because it could not take them.
    pub dead_letters: u64,
    /// How many wait for those.
    pub held_back: u64,
}

/// A part of the queue, counted up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// What it is.
    pub part: &'static str,
    /// How many rows, [`QueueDepth::MOST`] if there are as many or more.
    pub rows: u32,
}

impl QueueDepth {
    /// Up to how many rows of a part are counted: enough to see that there is a backlog, and never a long look.
    pub const MOST: u32 = 10_000;
}

/// How the installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusView {
    /// The nodes that were not declared dead, the oldest first.
    pub nodes: Vec<NodeView>,
    /// The position of the newest event.
    pub head: i64,
    /// The queue, by part.
    pub queue: Vec<QueueDepth>,
    /// The subscribers, by name.
    pub subscribers: Vec<SubscriberView>,
    /// The endpoints that have failed for the longest time.
    pub failing: Vec<FailingEndpoint>,
}

impl StatusView {
    /// How many nodes, and how many failing endpoints, are shown.
    pub const MOST: u32 = 20;
}

/// What the operator sees of how the installation runs: never payloads.
pub trait OperatorViews: Send + Sync {
    /// How it is.
    fn status(&self, scope: &OperatorScope) -> impl Future<Output = Result<StatusView, StoreError>> + Send;

    /// Events that were set aside, the oldest first; not those that only wait.
    fn dead_letters(
        &self,
        scope: &OperatorScope,
        page: PageRequest<DeadLetterId>,
    ) -> impl Future<Output = Result<Page<DeadLetterView, DeadLetterId>, StoreError>> + Send;
}
