//! What the relay keeps in the database: cursors, events that were set aside, and how far each node has seen the log.

use std::{collections::HashSet, fmt, str::FromStr};

use async_trait::async_trait;
use postrider_domain::{TenantId, Timestamp};

use super::{Epoch, LoggedEvent, Page, PageRequest, StoreError};
use crate::access::OperatorScope;

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

/// How far nodes have seen the log: a node that has seen an event remembers nothing that was true only before it.
#[async_trait]
pub trait NodeSight: Send + Sync {
    /// The node has seen everything up to `position`. Never goes back; tells those that wait for it.
    async fn note_seen(&self, node: Epoch, position: i64) -> Result<(), StoreError>;

    /// How many living nodes have not seen everything up to `position` yet, or, if none is given, up to the newest
    /// event; and which position that is.
    async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError>;
}

/// Who has not seen what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// Up to where.
    pub position: i64,
    /// How many living nodes have not seen it.
    pub nodes: u32,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The log has grown, or the operator wants something delivered again.
    Events,
    /// A node has seen more of it.
    Seen,
    /// Nothing was missed from here on; before, anything may have been.
    Anew,
}

/// Hears what other nodes say of the log. Only a hint: a slow look is the net beneath it.
#[async_trait]
pub trait EventBell: Send + Sync {
    /// Waits until something is said. Where no other node can be, for ever. One caller at a time.
    async fn heard(&self) -> Result<Heard, StoreError>;
}

/// This node's life, as whoever works under its lease knows it.
#[async_trait]
pub trait NodeLife: Send + Sync {
    /// The epoch of the current life; none between two lives.
    fn epoch(&self) -> Option<Epoch>;

    /// Whether that life goes on and its lease runs, judged now.
    fn holds(&self, epoch: Epoch) -> bool;

    /// Waits until the current life is another one than `known`.
    async fn changed(&self, known: Option<Epoch>);
}

/// Why a sink did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It takes every other, but not this one.
    #[error("the event is refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes none for now.
    #[error("the sink takes nothing for now")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where the operator has the installation's events go.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Forgets what was taken and not made durable: it comes again, and another node may have written more meanwhile.
    async fn begin(&self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Takes an event; it may come again.
    async fn write(&self, event: &LoggedEvent) -> Result<(), SinkError>;

    /// Makes durable what was taken. After an error it is asked again, without what was taken being written anew.
    async fn flush(&self) -> Result<(), SinkError>;
}

/// Counts what the relay does.
pub trait RelayMetrics: Send + Sync {
    /// An event was set aside.
    fn set_aside(&self, subscriber: &'static str);
}

/// Waits for the whole installation.
#[async_trait]
pub trait ClusterBarrier: Send + Sync {
    /// Returns when every living node has seen everything that was committed before this call: none of them begins
    /// anything any more by what was true only before. A node whose lease ran out begins nothing.
    ///
    /// Fails if that cannot be told within the time that leases run for, and some more.
    async fn passed(&self) -> Result<(), StoreError>;
}

/// Names an event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// Its position in the log.
    pub position: i64,
    /// Who could not take it.
    pub subscriber: String,
}

/// Text that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a subscriber and a position, as in `operational-webhooks.1234`")]
pub struct NotADeadLetter;

impl DeadLetterId {
    /// The most characters of a subscriber's name.
    pub const MAX_NAME: usize = 64;
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.subscriber, self.position)
    }
}

impl FromStr for DeadLetterId {
    type Err = NotADeadLetter;

    fn from_str(text: &str) -> Result<Self, NotADeadLetter> {
        let (subscriber, position) = text.rsplit_once('.').ok_or(NotADeadLetter)?;
        let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = (1..=Self::MAX_NAME).contains(&subscriber.len()) && subscriber.chars().all(in_name);
        let digits = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        if !named || !digits || (position.len() > 1 && position.starts_with('0')) {
            return Err(NotADeadLetter);
        }
        Ok(Self {
            subscriber: subscriber.to_owned(),
            position: position.parse().map_err(|_| NotADeadLetter)?,
        })
    }
}

/// An event that a subscriber could not take, as the operator sees it: never its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its name.
    pub id: DeadLetterId,
    /// The tenant that it concerns.
    pub tenant: Option<TenantId>,
    /// What happened.
    pub kind: String,
    /// To what.
    pub aggregate: String,
    /// How often it was refused.
    pub attempts: u32,
    /// The code of its last error.
    pub error: String,
    /// When it was set aside.
    pub set_aside_at: Timestamp,
    /// How many later events of its aggregate wait for it.
    pub holds_back: u32,
    /// Whether it is to be delivered again.
    pub again: bool,
}

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
    pub failing: Vec<super::FailingEndpoint>,
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

/// Events that were set aside, in a transaction of the operator's.
pub trait DeadLetterRepository: Send {
    /// Wants an event delivered again, and after it those that wait for it; `false` if it is not set aside, or was
    /// discarded. Whoever runs the subscriber is told at the commit.
    fn deliver_again(
        &mut self,
        scope: &OperatorScope,
        id: &DeadLetterId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives an event up: whoever runs the subscriber is told at the commit, passes it over and delivers those that wait
    /// for it. Answers how many of them are written down; none if it is not set aside, or was discarded before.
    fn discard(
        &mut self,
        scope: &OperatorScope,
        id: &DeadLetterId,
    ) -> impl Future<Output = Result<Option<u32>, StoreError>> + Send;
}

/// Which tenants listen to operational webhooks.
#[async_trait]
pub trait OperationalApplications: Send + Sync {
    /// Those of the tenants that have an application of the reserved uid and are not being deleted; in one question.
    async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_it_was_written_from_and_nothing_else_is_one() {
        let id = DeadLetterId {
            subscriber: "operational-webhooks".to_owned(),
            position: 1234,
        };
        assert_eq!(id.to_string(), "operational-webhooks.1234");
        assert_eq!("operational-webhooks.1234".parse(), Ok(id));
        for text in [
            "",
            ".",
            "a.",
            ".1",
            "a",
            "a.b",
            "a.-1",
            "a.+1",
            "a.01",
            "A.1",
            "a b.1",
            "a.1.2",
            "a.99999999999999999999",
        ] {
            assert_eq!(text.parse::<DeadLetterId>(), Err(NotADeadLetter), "{text}");
        }
        assert_eq!(
            format!("{}.1", "a".repeat(65)).parse::<DeadLetterId>(),
            Err(NotADeadLetter)
        );
    }
}
