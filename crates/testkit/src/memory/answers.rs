use async_trait::async_trait;
use postrider_application::ports::{AnswerKey, Answers, KeptAnswer, NewAnswer, StoreError, UniqueRule};
use postrider_domain::Timestamp;

use super::{
    state::{State, fault},
    store::MemoryStore,
};

/// An answer, and until when it is kept.
#[derive(Debug)]
pub(super) struct Answer {
    answer: KeptAnswer,
    pub(super) expires_at: Timestamp,
}

impl State {
    /// Whether nothing keeps the answer from being kept.
    pub(super) fn may_keep(&self, new: &NewAnswer, now: Timestamp) -> Result<(), StoreError> {
        if new.answer.bytes.len() > NewAnswer::MAX_BYTES {
            return Err(fault("an answer is too large to be kept"));
        }
        match self.answers.get(&new.key) {
            Some(kept) if kept.expires_at > now => Err(StoreError::Conflict(UniqueRule::IdempotencyKey)),
            _ => Ok(()),
        }
    }

    pub(super) fn keep(&mut self, new: NewAnswer, now: Timestamp) {
        let answer = Answer {
            answer: new.answer,
            expires_at: now.plus(new.window),
        };
        self.answers.insert(new.key, answer);
    }
}

#[async_trait]
impl Answers for MemoryStore {
    async fn find(&self, key: &AnswerKey) -> Result<Option<KeptAnswer>, StoreError> {
        let (state, now) = (self.state(), self.now());
        let kept = state.answers.get(key).filter(|kept| kept.expires_at > now);
        Ok(kept.map(|kept| kept.answer.clone()))
    }

    async fn keep(&self, answer: NewAnswer) -> Result<(), StoreError> {
        let _turn = self.turn().await;
        let now = self.now();
        let mut state = self.state();
        state.may_keep(&answer, now)?;
        state.keep(answer, now);
        Ok(())
    }
}
