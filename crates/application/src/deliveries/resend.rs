use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, EndpointId, MessageId, WorkId,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef},
};

use crate::{
    Error, ErrorCode, Result,
    access::{ApplicationScope, OnApplication},
    audit::Record,
    mediator::{Handles, Request},
    ports::{
        Clock, DeliveryRepository, Ids, Repository, Store, TracePropagation, UnitOfWork as _, WorkSignal,
    },
};

/// Delivers a message to an endpoint once more, with the whole retry schedule before it again.
#[derive(Debug)]
pub struct ResendDelivery {
    /// The application that received the message.
    pub application: ApplicationRef,
    /// The message.
    pub message: MessageId,
    /// The endpoint. It must be enabled.
    pub endpoint: EndpointRef,
}

impl Request for ResendDelivery {
    type Output = EndpointId;
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
    trace: Arc<dyn TracePropagation>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> ResendDeliveryHandler<S> {
    pub(crate) fn new(
        store: S,
        work_signal: Arc<dyn WorkSignal>,
        trace: Arc<dyn TracePropagation>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            store,
            work_signal,
            trace,
            clock,
            ids,
        }
    }
}

impl<S: Store> Handles<ResendDelivery> for ResendDeliveryHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + DeliveryRepository,
{
    /// Answers which endpoint it was.
    async fn handle(&self, scope: ApplicationScope, request: ResendDelivery) -> Result<EndpointId, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let endpoint = tx
            .find(tenant, &(application, request.endpoint))
            .await?
            .ok_or_else(|| Error::not_found("endpoint"))?;
        let (endpoint, status) = (endpoint.state().id, endpoint.state().status);
        let mut delivery = tx
            .find_delivery(tenant, application, request.message, endpoint)
            .await?
            .ok_or_else(|| Error::not_found("delivery"))?;
        if status.is_disabled() {
            // Queued, it would only be cancelled, and with it what is known of the earlier attempts.
            return Err(Error::new(
                ErrorCode::EndpointDisabled,
                "enable the endpoint, then send again",
            ));
        }
        if !tx.has_payload(tenant, application, request.message).await? {
            // Queued, it would be looked for again and again.
            return Err(Error::not_found("payload"));
        }
        delivery
            .resend(self.clock.now())
            .map_err(|pending| Error::new(ErrorCode::DeliveryPending, pending.to_string()))?;
        let work = WorkId::from_uuid(self.ids.next());
        let asked_in = self.trace.recorded();
        tx.requeue(tenant, application, &delivery, work, asked_in.as_ref())
            .await?;
        tx.commit(Record::InHistory.answering(&scope, &endpoint)).await?;
        self.work_signal.work_queued();
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::Caller,
        deliveries::{ListAttempts, ListDeliveries},
        endpoints::DisableEndpoint,
        ports::{ClaimedWork, Concluded, DeliveryQueue as _, Epoch, PageRequest, Settlement},
        testing::{World, create_endpoint, publish},
    };
    use postrider_domain::{
        access::{Grant, Role},
        deliveries::{Attempt, CapturedBody, Delivery, Jitter, Outcome, RetryPolicy},
    };

    struct Ride {
        world: World,
        owner: Caller,
        application: ApplicationId,
        endpoint: EndpointId,
        message: MessageId,
    }

    /// A message that one endpoint has received.
    async fn delivered() -> Ride {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let endpoint = world
            .send(&owner, create_endpoint(application, "https://a.example/"))
            .await
            .unwrap()
            .endpoint
            .id;
        let message = world
            .send(&owner, publish(application, "{}", None))
            .await
            .unwrap()
            .id;
        let ride = Ride {
            world,
            owner,
            application,
            endpoint,
            message,
        };
        ride.deliver(204).await;
        ride
    }

    impl Ride {
        async fn deliver(&self, status: u16) {
            let [work]: [ClaimedWork; 1] = self.world.due().await.try_into().unwrap();
            let now = self.world.now();
            let outcome = Outcome::of_status(status);
            let mut delivery = Delivery {
                attempts: work.attempts,
                failures: work.failures,
                ..Delivery::begin(self.message, self.endpoint, now)
            };
            delivery.record(outcome, None, &RetryPolicy::default(), now, Jitter::from_bits(0));
            let attempt = Attempt {
                number: delivery.attempts,
                started_at: now,
                latency: Duration::from_millis(3),
                outcome,
                response_body: CapturedBody::default(),
            };
            let concluded = Concluded {
                delivery,
                attempt: Some(attempt),
                retry: None,
            };
            let batch = vec![Settlement {
                work: work.work,
                concluded: vec![concluded],
                open: Vec::new(),
            }];
            assert_eq!(self.world.store.settle(Epoch(1), batch).await.unwrap().len(), 1);
        }

        fn resend(&self) -> ResendDelivery {
            ResendDelivery {
                application: self.application.into(),
                message: self.message,
                endpoint: self.endpoint.into(),
            }
        }
    }

    #[tokio::test]
    async fn makes_one_more_attempt_and_goes_on_counting() {
        let ride = delivered().await;
        let told = ride.world.signal.count();
        ride.world.send(&ride.owner, ride.resend()).await.unwrap();
        assert_eq!(ride.world.signal.count(), told + 1);
        ride.deliver(204).await;
        let request = ListAttempts {
            application: ride.application.into(),
            message: ride.message,
            endpoint: ride.endpoint.into(),
            page: PageRequest::first(10),
        };
        let attempts = ride.world.send(&ride.owner, request).await.unwrap();
        assert_eq!(
            attempts
                .items
                .iter()
                .map(|a| a.attempt.number)
                .collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[tokio::test]
    async fn what_is_pending_is_not_sent_twice() {
        let ride = delivered().await;
        ride.world.send(&ride.owner, ride.resend()).await.unwrap();
        assert_eq!(
            ride.world.refusal(&ride.owner, ride.resend()).await,
            ErrorCode::DeliveryPending
        );
    }

    #[tokio::test]
    async fn what_was_never_delivered_there_is_not_found() {
        let ride = delivered().await;
        let elsewhere = EndpointId::from_uuid(ride.message.as_uuid());
        let request = ResendDelivery {
            endpoint: elsewhere.into(),
            ..ride.resend()
        };
        assert_eq!(
            ride.world.refusal(&ride.owner, request).await,
            ErrorCode::NotFound
        );
        let unknown = MessageId::from_uuid(ride.endpoint.as_uuid());
        let request = ListDeliveries {
            application: ride.application.into(),
            message: unknown,
            page: PageRequest::first(10),
        };
        assert_eq!(
            ride.world.refusal(&ride.owner, request).await,
            ErrorCode::NotFound
        );
    }

    #[tokio::test]
    async fn a_disabled_endpoint_is_sent_nothing_and_keeps_its_history() {
        let ride = delivered().await;
        let request = DisableEndpoint {
            application: ride.application.into(),
            endpoint: ride.endpoint.into(),
        };
        ride.world.send(&ride.owner, request).await.unwrap();
        let refusal = ride.world.refusal(&ride.owner, ride.resend()).await;
        assert_eq!(
            (refusal, ride.world.due().await.len()),
            (ErrorCode::EndpointDisabled, 0)
        );
    }
}
