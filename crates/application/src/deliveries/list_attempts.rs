use postrider_domain::{MessageId, access::Permission, applications::ApplicationRef, endpoints::EndpointRef};

use super::ShownAttempt;
use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{EndpointViews, MessageViews, Page, PageRequest},
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
    type Output = Page<ShownAttempt, u32>;
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
    ) -> Result<Page<ShownAttempt, u32>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        // One that is gone has its attempts still.
        let known = self
            .views
            .endpoint(tenant, application, &request.endpoint)
            .await?;
        let endpoint = match (&request.endpoint, &known) {
            (EndpointRef::Id(id), _) => *id,
            (EndpointRef::Uid(_), Some(known)) => known.id,
            (EndpointRef::Uid(_), None) => return Err(Error::not_found("endpoint")),
        };
        // An empty list of an unknown message is a wrong address, not an answer.
        let message = self.views.message(tenant, application, request.message).await?;
        let message = message.ok_or_else(|| Error::not_found("message"))?;
        let page = self
            .views
            .attempts(tenant, application, request.message, endpoint, request.page)
            .await?;
        let attempts = page.items.into_iter();
        Ok(Page {
            items: attempts
                .map(|attempt| {
                    ShownAttempt::of(attempt, &message, known.as_ref().map(|known| &known.headers))
                })
                .collect(),
            next: page.next,
            prev: page.prev,
        })
    }
}
