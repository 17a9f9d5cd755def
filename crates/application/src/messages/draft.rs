use std::{sync::Arc, time::Duration};

use postrider_domain::{
    MessageId,
    event_types::EventTypeName,
    messages::{Channels, DedupKey, Message, Payload, ScheduleBounds, TraceParent},
};
use sha2::{Digest as _, Sha256};
use tracing::{Span, field::Empty};

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

/// A message that can be accepted.
pub(super) struct Drafted {
    /// What is to be accepted.
    pub(super) accept: AcceptMessage,
    /// What is to be warned of.
    pub(super) warnings: Vec<Violation>,
    /// The span in whose context it is delivered: of its publishing, which ends when it is durable. None at all, if
    /// nobody records the trace.
    pub(super) span: Span,
}

/// How a message comes to be, for OpenTelemetry's conventions of messaging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publishing {
    /// By itself: its span is that of its being sent.
    Alone,
    /// With others that are durable with it, or not at all: they are sent together afterwards, by a span of their own.
    InBatch,
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
        publishing: Publishing,
    ) -> Result<Drafted> {
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
        let id = MessageId::from_uuid(self.ids.next());
        let (trace, span) = self.producing(scope, id, &draft.payload, publishing);
        let message = Message {
            id,
            tenant: scope.tenant(),
            application: scope.application(),
            event_type: draft.event_type,
            channels: draft.channels,
            event_id,
            payload: draft.payload,
            created_at: now,
            trace,
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
        Ok(Drafted {
            accept: AcceptMessage { message, dedup },
            warnings,
            span,
        })
    }

    /// The context that the message is delivered in, and the span that it is of, if it is recorded.
    fn producing(
        &self,
        scope: &ApplicationScope,
        id: MessageId,
        payload: &Payload,
        publishing: Publishing,
    ) -> (Option<TraceParent>, Span) {
        let current = self.trace.current();
        if !current.as_ref().is_some_and(TraceParent::is_sampled) {
            return (current, Span::none());
        }
        let (name, kind) = match publishing {
            Publishing::Alone => ("publish", "send"),
            Publishing::InBatch => ("create", "create"),
        };
        let span = tracing::info_span!(
            "publish",
            otel.name = name,
            otel.kind = "producer",
            otel.status_code = Empty,
            error.r#type = Empty,
            messaging.system = "postrider",
            messaging.operation.name = name,
            messaging.operation.r#type = kind,
            messaging.destination.name = %scope.application(),
            messaging.message.id = %id,
            messaging.message.body.size = whole(payload.bytes().len()),
            // Of a repetition: the message that was there before.
            replayed = Empty,
        );
        let own = span.in_scope(|| self.trace.current());
        (own.or(current), span)
    }

    /// The span of a batch that is sent whole, joined to its messages' own; none if nobody records the trace.
    pub(super) fn sending(&self, scope: &ApplicationScope, created: &[Span]) -> Span {
        if self.trace.recorded().is_none() {
            return Span::none();
        }
        let span = tracing::info_span!(
            "publish",
            otel.name = "publish",
            otel.kind = "client",
            otel.status_code = Empty,
            error.r#type = Empty,
            messaging.system = "postrider",
            messaging.operation.name = "publish",
            messaging.operation.r#type = "send",
            messaging.destination.name = %scope.application(),
            messaging.batch.message_count = whole(created.len()),
        );
        for one in created {
            span.follows_from(one);
        }
        span
    }
}

/// A number as spans have them: an unsigned one would be exported as text.
fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Notes what became of a publish.
pub(super) fn record<T>(span: &Span, outcome: &Result<T>) {
    if let Err(error) = outcome {
        record_failure(span, error.code().as_str());
    }
}

/// Notes that a publish failed, and of what.
pub(super) fn record_failure(span: &Span, kind: &'static str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
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
