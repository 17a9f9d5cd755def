//! How the installation is, as its operator sees it.

use postrider_application::{
    operator::DiscardedDeadLetter,
    ports::{DeadLetterView, FailingEndpoint, NodeView, QueueDepth, StatusView, SubscriberView},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::time;

/// How the installation is. Never payloads.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    /// The nodes that are not known to be dead, the oldest first; at most 20.
    nodes: Vec<Node>,
    /// What waits to be delivered.
    queue: Queue,
    /// The log of events.
    events: Events,
    /// The endpoints to which every attempt has failed for the longest time; at most 20.
    failing_endpoints: Vec<Failing>,
}

/// A node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Node {
    /// Its life: a node that lost its lease and joined anew has another.
    #[schema(examples(7))]
    epoch: i64,
    /// When that began.
    joined_at: String,
    /// For how many more milliseconds its lease runs unless it beats; negative if it ran out.
    #[schema(examples(14200))]
    lease_ms: i64,
    /// Up to which position it has seen the log of events; null if it does not say.
    #[schema(required, examples(1234))]
    seen: Option<i64>,
}

/// The queue. Each part is counted up to 10,000 only.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queue {
    /// Rows that are due and held by no node.
    due: u32,
    /// Rows that are to be attempted later: retries.
    scheduled: u32,
    /// Rows that wait because their endpoint has enough in hand.
    parked: u32,
    /// Rows that nodes hold.
    held: u32,
}

/// The log of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct Events {
    /// The position of the newest.
    #[schema(examples(1234))]
    head: i64,
    /// Who hears of them.
    subscribers: Vec<Subscriber>,
}

/// A subscriber of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Subscriber {
    /// Its name.
    #[schema(examples("operational-webhooks"))]
    name: String,
    /// The last event that it is done with.
    #[schema(examples(1234))]
    position: i64,
    /// How many positions the newest event is ahead.
    #[schema(examples(0))]
    lag: i64,
    /// The epoch of the node that runs it; null if none does.
    #[schema(required, examples(7))]
    node: Option<i64>,
    /// How many events it could not take.
    #[schema(examples(0))]
    dead_letters: u64,
    /// How many events wait for those.
    #[schema(examples(0))]
    held_back: u64,
}

/// An endpoint to which every attempt fails.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failing {
    /// Its tenant.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    tenant_id: String,
    /// Its application.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application_id: String,
    /// The endpoint.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    endpoint_id: String,
    /// Since when.
    since: String,
    /// The last failure that is noted, to the hour.
    last_at: String,
}

/// An event that a subscriber could not take.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// Its id: the subscriber, and the event's position in the log.
    #[schema(examples("operational-webhooks.1234"))]
    id: String,
    /// The tenant that it concerns; null of global things.
    #[schema(required, examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    tenant_id: Option<String>,
    /// What happened.
    #[schema(examples("endpoint.disabled"))]
    kind: String,
    /// To what.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    aggregate: String,
    /// How often the subscriber refused it.
    #[schema(examples(8))]
    attempts: u32,
    /// The code of its last error.
    #[schema(examples("refused"))]
    error: String,
    /// When it was set aside.
    set_aside_at: String,
    /// How many later events of the same aggregate wait for it; of very many only the first are counted.
    #[schema(examples(0))]
    holds_back: u32,
    /// Whether it is about to be delivered again.
    retrying: bool,
}

/// What follows a dead letter that was given up.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiscardedLetter {
    /// Its id.
    #[schema(examples("operational-webhooks.1234"))]
    id: String,
    /// How many later events of the same aggregate waited for it and are delivered now; of very many only the first are
    /// counted.
    #[schema(examples(3))]
    released: u32,
}

impl DiscardedLetter {
    pub(crate) fn of(id: String, discarded: DiscardedDeadLetter) -> Self {
        Self {
            id,
            released: discarded.held_back,
        }
    }
}

impl From<StatusView> for Status {
    fn from(status: StatusView) -> Self {
        let depth = |part: &str| {
            let found = status.queue.iter().find(|depth| depth.part == part);
            found.map_or(0, |depth: &QueueDepth| depth.rows)
        };
        Self {
            queue: Queue {
                due: depth("due"),
                scheduled: depth("scheduled"),
                parked: depth("parked"),
                held: depth("held"),
            },
            nodes: status.nodes.into_iter().map(Node::from).collect(),
            events: Events {
                head: status.head,
                subscribers: status.subscribers.into_iter().map(Subscriber::from).collect(),
            },
            failing_endpoints: status.failing.into_iter().map(Failing::from).collect(),
        }
    }
}

impl From<NodeView> for Node {
    fn from(node: NodeView) -> Self {
        Self {
            epoch: node.epoch.0,
            joined_at: time::show(node.joined_at),
            lease_ms: node.lease_us / 1_000,
            seen: node.seen,
        }
    }
}

impl From<SubscriberView> for Subscriber {
    fn from(subscriber: SubscriberView) -> Self {
        Self {
            name: subscriber.name,
            position: subscriber.position,
            lag: subscriber.lag,
            node: subscriber.node.map(|epoch| epoch.0),
            dead_letters: subscriber.dead_letters,
            held_back: subscriber.held_back,
        }
    }
}

impl From<FailingEndpoint> for Failing {
    fn from(failing: FailingEndpoint) -> Self {
        Self {
            tenant_id: failing.tenant.to_string(),
            application_id: failing.application.to_string(),
            endpoint_id: failing.endpoint.to_string(),
            since: time::show(failing.since),
            last_at: time::show(failing.last_at),
        }
    }
}

impl From<DeadLetterView> for DeadLetter {
    fn from(letter: DeadLetterView) -> Self {
        Self {
            id: letter.id.to_string(),
            tenant_id: letter.tenant.map(|tenant| tenant.to_string()),
            kind: letter.kind,
            aggregate: letter.aggregate,
            attempts: letter.attempts,
            error: letter.error,
            set_aside_at: time::show(letter.set_aside_at),
            holds_back: letter.holds_back,
            retrying: letter.again,
        }
    }
}
