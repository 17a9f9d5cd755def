use async_trait::async_trait;
use postrider_application::ports::LoggedEvent;
use thiserror::Error;

/// Why a subscriber could not take an event. The cause is logged: it must hold nothing of the event's body.
#[derive(Debug, Error)]
#[error("the subscriber could not take the event")]
pub struct SubscriberError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SubscriberError {
    /// It could not, because of `cause`.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Somebody to whom committed events are told.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// Its name in logs; unique among the subscribers of a relay.
    fn name(&self) -> &str;

    /// Whether it wants events of this kind (`aggregate.verb`). What it does not want is passed over for good.
    fn wants(&self, kind: &str) -> bool;

    /// Takes an event. Called for one event at a time, in commit order; again for the same event after an error or
    /// when it took longer than [`crate::RelayOptions::handle_timeout`] (its future is dropped then). When it has
    /// returned `Ok`, the event is done.
    async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError>;
}
