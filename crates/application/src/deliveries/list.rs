use postrider_domain::{EndpointId, MessageId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{DeliveryView, MessageViews, Page, PageRequest},
};

/// Lists a message's deliveries, by endpoint. Just after the 202 the list may still be empty: the fan-out is on
/// its way.
#[derive(Debug)]
pub struct ListDeliveries {
    /// The application that received the message.
    pub application: ApplicationRef,
    /// The message.
    pub message: MessageId,
    /// Which part of the list.
    pub page: PageRequest<EndpointId>,
}

impl Request for ListDeliveries {
    type Output = Page<DeliveryView, EndpointId>;
    type Access = OnApplication;
    const NAME: &'static str = "delivery.list";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesRead)
    }
}

/// Serves [`ListDeliveries`].
pub struct ListDeliveriesHandler<S> {
    views: S,
}

impl<S> ListDeliveriesHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: MessageViews> Handles<ListDeliveries> for ListDeliveriesHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: ListDeliveries,
    ) -> Result<Page<DeliveryView, EndpointId>, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let page = self
            .views
            .deliveries(tenant, application, request.message, request.page)
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
