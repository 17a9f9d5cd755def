use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, EndpointId, MessageId, WorkId,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef},
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload},
};

use crate::{
    Error, ErrorCode, Ports, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, DirectMessages, Ids, Repository, Store, TracePropagation, UnitOfWork as _, WorkSignal},
};

/// The event type of a test, if none is said.
pub const TEST_EVENT_TYPE: &str = "postrider.test";

/// Sends a message to one endpoint only, whatever it wants to hear of, to see what becomes of it.
#[derive(Debug)]
pub struct SendTest {
    /// Its application.
    pub application: ApplicationRef,
    /// Which. It must be enabled.
    pub endpoint: EndpointRef,
    /// What is said to have happened; [`TEST_EVENT_TYPE`], if nothing.
    pub event_type: Option<EventTypeName>,
    /// What is delivered; if nothing, something that says of whom it is.
    pub payload: Option<Payload>,
}

impl Request for SendTest {
    type Output = MessageId;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.test";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`SendTest`].
pub struct SendTestHandler<S> {
    store: S,
    work_signal: Arc<dyn WorkSignal>,
    trace: Arc<dyn TracePropagation>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S: Clone> SendTestHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            work_signal: ports.work_signal.clone(),
            trace: ports.trace.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
        }
    }
}

impl<S: Store> Handles<SendTest> for SendTestHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + DirectMessages,
{
    async fn handle(&self, scope: ApplicationScope, request: SendTest) -> Result<MessageId, Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let found = tx.find(tenant, &(application, request.endpoint)).await?;
        let endpoint = found.ok_or_else(|| Error::not_found("endpoint"))?;
        if endpoint.state().status.is_disabled() {
            // Queued, it would only be cancelled.
            return Err(Error::new(
                ErrorCode::EndpointDisabled,
                "enable the endpoint, then send a test",
            ));
        }
        let endpoint = endpoint.state().id;
        let event_type = match request.event_type {
            Some(event_type) => event_type,
            None => EventTypeName::parse(TEST_EVENT_TYPE).map_err(Error::internal)?,
        };
        let message = Message {
            id: MessageId::from_uuid(self.ids.next()),
            tenant: scope.tenant(),
            application,
            event_type,
            channels: Channels::default(),
            event_id: None,
            payload: request.payload.unwrap_or_else(|| payload(application, endpoint)),
            created_at: self.clock.now(),
            trace: self.trace.current(),
            deliver_at: None,
        };
        let work = WorkId::from_uuid(self.ids.next());
        tx.send_to(tenant, &message, endpoint, work).await?;
        tx.commit(scope.did(endpoint).answering(&scope, &message.id))
            .await?;
        self.work_signal.work_queued();
        Ok(message.id)
    }
}

/// Ids hold nothing that JSON would have to escape.
fn payload(application: ApplicationId, endpoint: EndpointId) -> Payload {
    let json = format!(
        r#"{{"type":"{TEST_EVENT_TYPE}","data":{{"application":"{application}","endpoint":"{endpoint}"}}}}"#
    );
    Payload::restore(json.into_bytes(), ContentType::json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deliveries::ListDeliveries,
        endpoints::DisableEndpoint,
        messages::{GetMessage, GetPayload},
        ports::PageRequest,
        testing::{World, create_endpoint},
    };
    use postrider_domain::{
        access::{Grant, Role},
        endpoints::Filter,
    };

    #[tokio::test]
    async fn goes_to_that_endpoint_only_whatever_it_wants_to_hear_of() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let mut request = create_endpoint(application, "https://a.example/");
        let other = EventTypeName::parse("something.else").unwrap();
        request.filter = Filter::new(vec![other], Vec::new()).unwrap();
        let endpoint = world.send(&owner, request).await.unwrap().endpoint.id;
        world
            .send(&owner, create_endpoint(application, "https://b.example/"))
            .await
            .unwrap();
        let told = world.signal.count();
        let test = |endpoint: EndpointId| SendTest {
            application: application.into(),
            endpoint: endpoint.into(),
            event_type: None,
            payload: None,
        };
        let id = world.send(&owner, test(endpoint)).await.unwrap();
        assert_eq!(world.signal.count(), told + 1);
        let [work] = world.due().await.try_into().unwrap();
        assert_eq!((work.message, work.endpoint), (id, Some(endpoint)));
        let request = GetMessage {
            application: application.into(),
            message: id,
        };
        let message = world.send(&owner, request).await.unwrap();
        assert_eq!(message.event_type.as_str(), TEST_EVENT_TYPE);
        let request = GetPayload {
            application: application.into(),
            message: id,
        };
        let payload = world.send(&owner, request).await.unwrap();
        let expected = format!(
            r#"{{"type":"postrider.test","data":{{"application":"{application}","endpoint":"{endpoint}"}}}}"#
        );
        assert_eq!(&**payload.bytes(), expected.as_bytes());
        assert_eq!(u64::from(work.payload_bytes), message.payload_bytes);
        let request = ListDeliveries {
            application: application.into(),
            message: id,
            page: PageRequest::first(10),
        };
        let deliveries = world.send(&owner, request).await.unwrap().items;
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].endpoint, endpoint);

        let request = DisableEndpoint {
            application: application.into(),
            endpoint: endpoint.into(),
        };
        world.send(&owner, request).await.unwrap();
        assert_eq!(
            world.refusal(&owner, test(endpoint)).await,
            ErrorCode::EndpointDisabled
        );
        let unknown = EndpointId::from_uuid(id.as_uuid());
        assert_eq!(world.refusal(&owner, test(unknown)).await, ErrorCode::NotFound);
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&viewer, test(endpoint)).await, ErrorCode::Forbidden);
        assert!(world.due().await.is_empty(), "what was refused left nothing");
    }
}
