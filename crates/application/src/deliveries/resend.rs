use std::sync::Arc;

use postrider_domain::{EndpointId, MessageId, WorkId, access::Permission, applications::ApplicationRef};

use crate::{
    Error, ErrorCode, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, DeliveryRepository, Ids, Store, UnitOfWork as _, WorkSignal},
};

/// Delivers a message to an endpoint once more, with the whole retry schedule before it again.
#[derive(Debug)]
pub struct ResendDelivery {
    /// The application that received the message.
    pub application: ApplicationRef,
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
}

impl Request for ResendDelivery {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "delivery.resend";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::DeliveriesReplay)
    }
}

/// Serves [`ResendDelivery`].
pub struct ResendDeliveryHandler<S> {
    store: S,
    work_signal: Arc<dyn WorkSignal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> ResendDeliveryHandler<S> {
    pub(crate) fn new(
        store: S,
        work_signal: Arc<dyn WorkSignal>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            store,
            work_signal,
            clock,
            ids,
        }
    }
}

impl<S: Store> Handles<ResendDelivery> for ResendDeliveryHandler<S>
where
    S::Tx: DeliveryRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: ResendDelivery) -> Result<(), Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let mut delivery = tx
            .find_delivery(tenant, application, request.message, request.endpoint)
            .await?
            .ok_or_else(|| Error::not_found("delivery"))?;
        delivery
            .resend(self.clock.now())
            .map_err(|pending| Error::new(ErrorCode::DeliveryPending, pending.to_string()))?;
        tx.requeue(tenant, application, &delivery, WorkId::from_uuid(self.ids.next()))
            .await?;
        tx.commit().await?;
        self.work_signal.work_queued();
        Ok(())
    }
}
