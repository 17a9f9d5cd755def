use postrider_domain::{
    MessageId, access::Permission, applications::ApplicationRef, deliveries::header, endpoints::EndpointRef,
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{AttemptView, EndpointViews, MessageView, MessageViews, Page, PageRequest},
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

/// An attempt, with what is known of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAttempt {
    /// The attempt.
    pub attempt: AttemptView,
    /// Headers that the request had: those that follow from the message and the attempt. They are not kept but told
    /// again; the signature is not told.
    pub request_headers: Vec<(&'static str, String)>,
}

impl ShownAttempt {
    fn of(attempt: AttemptView, message: &MessageView) -> Self {
        let timestamp = attempt.started_at.as_unix_seconds().to_string();
        Self {
            request_headers: vec![
                ("content-type", message.content_type.clone()),
                (header::ID, message.id.to_string()),
                (header::TIMESTAMP, timestamp),
                (header::SIGNATURE, "v1,***".to_owned()),
            ],
            attempt,
        }
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
        let endpoint = match request.endpoint {
            EndpointRef::Id(id) => id,
            uid @ EndpointRef::Uid(_) => {
                let named = self.views.endpoint(tenant, application, &uid).await?;
                named.ok_or_else(|| Error::not_found("endpoint"))?.id
            }
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
                .map(|attempt| ShownAttempt::of(attempt, &message))
                .collect(),
            next: page.next,
            prev: page.prev,
        })
    }
}
