//! Ways in that are not the product's.

use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    ports::{AcceptMessage, Accepted, BatchRefused, IntakeError, MessageIntake, StoreError},
};

use crate::storage::{Row, Storage};

/// Says yes to everything and keeps nothing.
pub(crate) struct Discard;

#[async_trait]
impl MessageIntake for Discard {
    async fn accept(&self, _: &ApplicationScope, _: AcceptMessage) -> Result<Accepted, IntakeError> {
        Ok(Accepted::New)
    }

    async fn accept_all(
        &self,
        _: &ApplicationScope,
        messages: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        Ok(vec![Accepted::New; messages.len()])
    }
}

/// Stores each message by a transaction of its own, as one would at first: begin, a statement a table, commit.
pub(crate) struct Plain {
    storage: Storage,
}

impl Plain {
    /// In this database.
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage }
    }
}

#[async_trait]
impl MessageIntake for Plain {
    async fn accept(&self, _: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted, IntakeError> {
        let message = accept.message;
        let row = Row {
            id: message.id.as_uuid(),
            tenant: message.tenant.as_uuid(),
            application: message.application.as_uuid(),
            created_at: message.created_at.as_micros(),
            body: message.payload.bytes().clone(),
        };
        let stored = self.storage.insert_one(&row).await;
        stored.map_err(|error| IntakeError::Store(StoreError::Unavailable(error.into())))?;
        Ok(Accepted::New)
    }

    /// Nobody measures this one.
    async fn accept_all(
        &self,
        _: &ApplicationScope,
        _: Vec<AcceptMessage>,
    ) -> Result<Vec<Accepted>, BatchRefused> {
        let cause = StoreError::Internal("batches are not stored this way".into());
        Err(BatchRefused {
            index: None,
            error: IntakeError::Store(cause),
        })
    }
}
