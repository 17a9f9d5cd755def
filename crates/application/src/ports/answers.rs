use std::{fmt, time::Duration};

use async_trait::async_trait;
use postrider_domain::TenantId;

use super::StoreError;

/// What a command with an idempotency key is found by: whose key it is, and which. Made by the mediator only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// In which tenant the caller acts; none: the operator.
    pub tenant: Option<TenantId>,
    /// SHA-256 of who calls and of the key.
    pub hash: [u8; 32],
}

/// What a command was answered, kept for whoever repeats it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What stands for what was asked.
    pub asked: [u8; 32],
    /// The answer, in the words of whoever asked; never with a secret.
    pub bytes: Vec<u8>,
}

/// An answer holds names and addresses: it has no place in a log.
impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptAnswer({} bytes)", self.bytes.len())
    }
}

/// An answer to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnswer {
    /// What it is found by.
    pub key: AnswerKey,
    /// The answer.
    pub answer: KeptAnswer,
    /// How long it is kept, by the store's clock.
    pub window: Duration,
}

impl NewAnswer {
    /// The most bytes of an answer: twice the largest resource that a request may describe. Stores refuse more.
    pub const MAX_BYTES: usize = 1024 * 1024;
}

/// Answers of commands that were given with an idempotency key. With a change they are kept by its own unit of work
/// ([`super::UnitOfWork::commit`]); here are the other two ways to them.
#[async_trait]
pub trait Answers: Send + Sync {
    /// What was answered under that key, unless its time is over.
    async fn find(&self, key: &AnswerKey) -> Result<Option<KeptAnswer>, StoreError>;

    /// Keeps the answer of a command that changed nothing. If there is one under that key:
    /// [`StoreError::Conflict`] with [`super::UniqueRule::IdempotencyKey`].
    async fn keep(&self, answer: NewAnswer) -> Result<(), StoreError>;
}
