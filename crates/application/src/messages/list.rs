use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{MessageFilter, MessageView, MessageViews, Page, PageRequest},
};

/// Reads a part of an application's messages, the newest first.
#[derive(Debug)]
pub struct ListMessages {
    /// The application that received them.
    pub application: ApplicationRef,
    /// Which.
    pub filter: MessageFilter,
    /// Which part.
    pub page: PageRequest<MessageId>,
}

impl Request for ListMessages {
    type Output = Page<MessageView, MessageId>;
    type Access = OnApplication;
    const NAME: &'static str = "message.list";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::MessagesRead)
    }
}

/// Serves [`ListMessages`].
pub struct ListMessagesHandler<S> {
    views: S,
}

impl<S> ListMessagesHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: MessageViews> Handles<ListMessages> for ListMessagesHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: ListMessages,
    ) -> Result<Page<MessageView, MessageId>, Error> {
        let ListMessages { filter, page, .. } = request;
        Ok(self
            .views
            .messages(scope.tenant_scope(), scope.application(), &filter, page)
            .await?)
    }
}
