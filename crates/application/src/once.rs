//! Commands that are done once, however often they are asked for: idempotency keys.
//!
//! A caller who gives a key may repeat a command whose answer was lost: it is done once, and answered the same. The
//! answer is stored in the very transaction of the change ([`crate::audit::Record::answering`]), so there is no moment
//! at which one is there without the other.
//!
//! A key is its caller's own, and stands for one question: another one under the same key is a conflict. Errors are not
//! kept. What was shown of secrets is not stored: it is up to whoever makes the bytes of an answer to leave it out.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postrider_domain::messages::DedupKey;
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorCode, Result,
    access::{Caller, Identity},
    audit::Actor,
    ports::{AnswerKey, KeptAnswer, NewAnswer},
};

/// The key that a caller gave, and what they asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceKey {
    /// The key.
    pub key: DedupKey,
    /// What stands for all that the command is: where it was sent, and its bytes.
    pub asked: [u8; 32],
    /// What else may stand for the same: a key is being replaced.
    pub also: Vec<[u8; 32]>,
}

/// The answer of a command that may have been done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once<T> {
    /// It was done now.
    Fresh(T),
    /// It was done before; the bytes that were kept of the answer.
    Replayed(Vec<u8>),
}

/// Makes the bytes that are kept of an output; `None` if it is not of the type that was meant.
type Render = dyn Fn(&dyn Any) -> Option<Vec<u8>> + Send + Sync;

/// A command that is on its way with a key: part of its [`crate::audit::Occasion`].
#[derive(Clone)]
pub(crate) struct Asking(Arc<Inner>);

struct Inner {
    key: AnswerKey,
    asked: [u8; 32],
    also: Vec<[u8; 32]>,
    window: Duration,
    render: Box<Render>,
    /// Whether the audit log was to be told of a change.
    changing: AtomicBool,
    /// Whether a unit of work was given the answer.
    answered: AtomicBool,
}

impl Asking {
    pub(crate) fn new<T: 'static>(
        caller: &Caller,
        key: &OnceKey,
        window: Duration,
        render: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let tenant = match &caller.identity {
            Identity::Principal(principal) => Some(principal.tenant),
            Identity::Anonymous | Identity::Operator(_) => None,
        };
        let actor = Actor::of(caller);
        let (kind, text) = key.key.tagged();
        let parts = [actor.kind.as_str(), &*actor.id, kind, text];
        Self(Arc::new(Inner {
            key: AnswerKey {
                tenant,
                hash: hash(&parts.map(str::as_bytes)),
            },
            asked: key.asked,
            also: key.also.clone(),
            window,
            render: Box::new(move |output| output.downcast_ref().map(&render)),
            changing: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        }))
    }

    pub(crate) fn key(&self) -> &AnswerKey {
        &self.0.key
    }

    /// What is to be kept of `output`, which is about to be committed with what it tells of.
    pub(crate) fn answer(&self, output: &dyn Any) -> Option<NewAnswer> {
        let bytes = (self.0.render)(output)?;
        self.0.answered.store(true, Ordering::Relaxed);
        Some(NewAnswer {
            key: self.0.key,
            answer: KeptAnswer {
                asked: self.0.asked,
                bytes,
            },
            window: self.0.window,
        })
    }

    /// The audit log is to be told of a change.
    pub(crate) fn changes_something(&self) {
        self.0.changing.store(true, Ordering::Relaxed);
    }

    /// Whether something was changed and its unit of work was not given the answer: a fault of the handler's.
    pub(crate) fn was_forgotten(&self) -> bool {
        self.0.changing.load(Ordering::Relaxed) && !self.was_answered()
    }

    /// Whether a unit of work was given the answer.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// The bytes of an answer that is there, if it answers what is asked now.
    pub(crate) fn replay(&self, kept: KeptAnswer) -> Result<Vec<u8>> {
        if kept.asked == self.0.asked || self.0.also.contains(&kept.asked) {
            return Ok(kept.bytes);
        }
        Err(Error::new(
            ErrorCode::IdempotencyConflict,
            "an earlier request with this key had another path or another body",
        ))
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.0.key).finish()
    }
}

/// One asking is only ever itself.
impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Asking {}

/// SHA-256 of the parts, each with its length before it, so that no two lists of parts collide.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
