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

/// Serves [`PublishMessage`]. It needs no store: the hot way in is a port of its own, which also sees to it that what
/// it has made durable is delivered.
pub struct PublishMessageHandler<S> {
    intake: Arc<dyn MessageIntake>,
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
            Accepted::New => Ok(Published { id, replayed: false }),
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

/// What the intake's refusal is to whoever publishes.
pub(crate) fn refusal(error: IntakeError) -> Error {
    match error {
        IntakeError::KeyConflict => Error::new(
            ErrorCode::IdempotencyConflict,
            "an earlier publish with this key had a different event type, channels or payload",
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        messages::{GetMessage, GetPayload},
        testing::{World, publish},
    };
    use postrider_domain::{
        ApplicationId,
        access::{Grant, Role},
        messages::TraceParent,
    };

    async fn world() -> (World, crate::access::Caller, ApplicationId) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        (world, owner, application)
    }

    #[tokio::test]
    async fn what_is_answered_is_stored_queued_and_told() {
        let (world, owner, application) = world().await;
        world.trace.set(Some(
            TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap(),
        ));
        let published = world
            .send(&owner, publish(application, r#"{"a": 1}"#, None))
            .await
            .unwrap();
        assert!(!published.replayed);
        let due = world.due().await;
        assert_eq!(
            (due.len(), due[0].message, due[0].endpoint),
            (1, published.id, None)
        );
        let request = GetMessage {
            application: application.into(),
            message: published.id,
        };
        let view = world.send(&owner, request).await.unwrap();
        assert_eq!(
            (view.event_type.as_str(), view.payload_bytes),
            ("invoice.paid", 8)
        );
        let request = GetPayload {
            application: application.into(),
            message: published.id,
        };
        assert_eq!(
            &**world.send(&owner, request).await.unwrap().bytes(),
            br#"{"a": 1}"#
        );
        let outcomes: Vec<_> = world
            .metrics
            .records()
            .into_iter()
            .map(|(name, outcome, _)| (name, outcome))
            .collect();
        assert!(outcomes.contains(&("message.publish", "ok")));
    }

    #[tokio::test]
    async fn a_repetition_answers_the_first() {
        let (world, owner, application) = world().await;
        let key = || Some(DedupKey::event_id("evt-1").unwrap());
        let first = world
            .send(&owner, publish(application, "{}", key()))
            .await
            .unwrap();
        let again = world
            .send(&owner, publish(application, "{}", key()))
            .await
            .unwrap();
        assert_eq!(
            again,
            Published {
                id: first.id,
                replayed: true
            }
        );
        assert_eq!(world.due().await.len(), 1);
        let other_body = publish(application, "[]", key());
        assert_eq!(
            world.refusal(&owner, other_body).await,
            ErrorCode::IdempotencyConflict
        );
        let header = publish(
            application,
            "[]",
            Some(DedupKey::idempotency_key("evt-1").unwrap()),
        );
        assert!(
            !world.send(&owner, header).await.unwrap().replayed,
            "another kind of key is another key"
        );
    }

    #[tokio::test]
    async fn a_key_is_forgotten_after_the_window() {
        let (world, owner, application) = world().await;
        let key = || Some(DedupKey::event_id("evt-1").unwrap());
        let first = world
            .send(&owner, publish(application, "{}", key()))
            .await
            .unwrap();
        world.pass(Duration::from_hours(24) + Duration::from_secs(1));
        let again = world
            .send(&owner, publish(application, "{}", key()))
            .await
            .unwrap();
        assert!(!again.replayed && again.id != first.id);
    }

    #[tokio::test]
    async fn viewers_do_not_publish_and_publishers_see_no_payloads() {
        let (world, owner, application) = world().await;
        let with = |role| World::same_tenant(&owner, Grant::application(role, application));
        assert_eq!(
            world
                .refusal(&with(Role::Viewer), publish(application, "{}", None))
                .await,
            ErrorCode::Forbidden
        );
        let published = world
            .send(&with(Role::Publisher), publish(application, "{}", None))
            .await
            .unwrap();
        let request = GetPayload {
            application: application.into(),
            message: published.id,
        };
        assert_eq!(
            world.refusal(&with(Role::Publisher), request).await,
            ErrorCode::Forbidden
        );
    }

    /// Scripts what the hot way in answers, to see what the caller is told.
    mod refusals {
        use super::*;
        mockall::mock! {
            Intake {}
            #[async_trait::async_trait]
            impl MessageIntake for Intake {
                async fn accept(&self, scope: &ApplicationScope, message: AcceptMessage) -> Result<Accepted, IntakeError>;
            }
        }

        async fn answer(error: IntakeError) -> ErrorCode {
            let (world, owner, application) = super::world().await;
            let mut intake = MockIntake::new();
            intake.expect_accept().times(1).return_once(|_, _| Err(error));
            let world = world.with_intake(intake);
            world.refusal(&owner, publish(application, "{}", None)).await
        }

        #[tokio::test]
        async fn say_the_truth() {
            let unavailable = || StoreError::Unavailable("gone".into());
            for (error, code) in [
                (IntakeError::KeyConflict, ErrorCode::IdempotencyConflict),
                (IntakeError::Full, ErrorCode::IntakeFull),
                (IntakeError::ShareExceeded, ErrorCode::IntakeShareExceeded),
                (
                    IntakeError::OutcomeUnknown(unavailable()),
                    ErrorCode::OutcomeUnknown,
                ),
                (IntakeError::Store(unavailable()), ErrorCode::Unavailable),
                (
                    IntakeError::Store(StoreError::Internal("bug".into())),
                    ErrorCode::Internal,
                ),
            ] {
                assert_eq!(answer(error).await, code);
            }
        }
    }
}
