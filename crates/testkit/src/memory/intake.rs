use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    ports::{
        AcceptMessage, Accepted, BatchRefused, FoldedBatch, IntakeError, MessageIntake, MessageWriter,
        NewMessage, StoreError, WriteError, Written,
    },
};
use postrider_domain::{Timestamp, WorkId, messages::Message};

use super::{
    hot::{Hot, NOBODY, Remembered, Work},
    state::{State, fault},
    store::MemoryStore,
};

/// A way in that writes each message by itself, for tests that have no engine. Nobody is told of what is queued.
pub struct DirectIntake<W: ?Sized = dyn MessageWriter>(pub Arc<W>);

#[async_trait]
impl<W: MessageWriter + ?Sized> MessageIntake for DirectIntake<W> {
    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        write_alone(&*self.0, scope, accept).await
    }

    async fn accept_all(
        &self,
        scope: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        write_together(&*self.0, scope, messages).await
    }
}

#[async_trait]
impl MessageIntake for MemoryStore {
    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        write_alone(self, scope, accept).await
    }

    async fn accept_all(
        &self,
        scope: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        write_together(self, scope, messages).await
    }
}

async fn write_together(
    writer: &(impl MessageWriter + ?Sized),
    scope: &ApplicationScope,
    messages: Vec<AcceptMessage>,
) -> Result<Vec<Accepted>, BatchRefused> {
    let whole = |error| BatchRefused { index: None, error };
    let folded = FoldedBatch::of(scope, messages)?;
    loop {
        let written = writer.write_all(folded.rows()).await;
        let written = written.map_err(|error| whole(not_written(error)))?;
        if let Some(accepted) = folded.answers(&written)? {
            return Ok(accepted);
        }
    }
}

async fn write_alone(
    writer: &(impl MessageWriter + ?Sized),
    scope: &ApplicationScope,
    accept: AcceptMessage,
) -> Result<Accepted, IntakeError> {
    let AcceptMessage { message, dedup } = accept;
    if (message.tenant, message.application) != (scope.tenant(), scope.application()) {
        return Err(fault("a message of another application").into());
    }
    let batch = [NewMessage {
        message: Arc::new(message),
        dedup,
        owner: None,
    }];
    loop {
        let written = writer.write(&batch).await.map_err(not_written)?;
        match written.first() {
            Some(Written::Stored { .. }) => return Ok(Accepted::New),
            Some(Written::Replayed(id)) => return Ok(Accepted::Replayed(*id)),
            Some(Written::KeyConflict) => return Err(IntakeError::KeyConflict),
            Some(Written::Again) => {}
            None => return Err(fault("a message without an answer").into()),
        }
    }
}

fn not_written(error: WriteError) -> IntakeError {
    match error {
        WriteError::Refused(why) | WriteError::Unavailable(why) => IntakeError::Store(why),
        WriteError::Unknown(why) => IntakeError::OutcomeUnknown(why),
    }
}

#[async_trait]
impl MessageWriter for MemoryStore {
    async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let (mut state, now) = (self.state(), self.now());
        // Nothing is written before everything was looked at: a fault refuses the batch whole.
        state.hot.may_write(batch, now).map_err(WriteError::Refused)?;
        Ok(batch.iter().map(|new| state.write(new, now)).collect())
    }

    async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError> {
        let (mut state, now) = (self.state(), self.now());
        state.hot.may_write(batch, now).map_err(WriteError::Refused)?;
        let earlier: Vec<_> = batch.iter().map(|new| state.hot.earlier(new, now)).collect();
        if !earlier.contains(&Some(Written::KeyConflict)) {
            return Ok(batch.iter().map(|new| state.write(new, now)).collect());
        }
        let answer = |(new, earlier): (&NewMessage, Option<Written>)| {
            let message = &new.message;
            earlier.unwrap_or_else(|| Written::Stored {
                endpoints_version: state
                    .configuration
                    .endpoints_version(message.tenant, message.application),
            })
        };
        Ok(batch.iter().zip(earlier).map(answer).collect())
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

impl State {
    fn write(&mut self, new: &NewMessage, now: Timestamp) -> Written {
        let message = &new.message;
        if let Some(known) = self.hot.earlier(new, now) {
            return known;
        }
        let hot = &mut self.hot;
        if let Some(dedup) = &new.dedup {
            let remembered = Remembered {
                body_hash: dedup.body_hash,
                message: message.id,
                expires_at: now.plus(dedup.window),
            };
            let key = (message.tenant, message.application, dedup.key_hash);
            hot.dedup.insert(key, remembered);
        }
        // If it is there already, this is a rerun after an answer that was lost.
        if hot.messages.insert(message.id, message.clone()).is_none() {
            let fan_out = Work {
                tenant: message.tenant,
                application: message.application,
                message: message.id,
                endpoint: None,
                due_at: message.deliver_at.map_or(now, |at| at.max(now)),
                owner: new.owner.map_or(NOBODY, |node| node.0),
                claim: 0,
                attempts: 0,
                failures: 0,
                seq: hot.next_seq(),
                payload_bytes: hot.payload_bytes(message.id),
                asked_for: false,
                asked_in: None,
            };
            hot.work.insert(WorkId::from(message.id), fan_out);
        }
        let endpoints_version = self
            .configuration
            .endpoints_version(message.tenant, message.application);
        Written::Stored { endpoints_version }
    }
}

impl Hot {
    /// What became of a message whose key was used by another before, within its window.
    fn earlier(&self, new: &NewMessage, now: Timestamp) -> Option<Written> {
        let (message, dedup) = (&new.message, new.dedup.as_ref()?);
        let known = self
            .dedup
            .get(&(message.tenant, message.application, dedup.key_hash))?;
        if known.expires_at <= now || known.message == message.id {
            // Of the same id: a rerun after an answer that was lost.
            None
        } else if known.body_hash == dedup.body_hash {
            Some(Written::Replayed(known.message))
        } else {
            Some(Written::KeyConflict)
        }
    }

    /// Refuses what a database would refuse each time, and what must not be asked for.
    fn may_write(&self, batch: &[NewMessage], now: Timestamp) -> Result<(), StoreError> {
        let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
        for new in batch {
            let message = &new.message;
            let key = new.dedup.as_ref().map(|dedup| dedup.key_hash);
            let first_of_key = key.is_none_or(|key| keys.insert((message.tenant, message.application, key)));
            if !ids.insert(message.id) || !first_of_key {
                return Err(fault("a message or a key that is in the batch twice"));
            }
            if self.earlier(new, now).is_some() {
                continue;
            }
            let another = |known: &Arc<Message>| known != message;
            if self.messages.get(&message.id).is_some_and(another) {
                return Err(fault("the id of another message"));
            }
            // Texts of PostgreSQL hold no NUL.
            let event_id = message.event_id.as_deref().unwrap_or_default();
            if event_id.contains('\0') {
                return Err(fault("a NUL in a text"));
            }
        }
        Ok(())
    }
}
