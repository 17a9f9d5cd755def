use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{MessageView, MessageViews},
};

/// Reads one message, without its payload.
#[derive(Debug)]
pub struct GetMessage {
    /// The application that received it.
    pub application: ApplicationRef,
    /// Which.
    pub message: MessageId,
}

impl Request for GetMessage {
    type Output = MessageView;
    type Access = OnApplication;
    const NAME: &'static str = "message.get";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::MessagesRead)
    }
}

/// Serves [`GetMessage`].
pub struct GetMessageHandler<S> {
    views: S,
}

impl<S> GetMessageHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: MessageViews> Handles<GetMessage> for GetMessageHandler<S> {
    async fn handle(&self, scope: ApplicationScope, request: GetMessage) -> Result<MessageView, Error> {
        self.views
            .message(scope.tenant_scope(), scope.application(), request.message)
            .await?
            .ok_or_else(|| Error::not_found("message"))
    }
}
