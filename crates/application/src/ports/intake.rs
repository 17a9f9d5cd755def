use std::time::Duration;

use async_trait::async_trait;
use postrider_domain::{MessageId, messages::Message};
use thiserror::Error;

use super::StoreError;
use crate::access::ApplicationScope;

/// What makes a repeated publish recognisable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// SHA-256 of the kind of key and the key.
    pub key_hash: [u8; 32],
    /// SHA-256 of what was published: the same body is a replay, another a conflict.
    pub body_hash: [u8; 32],
    /// How long the key is remembered.
    pub window: Duration,
}

/// A message to be made durable.
#[derive(Debug, Clone)]
pub struct AcceptMessage {
    /// The message.
    pub message: Message,
    /// Its deduplication key, if the caller gave one.
    pub dedup: Option<Dedup>,
}

/// A message that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is, from now on.
    New,
    /// It was already: an earlier publish of the same key and body.
    Replayed(MessageId),
}

/// Why a message was not accepted.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// The key was used with another body.
    #[error("the key was used with a different body")]
    KeyConflict,
    /// The connection was lost at commit, and asking again did not tell.
    #[error("whether it was committed is unknown")]
    OutcomeUnknown(#[source] StoreError),
    /// It was not stored.
    #[error("it was not stored")]
    Store(#[from] StoreError),
}

/// The hot way in. `Ok` means committed: message, payload, key and queue row, or none of them.
#[async_trait]
pub trait MessageIntake: Send + Sync {
    /// Makes a message durable and queues its fan-out in the same transaction.
    async fn accept(&self, scope: &ApplicationScope, message: AcceptMessage)
    -> Result<Accepted, IntakeError>;

    /// Removes up to `limit` deduplication keys whose window has passed, of any tenant; answers how many. Only
    /// housekeeping: an expired key counts as absent either way.
    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
}
