use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_domain::{MessageId, messages::Message};
use thiserror::Error;

use super::{Epoch, StoreError};
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
    /// As many messages, or bytes, wait to be committed as may. Nothing was stored.
    #[error("the intake is full")]
    Full,
    /// The tenant has its share of what may wait, and others wait too. Nothing was stored.
    #[error("the tenant has its share of the intake")]
    ShareExceeded,
    /// The connection was lost at commit, and asking again did not tell.
    #[error("whether it was committed is unknown")]
    OutcomeUnknown(#[source] StoreError),
    /// It was not stored.
    #[error("it was not stored")]
    Store(#[from] StoreError),
}

/// Why nothing of a batch was accepted.
#[derive(Debug, Error)]
#[error("nothing of the batch was accepted")]
pub struct BatchRefused {
    /// Whose fault it is, by its place; none if it is the whole batch's.
    pub index: Option<usize>,
    /// What is wrong.
    #[source]
    pub error: IntakeError,
}

/// The hot way in. `Ok` means committed: message, payload, key and queue row, or none of them. Bounded: who comes
/// when it is full is told so at once.
#[async_trait]
pub trait MessageIntake: Send + Sync {
    /// Makes a message durable and queues its fan-out in the same transaction.
    async fn accept(&self, scope: &ApplicationScope, message: AcceptMessage)
    -> Result<Accepted, IntakeError>;

    /// Makes all of the messages durable in one transaction, or none. A repetition counts as accepted. Those of equal
    /// keys and bodies are one; of equal keys and other bodies a conflict.
    async fn accept_all(
        &self,
        scope: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused>;
}

/// A message of a batch. Its queue row is due when the message says ([`Message::deliver_at`]), or at once if that has
/// passed by the database's clock.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The message, shared with whoever delivers it.
    pub message: Arc<Message>,
    /// Its deduplication key.
    pub dedup: Option<Dedup>,
    /// Whose its queue row is from the beginning, with claim number 0: a node that delivers it from memory, or
    /// nobody's.
    pub owner: Option<Epoch>,
}

/// A batch that is to be durable whole, in which no key stands twice: what comes with the key of an earlier one is
/// answered as that one.
#[derive(Debug)]
pub struct FoldedBatch {
    rows: Vec<NewMessage>,
    /// Of each message of the batch as it was given, the row that stands for it, and whether it is its own.
    places: Vec<(usize, bool)>,
}

impl FoldedBatch {
    /// Refuses messages of another application, and equal keys of other bodies.
    pub fn of(scope: &ApplicationScope, messages: Vec<AcceptMessage>) -> Result<Self, BatchRefused> {
        let (mut rows, mut places) = (Vec::<NewMessage>::new(), Vec::with_capacity(messages.len()));
        let mut known: HashMap<[u8; 32], usize> = HashMap::new();
        for (index, AcceptMessage { message, dedup }) in messages.into_iter().enumerate() {
            let refuse = |error| BatchRefused {
                index: Some(index),
                error,
            };
            if (message.tenant, message.application) != (scope.tenant(), scope.application()) {
                let fault = "the message is another application's";
                return Err(refuse(StoreError::Internal(fault.into()).into()));
            }
            if let Some(dedup) = &dedup {
                if let Some(row) = known.get(&dedup.key_hash) {
                    let first = rows[*row].dedup.as_ref().map(|first| first.body_hash);
                    if first != Some(dedup.body_hash) {
                        return Err(refuse(IntakeError::KeyConflict));
                    }
                    places.push((*row, false));
                    continue;
                }
                known.insert(dedup.key_hash, rows.len());
            }
            places.push((rows.len(), true));
            rows.push(NewMessage {
                message: Arc::new(message),
                dedup,
                owner: None,
            });
        }
        Ok(Self { rows, places })
    }

    /// What is to be written.
    pub fn rows(&self) -> &[NewMessage] {
        &self.rows
    }

    /// What each message of the batch is answered with, once all of the rows are durable; nothing, if they are to be
    /// written again.
    pub fn answers(&self, written: &[Written]) -> Result<Option<Vec<Accepted>>, BatchRefused> {
        let refuse = |index, error| Err(BatchRefused { index, error });
        if written.len() != self.rows.len() {
            let fault = "a batch was answered with another number of rows";
            return refuse(None, StoreError::Internal(fault.into()).into());
        }
        let mut accepted = Vec::with_capacity(self.places.len());
        for (index, (row, own)) in self.places.iter().enumerate() {
            accepted.push(match (written[*row], own) {
                (Written::KeyConflict, _) => return refuse(Some(index), IntakeError::KeyConflict),
                (Written::Stored { .. }, true) => Accepted::New,
                (Written::Stored { .. }, false) => Accepted::Replayed(self.rows[*row].message.id),
                (Written::Replayed(earlier), _) => Accepted::Replayed(earlier),
                (Written::Again, _) => return Ok(None),
            });
        }
        Ok(Some(accepted))
    }
}

/// What became of a message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable, by this call, or by an earlier one of the same id whose answer was lost.
    Stored {
        /// The version of its application's endpoints, read in the same round trip; 0 if the application is gone.
        endpoints_version: i64,
    },
    /// An earlier publish of the same key and body is durable; this one is not stored.
    Replayed(MessageId),
    /// The key was used with another body; this one is not stored.
    KeyConflict,
    /// The key stood in its way, and was gone when it was looked at: write it again.
    Again,
}

/// Why nothing is known to be written of a batch.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The database refuses a row of it, each time: nothing was written. Write it in parts to find the row.
    #[error("a row is refused")]
    Refused(#[source] StoreError),
    /// Nothing was written; later it may be.
    #[error("the database is away or busy")]
    Unavailable(#[source] StoreError),
    /// The connection was lost under way: all of it may be committed, or nothing. Writing it again, with the same
    /// ids, tells.
    #[error("whether it was committed is unknown")]
    Unknown(#[source] StoreError),
}

/// Writes accepted messages, in batches. A fixed number of statements, whatever the batch.
#[async_trait]
pub trait MessageWriter: Send + Sync {
    /// Makes a batch durable in one transaction: each message with its payload, its key and its queue row, or none
    /// of them. Answers for each, in the order of the batch. Repeating a batch changes nothing.
    ///
    /// An id that another message has already makes the batch [`WriteError::Refused`]; it is never answered as
    /// [`Written::Stored`].
    ///
    /// No id and no key may be in a batch twice. Batches with the same keys may be written at the same time,
    /// in any order.
    async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;

    /// As [`Self::write`], but commits only if each is [`Written::Stored`] or [`Written::Replayed`]; otherwise nothing
    /// is written, and the answers say whose fault it is: then `Stored` says only that it would have been.
    async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;

    /// What the database is called, by OpenTelemetry's conventions.
    fn system(&self) -> &'static str {
        "other_sql"
    }

    /// Removes up to `limit` deduplication keys whose window has passed, of any tenant; answers how many. Only
    /// housekeeping: an expired key counts as absent either way.
    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
}
