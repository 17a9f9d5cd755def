use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef, messages::Payload};

use crate::{
    Error, ErrorCode, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{MessageViews, StoredPayload},
};

/// Reads a message's payload, the exact bytes.
#[derive(Debug)]
pub struct GetPayload {
    /// The application that received it.
    pub application: ApplicationRef,
    /// Which.
    pub message: MessageId,
}

impl Request for GetPayload {
    type Output = Payload;
    type Access = OnApplication;
    const NAME: &'static str = "message.get_payload";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::PayloadsRead)
    }
}

/// Serves [`GetPayload`].
pub struct GetPayloadHandler<S> {
    views: S,
}

impl<S> GetPayloadHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: MessageViews> Handles<GetPayload> for GetPayloadHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: GetPayload) -> Result<Payload, Error> {
        self.views
            .payload(scope.tenant_scope(), scope.application(), request.message)
            .await?
            .ok_or_else(|| Error::not_found("message"))
            .and_then(|payload| match payload {
                StoredPayload::There(payload) => Ok(payload),
                StoredPayload::Expunged => Err(Error::new(
                    ErrorCode::PayloadExpunged,
                    "the message is there, its payload is not any more",
                )),
            })
    }
}
