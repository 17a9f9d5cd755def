//! Postrider's relay: takes committed events of aggregates to their subscribers, in commit order.
//!
//! Every save of an aggregate appends its events to a log, in the same transaction. The relay reads that log: position
//! order is commit order, so a subscriber is a *cursor*, and nothing committed can be skipped. (Messages are not in the
//! log; the engine works them.)
//!
//! * **One table of subscribers**: those that [`Relay::at_head`] is given, and no others.
//! * **In order, at least once**: a subscriber sees the events that it [wants](Subscriber::wants) one after the other; it
//!   sees an event again after a failure or time-out, so it must bear repetition.
//! * **A subscriber that fails holds up only itself**: each has its own cursor and its own task. It is tried again with
//!   growing, capped pauses until it succeeds.
//! * **Woken, and polling as the net**: [`RelaySignal::wake`] after a commit makes this node's relay read at once. What
//!   other nodes commit is found by polling, every [`RelayOptions::poll_interval`].
//! * **Bounded**: events are read in batches of [`RelayOptions::batch`].
//!
//! # What it is for: subscribers of a node
//!
//! Cursors live in memory. A relay begins at the head of the log as it is when the node starts, and forgets its
//! position when the node ends. That is right for what concerns *this node's* memory, such as its caches, which are
//! empty at the start: every node has a relay, and each sees every event. It is not for effects that must happen once
//! for the whole installation, or that must survive a restart; those need a cursor in the database.

mod backoff;
mod course;
mod relay;
mod subscriber;
#[cfg(test)]
mod test_support;

pub use relay::{Relay, RelayError, RelayOptions, RelaySignal};
pub use subscriber::{Subscriber, SubscriberError};
