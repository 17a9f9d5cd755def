use std::{sync::Arc, time::Duration};

use postrider_domain::{
    MessageId,
    access::Permission,
    applications::ApplicationRef,
    event_types::EventTypeName,
    messages::{Channels, DedupKey, Message, Payload},
};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{
        AcceptMessage, Accepted, Clock, Dedup, Ids, IntakeError, MessageIntake, StoreError, TracePropagation,
        WorkSignal,
    },
};

/// Publishes one event to one application. When it is answered, the message is durable.
#[derive(Debug)]
pub struct PublishMessage {
    /// The application that receives it.
    pub application: ApplicationRef,
    /// What happened.
    pub event_type: EventTypeName,
    /// What is delivered.
    pub payload: Payload,
    /// Where in the application it happened.
    pub channels: Channels,
    /// What makes a repeated publish recognisable.
    pub dedup_key: Option<DedupKey>,
}

/// A message that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The message; an earlier one, if this was a repetition.
    pub id: MessageId,
    /// Whether an earlier publish of the same key and body is answered.
    pub replayed: bool,
}

impl Request for PublishMessage {
    type Output = Published;
    type Access = OnApplication;
    const NAME: &'static str = "message.publish";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::MessagesPublish)
    }
}

/// Serves [`PublishMessage`]. It needs no store: the hot way in is a port of its own.
pub struct PublishMessageHandler<S> {
    intake: Arc<dyn MessageIntake>,
    work_signal: Arc<dyn WorkSignal>,
    trace: Arc<dyn TracePropagation>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    dedup_window: Duration,
    store: std::marker::PhantomData<fn() -> S>,
}

impl<S> PublishMessageHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            intake: ports.intake.clone(),
            work_signal: ports.work_signal.clone(),
            trace: ports.trace.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            dedup_window: settings.dedup_window,
            store: std::marker::PhantomData,
        }
    }
}

impl<S> Handles<PublishMessage> for PublishMessageHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: PublishMessage) -> Result<Published, Error> {
        let event_id = match &request.dedup_key {
            Some(DedupKey::EventId(id)) => Some(id.clone()),
            _ => None,
        };
        let message = Message {
            id: MessageId::from_uuid(self.ids.next()),
            tenant: scope.tenant(),
            application: scope.application(),
            event_type: request.event_type,
            channels: request.channels,
            event_id,
            payload: request.payload,
            created_at: self.clock.now(),
            trace: self.trace.current(),
        };
        let id = message.id;
        let dedup = request.dedup_key.map(|key| {
            let (kind, text) = key.tagged();
            Dedup {
                key_hash: hash(&[kind.as_bytes(), text.as_bytes()]),
                body_hash: hash(&message.fingerprint_parts()),
                window: self.dedup_window,
            }
        });
        match self
            .intake
            .accept(&scope, AcceptMessage { message, dedup })
            .await
            .map_err(refusal)?
        {
            Accepted::New => {
                self.work_signal.work_queued();
                Ok(Published { id, replayed: false })
            }
            Accepted::Replayed(id) => Ok(Published { id, replayed: true }),
        }
    }
}

/// SHA-256 of the parts, each with its length before it, so that no two lists of parts collide.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn refusal(error: IntakeError) -> Error {
    match error {
        IntakeError::KeyConflict => Error::new(
            ErrorCode::IdempotencyConflict,
            "an earlier publish with this key had a different event type, channels or payload",
        ),
        IntakeError::OutcomeUnknown(cause) => Error::new(
            ErrorCode::OutcomeUnknown,
            "the message may or may not have been accepted: repeat with the same event_id or Idempotency-Key",
        )
        .caused_by(cause),
        IntakeError::Store(cause @ StoreError::Unavailable(_)) => {
            Error::new(ErrorCode::Unavailable, "the message was not accepted: try again").caused_by(cause)
        }
        IntakeError::Store(cause) => cause.into(),
    }
}
