use std::{sync::Arc, time::Duration};

use postrider_domain::{
    MessageId,
    event_types::EventTypeName,
    messages::{Channels, DedupKey, Message, Payload, ScheduleBounds},
};
use sha2::{Digest as _, Sha256};

use postrider_domain::Timestamp;

use super::vetting::Vetting;
use crate::{
    Error, ErrorCode, Ports, Result, Settings, Violation,
    access::ApplicationScope,
    ports::{
        AcceptMessage, ApplicationDirectory, Clock, Dedup, Ids, IntakeError, StoreError, TracePropagation,
    },
};

/// What is to be published to an application.
#[derive(Debug, Clone)]
pub struct MessageDraft {
    /// What happened.
    pub event_type: EventTypeName,
    /// What is delivered.
    pub payload: Payload,
    /// The field that the caller gave the payload in, to name it by.
    pub payload_field: &'static str,
    /// Where in the application it happened.
    pub channels: Channels,
    /// What makes a repeated publish recognisable.
    pub dedup_key: Option<DedupKey>,
    /// Not before when it is to be delivered; none: at once.
    pub deliver_at: Option<Timestamp>,
}

/// A message that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The message; an earlier one, if this was a repetition.
    pub id: MessageId,
    /// Whether an earlier publish of the same key and body is answered.
    pub replayed: bool,
    /// Where the payload is not as its event type's schema says, if the tenant wants to be warned.
    pub warnings: Vec<Violation>,
}

/// Makes messages of drafts.
pub(super) struct Drafts {
    directory: Arc<dyn ApplicationDirectory>,
    vetting: Vetting,
    trace: Arc<dyn TracePropagation>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    dedup_window: Duration,
    bounds: ScheduleBounds,
}

impl Drafts {
    pub(super) fn new<S>(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            directory: ports.directory.clone(),
            vetting: Vetting::new(ports),
            trace: ports.trace.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            dedup_window: settings.dedup_window,
            bounds: ScheduleBounds {
                horizon: settings.schedule_horizon,
                past: settings.dedup_window,
            },
        }
    }

    /// The message that the draft becomes, and what is to be warned of.
    pub(super) async fn accept(
        &self,
        scope: &ApplicationScope,
        draft: MessageDraft,
    ) -> Result<(AcceptMessage, Vec<Violation>)> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        if self.directory.is_operational(tenant, application).await? {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "only the system publishes to the application `operational`: its endpoints trust what it says",
            ));
        }
        let now = self.clock.now();
        let deliver_at = draft.deliver_at.map(|at| self.bounds.check(at, now));
        let deliver_at = deliver_at
            .transpose()
            .map_err(|invalid| Error::invalid_field("deliver_at", invalid))?;
        let warnings = self
            .vetting
            .vet(scope, &draft.event_type, &draft.payload, draft.payload_field)
            .await?;
        let event_id = match &draft.dedup_key {
            Some(DedupKey::EventId(id)) => Some(id.clone()),
            _ => None,
        };
        let message = Message {
            id: MessageId::from_uuid(self.ids.next()),
            tenant: scope.tenant(),
            application: scope.application(),
            event_type: draft.event_type,
            channels: draft.channels,
            event_id,
            payload: draft.payload,
            created_at: now,
            trace: self.trace.current(),
            deliver_at,
        };
        let mut time = [0; 8];
        let dedup = draft.dedup_key.map(|key| {
            let (kind, text) = key.tagged();
            let mut body = message.fingerprint_parts(&mut time);
            body.extend(key.batch().map(|batch| &batch[..]));
            Dedup {
                key_hash: hash(&[kind.as_bytes(), text.as_bytes()]),
                body_hash: hash(&body),
                window: self.dedup_window,
            }
        });
        Ok((AcceptMessage { message, dedup }, warnings))
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

/// What the caller is told of a message that was not accepted.
pub(crate) fn refusal(error: IntakeError) -> Error {
    match error {
        IntakeError::KeyConflict => Error::new(
            ErrorCode::IdempotencyConflict,
            "an earlier publish with this key had a different event type, channels, payload or time",
        ),
        IntakeError::Full => Error::new(
            ErrorCode::IntakeFull,
            "the message was not accepted: as many wait to be stored as may; try again in a moment",
        ),
        IntakeError::ShareExceeded => Error::new(
            ErrorCode::IntakeShareExceeded,
            "the message was not accepted: too many messages of this tenant wait to be stored; send fewer at a time",
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
