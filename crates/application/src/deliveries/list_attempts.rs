use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef, endpoints::EndpointRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{AttemptView, EndpointViews, MessageViews, Page, PageRequest},
};

/// Lists the attempts of a delivery, by number.
#[derive(Debug)]
pub struct ListAttempts {
    /// The application that received the message.
    pub application: ApplicationRef,
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// Which part of the list.
    pub page: PageRequest<u32>,
}

impl Request for ListAttempts {
    type Output = Page<AttemptView, u32>;
    type Access = OnApplication;
    const NAME: &'static str = "attempt.list";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesRead)
    }
}

/// Serves [`ListAttempts`].
pub struct ListAttemptsHandler<S> {
    views: S,
}

impl<S> ListAttemptsHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: MessageViews + EndpointViews> Handles<ListAttempts> for ListAttemptsHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: ListAttempts,
    ) -> Result<Page<AttemptView, u32>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let endpoint = match request.endpoint {
            EndpointRef::Id(id) => id,
            uid @ EndpointRef::Uid(_) => {
                let named = self.views.endpoint(tenant, application, &uid).await?;
                named.ok_or_else(|| Error::not_found("endpoint"))?.id
            }
        };
        let page = self
            .views
            .attempts(tenant, application, request.message, endpoint, request.page)
            .await?;
        // An empty list of an unknown message is a wrong address, not an answer.
        if page.items.is_empty()
            && self
                .views
                .message(tenant, application, request.message)
                .await?
                .is_none()
        {
            return Err(Error::not_found("message"));
        }
        Ok(page)
    }
}
