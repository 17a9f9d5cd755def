use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, ErrorCode, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Cancellation, MessageRepository, Store, UnitOfWork as _},
};

/// Cancels a scheduled message before its time comes. Again is as good as once.
#[derive(Debug)]
pub struct CancelMessage {
    /// The application that was to receive it.
    pub application: ApplicationRef,
    /// Which.
    pub message: MessageId,
}

impl Request for CancelMessage {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "message.cancel";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::MessagesPublish)
    }
}

/// Serves [`CancelMessage`].
pub struct CancelMessageHandler<S> {
    store: S,
}

impl<S> CancelMessageHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<CancelMessage> for CancelMessageHandler<S>
where
    S::Tx: MessageRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: CancelMessage) -> Result<(), Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        match tx.cancel_message(tenant, application, request.message).await? {
            Cancellation::Cancelled => {
                tx.commit(scope.did(request.message).answering(&scope, &()))
                    .await?;
                Ok(())
            }
            Cancellation::Already => Ok(()),
            Cancellation::Unknown => Err(Error::not_found("message")),
            Cancellation::TooLate => Err(Error::new(
                ErrorCode::MessageNotCancellable,
                "only a scheduled message can be cancelled, and only before its time has come",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::Caller,
        messages::{ExpungePayload, GetPayload, ListMessages},
        ports::{MessageFilter, MessageStatus, PageRequest},
        testing::{World, publish},
    };
    use postrider_domain::{
        ApplicationId, Timestamp,
        access::{Grant, Role},
        messages::DedupKey,
    };

    async fn world() -> (World, Caller, ApplicationId) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        (world, owner, application)
    }

    const DAY: Duration = Duration::from_hours(24);

    #[tokio::test]
    async fn what_is_scheduled_waits_and_can_be_cancelled_until_then() {
        let (world, owner, application) = world().await;
        let schedule = |at: Timestamp| {
            let mut request = publish(application, "{}", None);
            request.message.deliver_at = Some(at);
            request
        };
        let at = world.now().plus(DAY);
        let (first, second) = (
            world.send(&owner, schedule(at)).await.unwrap().id,
            world.send(&owner, schedule(at)).await.unwrap().id,
        );
        let cancel = |message| CancelMessage {
            application: application.into(),
            message,
        };
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&viewer, cancel(first)).await, ErrorCode::Forbidden);
        for _ in 0..2 {
            world.send(&owner, cancel(first)).await.unwrap();
        }
        assert!(world.due().await.is_empty());
        world.pass(DAY);
        assert_eq!(
            world.refusal(&owner, cancel(second)).await,
            ErrorCode::MessageNotCancellable
        );
        let due = world.due().await;
        assert_eq!((due.len(), due[0].message), (1, second));
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(world.refusal(&other, cancel(second)).await, ErrorCode::NotFound);
        let list = ListMessages {
            application: application.into(),
            filter: MessageFilter {
                status: Some(MessageStatus::Cancelled),
                ..MessageFilter::default()
            },
            page: PageRequest::first(10),
        };
        let cancelled: Vec<_> = world.send(&owner, list).await.unwrap().items;
        let cancelled: Vec<_> = cancelled.iter().map(|view| (view.id, view.status)).collect();
        assert_eq!(cancelled, [(first, MessageStatus::Cancelled)]);
    }

    #[tokio::test]
    async fn a_time_is_within_bounds_and_part_of_what_is_repeated() {
        let (world, owner, application) = world().await;
        let key = || Some(DedupKey::event_id("evt-1").unwrap());
        let schedule = |at: Timestamp| {
            let mut request = publish(application, "{}", key());
            request.message.deliver_at = Some(at);
            request
        };
        let now = world.now();
        for far in [
            now.plus(31 * DAY),
            Timestamp::from_micros(i64::MAX),
            Timestamp::from_micros(0),
        ] {
            let refused = world.send(&owner, schedule(far)).await.unwrap_err();
            assert_eq!(refused.violations()[0].field, "deliver_at");
        }
        let at = now.plus(Duration::from_mins(1));
        let first = world.send(&owner, schedule(at)).await.unwrap();
        let other = schedule(at.plus(DAY));
        assert_eq!(world.refusal(&owner, other).await, ErrorCode::IdempotencyConflict);
        assert_eq!(
            world.refusal(&owner, publish(application, "{}", key())).await,
            ErrorCode::IdempotencyConflict
        );
        // Its time has passed, and it is the same request still.
        world.pass(Duration::from_hours(1));
        let again = world.send(&owner, schedule(at)).await.unwrap();
        assert_eq!((again.id, again.replayed), (first.id, true));
    }

    #[tokio::test]
    async fn a_payload_is_expunged_once_and_by_who_may() {
        let (world, owner, application) = world().await;
        let message = world
            .send(&owner, publish(application, "{}", None))
            .await
            .unwrap()
            .id;
        let expunge = || ExpungePayload {
            application: application.into(),
            message,
        };
        let read = || GetPayload {
            application: application.into(),
            message,
        };
        let developer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&developer, expunge()).await, ErrorCode::Forbidden);
        assert!(world.send(&owner, read()).await.is_ok());
        for _ in 0..2 {
            world.send(&owner, expunge()).await.unwrap();
        }
        assert_eq!(world.refusal(&owner, read()).await, ErrorCode::PayloadExpunged);
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(world.refusal(&other, expunge()).await, ErrorCode::NotFound);
    }
}
