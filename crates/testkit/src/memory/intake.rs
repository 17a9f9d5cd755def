use std::sync::Arc;

use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    ports::{AcceptMessage, Accepted, IntakeError, MessageIntake, StoreError},
};
use postrider_domain::WorkId;

use super::{
    hot::{NOBODY, Remembered, Work},
    state::fault,
    store::MemoryStore,
};

#[async_trait]
impl MessageIntake for MemoryStore {
    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        let AcceptMessage { message, dedup } = accept;
        if (message.tenant, message.application) != (scope.tenant(), scope.application()) {
            return Err(fault("a message of another application").into());
        }
        let (mut state, now) = (self.state(), self.now());
        let hot = &mut state.hot;
        if let Some(dedup) = dedup {
            let key = (message.tenant, message.application, dedup.key_hash);
            match hot.dedup.get(&key) {
                Some(known) if known.expires_at <= now => {}
                // A rerun after an answer that was lost: it is this very publish that was committed.
                Some(known) if known.message == message.id => return Ok(Accepted::New),
                Some(known) if known.body_hash == dedup.body_hash => {
                    return Ok(Accepted::Replayed(known.message));
                }
                Some(_) => return Err(IntakeError::KeyConflict),
                None => {}
            }
            let remembered = Remembered {
                body_hash: dedup.body_hash,
                message: message.id,
                expires_at: now.plus(dedup.window),
            };
            hot.dedup.insert(key, remembered);
        }
        if let Some(known) = hot.messages.get(&message.id) {
            return if **known == message {
                Ok(Accepted::New)
            } else {
                Err(fault("the id of another message").into())
            };
        }
        let fan_out = Work {
            tenant: message.tenant,
            application: message.application,
            message: message.id,
            endpoint: None,
            due_at: now,
            owner: NOBODY,
            claim: 0,
            attempts: 0,
            failures: 0,
            seq: hot.next_seq(),
        };
        hot.work.insert(WorkId::from(message.id), fan_out);
        hot.messages.insert(message.id, Arc::new(message));
        Ok(Accepted::New)
    }

    async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError> {
        let (mut state, now) = (self.state(), self.now());
        let dedup = &mut state.hot.dedup;
        let expired = dedup.iter().filter(|(_, known)| known.expires_at <= now);
        let keys: Vec<_> = expired.map(|(key, _)| *key).take(limit as usize).collect();
        let forgotten = keys.iter().filter(|key| dedup.remove(key).is_some()).count();
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }
}
