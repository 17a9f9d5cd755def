//! Retention: rows go one by one.

use async_trait::async_trait;
use postrider_application::ports::{
    EventReaders, RelayCursors as _, Removed, Retention, RetentionPolicy, StoreError,
};
use postrider_domain::{MessageId, Timestamp};
use std::collections::BTreeSet;

use super::{housekeeping::takes, state::State, store::MemoryStore};

#[async_trait]
impl Retention for MemoryStore {
    async fn remove_old(
        &self,
        policy: &RetentionPolicy,
        needed: Option<i64>,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let mut removed = Removed::default();
        let mut count = |left: u32| {
            removed.rows += u64::from(limit - left);
            removed.more |= left == 0;
        };
        let before = |kept| Option::map(kept, |kept| now.minus(kept));
        if let Some(before) = before(policy.attempts) {
            let gone = state.old_messages(before);
            let mut left = limit;
            state
                .hot
                .attempts
                .retain(|(message, ..), _| !takes(&mut left, gone.contains(message)));
            count(left);
        }
        if let Some(before) = before(policy.messages) {
            let gone = state.old_messages(before);
            let (mut left, mut left_messages) = (limit, limit);
            state
                .hot
                .deliveries
                .retain(|(message, _), _| !takes(&mut left, gone.contains(message)));
            let there = |message: &MessageId| gone.contains(message);
            state
                .hot
                .messages
                .retain(|message, _| !takes(&mut left_messages, there(message)));
            count(left);
            count(left_messages);
        }
        if let Some(before) = before(policy.audit) {
            let mut left = limit;
            state
                .audit
                .retain(|_, entry| !takes(&mut left, entry.at < before));
            count(left);
        }
        if let (Some(_), Some(last)) = (policy.events, state.events.last().map(|event| event.position)) {
            // Events keep no time here: all that was read is old enough.
            let mut left = limit;
            let end = needed.unwrap_or(i64::MAX).min(last);
            state
                .events
                .retain(|event| !takes(&mut left, event.position < end));
            count(left);
        }
        Ok(removed)
    }
}

#[async_trait]
impl EventReaders for MemoryStore {
    async fn least_needed(&self) -> Result<Option<i64>, StoreError> {
        let done = self.all_done_up_to().await?;
        Ok(Some(done.saturating_add(1)))
    }
}

impl State {
    /// Messages of before that time to which nothing in the queue refers.
    fn old_messages(&self, before: Timestamp) -> BTreeSet<MessageId> {
        let queued: BTreeSet<_> = self.hot.work.values().map(|row| row.message).collect();
        let messages = self.hot.messages.values();
        messages
            .filter(|message| message.created_at < before && !queued.contains(&message.id))
            .map(|message| message.id)
            .collect()
    }
}
