use std::{collections::HashSet, error::Error};

use async_trait::async_trait;
use postrider_application::ports::LoggedEvent;
use thiserror::Error;

/// Why a subscriber could not take an event. The cause is logged: it must hold nothing of the event's body.
#[derive(Debug, Error)]
#[error("the subscriber could not take the event")]
pub struct SubscriberError {
    fault: Fault,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The event's, under this code.
    Events(&'static str),
    /// The subscriber's own: it could take no other either.
    Subscribers,
}

impl SubscriberError {
    /// It cannot take this event, because of `cause`; `code` is kept with the event when it is set aside, and shown to
    /// the operator.
    pub fn refused(code: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            fault: Fault::Events(code),
            cause: cause.into(),
        }
    }

    /// It can take nothing at all for now, because of `cause`: the event is not to blame, and is never set aside for it.
    pub fn away(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            fault: Fault::Subscribers,
            cause: cause.into(),
        }
    }

    /// The code, if the event is to blame.
    pub(crate) const fn code(&self) -> Option<&'static str> {
        match self.fault {
            Fault::Events(code) => Some(code),
            Fault::Subscribers => None,
        }
    }
}

/// Somebody to whom committed events are told, once for the whole installation.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// This node takes the cursor over: what was taken earlier and not made durable comes again, from here or from where
    /// another node got to meanwhile.
    async fn begin(&self) -> Result<(), SubscriberError> {
        Ok(())
    }

    /// The positions of those among the next events that it has nothing to do with, asked for a batch at a time: they
    /// are passed over. None by default.
    async fn passes_over(&self, events: &[&LoggedEvent]) -> Result<HashSet<i64>, SubscriberError> {
        let _ = events;
        Ok(HashSet::new())
    }

    /// Takes an event. Called for one event of an aggregate at a time, in commit order; for events of different aggregates
    /// at once, if its [`Subscription`](crate::Subscription) says so; again for the same event after an error, or when
    /// it took longer than [`crate::RelayOptions::handle_timeout`] (its future is dropped then, and it counts as away), and
    /// after a crash: it must bear repetition. A panic counts as a refusal of the event.
    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError>;

    /// Makes what was taken durable; called before the cursor moves past it.
    async fn flush(&self) -> Result<(), SubscriberError> {
        Ok(())
    }
}

/// Somebody on every node to whom every event is told: what this node remembers of the database. It cannot fail.
pub trait NodeSubscriber: Send + Sync {
    /// Takes an event. When it has returned, nothing is remembered here any more that was true only before the event.
    fn apply(&self, event: &LoggedEvent);

    /// Events may have been missed.
    fn forget_all(&self);
}
