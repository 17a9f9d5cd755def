//! Postrider's relay: takes committed events of aggregates to their subscribers, in commit order.
//!
//! Every save of an aggregate appends its events to a log, in the same transaction. The relay reads that log: position
//! order is commit order, so a subscriber is a *cursor*, and nothing committed can be skipped. (Messages are not in the
//! log; the engine works them.)
//!
//! There are two sorts of subscribers.
//!
//! * **A node's** ([`NodeSubscriber`]): what a node remembers of the database, its caches. Every node tells them every
//!   event that is committed from its start on, by a cursor in memory. When they have heard of an event the node says so
//!   in the database, and whoever must know that no node goes by what was true before waits for that ([`Barrier`]).
//! * **The installation's** ([`Subscriber`]), declared in one table ([`SUBSCRIPTIONS`]): each has a cursor in the
//!   database, which one living node at a time holds.
//!     * *In order, at least once.* The cursor moves after the subscriber took the events and made them durable.
//!     * *Fenced.* A node that was paused for longer than its lease moves nothing any more.
//!     * *A subscriber that fails holds up only itself.* Each has a task of its own, and is tried again with growing,
//!       capped pauses.
//!     * *An event that it refuses holds up only its aggregate.* After so many attempts the event is set aside, and
//!       later ones of the same aggregate wait behind it, in order; all others flow. The operator sees it and has it
//!       delivered again, and what waits after it. Events of a form that this release does not know are set aside
//!       unseen.
//! * **Woken, and polling as the net**: a commit on any node wakes the relays of all, by [`RelaySignal`] on this one.
//! * **Bounded**: events are read in batches, and as many are set aside as may be, in the database.

mod backoff;
mod barrier;
mod course;
mod follower;
mod operational;
mod options;
mod relay;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod simulation_tests;
mod sink;
mod store_calls;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod test_support;

pub use barrier::Barrier;
pub use operational::OperationalWebhooks;
pub use options::RelayOptions;
pub use relay::{Relay, RelayError, RelayPorts, RelaySignal};
pub use sink::{JsonLines, JsonLinesTarget, SinkSubscriber};
pub use subscriber::{NodeSubscriber, Subscriber, SubscriberError};
pub use subscriptions::{
    EVENT_SINK, Installed, Kinds, OPERATIONAL_WEBHOOKS, SUBSCRIPTIONS, Subscription, Unknown,
};
