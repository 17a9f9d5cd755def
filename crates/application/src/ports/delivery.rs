use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId, Version,
    deliveries::{CapturedBody, Outcome, RetrySchedule},
    endpoints::{AttemptTimeout, CustomHeaders, EndpointUrl, Filter, HeldSecret},
    messages::Message,
};

use super::StoreError;

/// An endpoint as the engine needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverableEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// How often it had been saved when it was read: what an attempt tells of it, it tells of this version
    /// ([`super::EndpointGuard`]).
    pub version: Version,
    /// Where webhooks are sent; none if the stored endpoint cannot be read, which is our fault, and fails its
    /// attempts without holding up others.
    pub url: Option<EndpointUrl>,
    /// What it wants to hear of.
    pub filter: Filter,
    /// What its webhooks are signed with, the newest first: one, more while an old one is still good. None if a
    /// stored secret did not open: as above.
    pub secrets: Vec<HeldSecret>,
    /// What is sent with every webhook besides; none for nearly all.
    pub headers: Option<Arc<CustomHeaders>>,
    /// Its own retry schedule.
    pub retry_schedule: Option<RetrySchedule>,
    /// Its own time-out.
    pub timeout: Option<AttemptTimeout>,
    /// Whether it is sent anything.
    pub enabled: bool,
}

/// The endpoints of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSet {
    /// Rises with every change of them.
    pub version: i64,
    /// All of them, disabled ones too.
    pub endpoints: Vec<Arc<DeliverableEndpoint>>,
}

impl EndpointSet {
    /// The endpoint of that id.
    pub fn get(&self, id: EndpointId) -> Option<&Arc<DeliverableEndpoint>> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }
}

/// A message as the engine finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadMessage {
    /// With its payload.
    Whole(Arc<Message>),
    /// Its payload was expunged on request: there is nothing to deliver any more.
    Expunged,
}

impl ReadMessage {
    /// The message, if its payload is there.
    pub const fn whole(&self) -> Option<&Arc<Message>> {
        match self {
            Self::Whole(message) => Some(message),
            Self::Expunged => None,
        }
    }
}
/// Where what a node knows of an application's endpoints stands: another value, once they may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing(pub [u64; 2]);

/// What the engine reads to deliver claimed work; each call is one statement for the whole batch. A tenant that is
/// being deleted has nothing to deliver any more, though its rows are still there.
#[async_trait]
pub trait DeliveryMaterial: Send + Sync {
    /// The messages with their payloads. Absent ones no longer exist.
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError>;

    /// All endpoints of each application, disabled ones too, with their version, read in one moment. Absent
    /// applications no longer exist.
    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError>;

    /// What is remembered of an application's endpoints, if it is at least as new as `version`. Cheap; an adapter
    /// that remembers nothing answers nothing.
    fn recall(&self, _application: ApplicationId, _version: i64) -> Option<Arc<EndpointSet>> {
        None
    }

    /// Where the knowledge of an application's endpoints stands. Whoever asks before it recalls or reads them may use
    /// them for as long as the answer stays the same: it changes before this node says that it has seen a change.
    fn standing(&self, _tenant: TenantId, _application: ApplicationId) -> Standing {
        Standing::default()
    }

    /// Forgets everything that is remembered: what happened meanwhile may have been missed.
    fn forget_all(&self) {}
}

/// One HTTP POST to an endpoint.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Where to.
    pub url: EndpointUrl,
    /// Header names (lower case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// What the tenant wants to be sent besides, shared, not copied. None of its names is among the others.
    pub custom_headers: Option<Arc<CustomHeaders>>,
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
    /// How long the receiver asked to be left alone, counted from the answer (`Retry-After`, of failed attempts
    /// only). As it was said: whoever plans the next attempt clamps it.
    pub retry_after: Option<Duration>,
    /// The beginning of the answer's body.
    pub response_body: CapturedBody,
}

/// Sends webhooks. Follows no redirects; connects only where the address policy permits.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Makes one attempt. Always answers, at the latest after the time-out.
    async fn send(&self, request: OutgoingRequest) -> Sent;
}
