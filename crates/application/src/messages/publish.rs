use std::sync::Arc;

use postrider_domain::{access::Permission, applications::ApplicationRef};

use tracing::Instrument as _;

use super::draft::{Drafted, Drafts, MessageDraft, Published, Publishing, record, refusal};
use crate::{
    Error, Ports, Result, Settings,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Accepted, MessageIntake},
};

/// Publishes one event to one application. When it is answered, the message is durable.
#[derive(Debug)]
pub struct PublishMessage {
    /// The application that receives it.
    pub application: ApplicationRef,
    /// What is published.
    pub message: MessageDraft,
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
    drafts: Drafts,
    store: std::marker::PhantomData<fn() -> S>,
}

impl<S> PublishMessageHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            intake: ports.intake.clone(),
            drafts: Drafts::new(ports, settings),
            store: std::marker::PhantomData,
        }
    }
}

impl<S> Handles<PublishMessage> for PublishMessageHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: PublishMessage) -> Result<Published, Error> {
        let Drafted {
            accept,
            warnings,
            span,
        } = self
            .drafts
            .accept(&scope, request.message, Publishing::Alone)
            .await?;
        let id = accept.message.id;
        let accepting = self.intake.accept(&scope, accept).instrument(span.clone());
        let accepted = accepting.await.map_err(refusal);
        record(&span, &accepted);
        Ok(match accepted? {
            Accepted::New => Published {
                id,
                replayed: false,
                warnings,
            },
            Accepted::Replayed(id) => {
                span.record("replayed", tracing::field::display(id));
                Published {
                    id,
                    replayed: true,
                    warnings,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ErrorCode,
        messages::{GetMessage, GetPayload},
        ports::{AcceptMessage, BatchRefused, IntakeError, StoreError},
        testing::{World, publish},
    };
    use postrider_domain::{
        ApplicationId,
        access::{Grant, Role},
        messages::{DedupKey, TraceParent},
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
    async fn only_the_system_publishes_to_the_operational_application() {
        let (world, owner, _) = world().await;
        let operational = world.application(&owner, Some("operational")).await.id;
        let refused = publish(operational, "{}", None);
        assert_eq!(world.refusal(&owner, refused).await, ErrorCode::Forbidden);
        let message = publish(operational, "{}", None).message;
        let batch = |atomic| crate::messages::PublishBatch {
            application: operational.into(),
            messages: vec![Ok(message.clone())],
            atomic,
        };
        assert_eq!(world.refusal(&owner, batch(true)).await, ErrorCode::Forbidden);
        let each = world.send(&owner, batch(false)).await.unwrap();
        assert_eq!(each[0].as_ref().unwrap_err().code(), ErrorCode::Forbidden);
        assert!(world.due().await.is_empty());
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
                replayed: true,
                warnings: Vec::new()
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
                async fn accept_all(&self, scope: &ApplicationScope, messages: Vec<AcceptMessage>) -> Result<Vec<Accepted>, BatchRefused>;
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
