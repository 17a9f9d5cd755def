use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Expunged, MessageRepository, Store, UnitOfWork as _},
};

/// Removes a message's payload for good; the message stays. Again is as good as once.
#[derive(Debug)]
pub struct ExpungePayload {
    /// The application that received it.
    pub application: ApplicationRef,
    /// Which.
    pub message: MessageId,
}

impl Request for ExpungePayload {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "message.expunge_payload";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::PayloadsDelete)
    }
}

/// Serves [`ExpungePayload`].
pub struct ExpungePayloadHandler<S> {
    store: S,
}

impl<S> ExpungePayloadHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<ExpungePayload> for ExpungePayloadHandler<S>
where
    S::Tx: MessageRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: ExpungePayload) -> Result<(), Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        match tx.expunge_payload(tenant, application, request.message).await? {
            Expunged::Now => Ok(tx.commit(scope.did(request.message)).await?),
            Expunged::Already => Ok(()),
            Expunged::Unknown => Err(Error::not_found("message")),
        }
    }
}
