use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId,
    deliveries::{CapturedBody, Outcome, RetrySchedule},
    endpoints::{AttemptTimeout, EndpointUrl, Filter, SigningSecret},
    messages::Message,
};

use super::StoreError;

/// An endpoint as the engine needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverableEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where webhooks are sent; none if the stored endpoint cannot be read, which is our fault, and fails its
    /// attempts without holding up others.
    pub url: Option<EndpointUrl>,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with; none if the stored secret did not open: as above.
    pub secret: Option<SigningSecret>,
    /// Its own retry schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// Its own time-out.
    pub timeout: Option<AttemptTimeout>,
    /// Whether it is sent anything.
    pub enabled: bool,
}

/// What the engine reads to deliver claimed work; each call is one statement for the whole batch. A tenant that is
/// being deleted has nothing to deliver any more, though its rows are still there.
#[async_trait]
pub trait DeliveryMaterial: Send + Sync {
    /// The messages with their payloads. Absent ones no longer exist.
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, Arc<Message>>, StoreError>;

    /// All endpoints of each application, disabled ones too.
    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<[DeliverableEndpoint]>>, StoreError>;
}

/// One HTTP POST to an endpoint.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Where to.
    pub url: EndpointUrl,
    /// Header names (lower case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body, shared, not copied.
    pub body: Arc<[u8]>,
    /// How long it may take in all: name, connection, TLS, headers and whole body.
    pub timeout: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Delivered or not.
    pub outcome: Outcome,
    /// The beginning of the answer's body.
    pub response_body: CapturedBody,
}

/// Sends webhooks. Follows no redirects; connects only where the address policy permits.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Makes one attempt. Always answers, at the latest after the time-out.
    async fn send(&self, request: OutgoingRequest) -> Sent;
}
