//! Retention: rows go one by one.

use std::collections::BTreeSet;

use async_trait::async_trait;
use postrider_application::ports::{
    EventReaders, RelayCursors as _, Removed, Retention, RetentionPolicy, StoreError,
};
use postrider_domain::{MessageId, Timestamp};

use super::{hot::Hot, housekeeping::takes, state::State, store::MemoryStore};

#[async_trait]
impl Retention for MemoryStore {
    async fn remove_old(
        &self,
        policy: &RetentionPolicy,
        needed: Option<i64>,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let before = |kept| Option::map(kept, |kept| now.minus(kept));
        let mut removed = Removed::default();
        let mut count = |left: u32| {
            removed.rows += u64::from(limit - left);
            removed.more |= left == 0;
        };
        if let Some(before) = before(policy.attempts) {
            count(state.hot.remove_attempts(before, limit));
        }
        if let Some(before) = before(policy.payloads) {
            let old: Vec<MessageId> = state.hot.old_messages(before).into_iter().collect();
            let mut left = limit;
            state.hot.remove_payloads(&old, &mut left);
            count(left);
        }
        if let Some(before) = before(policy.messages) {
            for left in state.hot.remove_messages(before, limit) {
                count(left);
            }
        }
        if let Some(before) = before(policy.audit) {
            let mut left = limit;
            state
                .audit
                .retain(|_, entry| !takes(&mut left, entry.at < before));
            count(left);
        }
        if let Some(before) = before(policy.events) {
            count(state.remove_events(before, needed, limit));
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

/// Each removes no more than `limit` rows of a table, and answers how many more it might have.
impl Hot {
    /// Messages of before that time to which nothing in the queue refers.
    fn old_messages(&self, before: Timestamp) -> BTreeSet<MessageId> {
        let queued: BTreeSet<_> = self.work.values().map(|row| row.message).collect();
        let messages = self.messages.values();
        messages
            .filter(|message| message.created_at < before && !queued.contains(&message.id))
            .map(|message| message.id)
            .collect()
    }

    fn remove_attempts(&mut self, before: Timestamp, limit: u32) -> u32 {
        let (old, mut left) = (self.old_messages(before), limit);
        let Self {
            attempts, messages, ..
        } = self;
        let gone = |id: &MessageId| old.contains(id) || !messages.contains_key(id);
        attempts.retain(|(message, ..), _| !takes(&mut left, gone(message)));
        left
    }

    /// The messages go first: one without its deliveries would look as though it had never been sent.
    fn remove_messages(&mut self, before: Timestamp, limit: u32) -> [u32; 2] {
        let old = self.old_messages(before);
        let (mut left, mut left_deliveries) = (limit, limit);
        let Self {
            messages,
            fates,
            deliveries,
            ..
        } = self;
        messages.retain(|id, _| !takes(&mut left, old.contains(id)));
        fates.retain(|id, _| messages.contains_key(id));
        deliveries.retain(|(message, _), _| !takes(&mut left_deliveries, !messages.contains_key(message)));
        [left, left_deliveries]
    }

    /// Removes the payloads of these messages that are there, as long as any are `left` to take.
    pub(super) fn remove_payloads(&mut self, of: &[MessageId], left: &mut u32) {
        for id in of {
            if takes(left, self.has_payload(*id)) {
                self.fates.entry(*id).or_default().has_no_payload = true;
            }
        }
    }
}

impl State {
    /// The last one stays: whoever begins at the end of the log must find it.
    fn remove_events(&mut self, before: Timestamp, needed: Option<i64>, limit: u32) -> u32 {
        let (end, mut left) = (needed.unwrap_or(i64::MAX).min(self.head()), limit);
        self.events.retain(|event| {
            let meant = event.position < end && event.recorded_at < before;
            !takes(&mut left, meant)
        });
        left
    }
}
