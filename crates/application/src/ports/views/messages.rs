use std::time::Duration;

use postrider_domain::{
    ApplicationId, EndpointId, MessageId, Timestamp,
    deliveries::{CapturedBody, DeliveryStatus, Outcome},
    event_types::EventTypeName,
    messages::Channels,
};

use crate::{
    access::TenantScope,
    ports::{MessageFilter, MessageStatus, Page, PageRequest, StoreError, StoredPayload},
};

/// A message without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The application that received it.
    pub application: ApplicationId,
    /// What happened.
    pub event_type: EventTypeName,
    /// Where in the application.
    pub channels: Channels,
    /// The caller's own id of the event.
    pub event_id: Option<String>,
    /// The payload's media type.
    pub content_type: String,
    /// The payload's length in bytes.
    pub payload_bytes: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Not before when it is delivered, as the caller said.
    pub deliver_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When its payload was expunged on request.
    pub payload_expunged_at: Option<Timestamp>,
    /// Where it stands.
    pub status: MessageStatus,
}

/// Where one delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it last changed; for one that was never attempted, when it was queued.
    pub updated_at: Timestamp,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The beginning of the answer's body.
    pub response_body: CapturedBody,
}

/// Messages and what became of them, to look at.
pub trait MessageViews: Send + Sync {
    /// One message of an application.
    fn message(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> impl Future<Output = Result<Option<MessageView>, StoreError>> + Send;

    /// Those of an application that the filter lets through, the newest first.
    fn messages(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
    ) -> impl Future<Output = Result<Page<MessageView, MessageId>, StoreError>> + Send;

    /// Its payload, the exact bytes.
    fn payload(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> impl Future<Output = Result<Option<StoredPayload>, StoreError>> + Send;

    /// Its deliveries, by endpoint id; queued ones that were never attempted too.
    fn deliveries(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> impl Future<Output = Result<Page<DeliveryView, EndpointId>, StoreError>> + Send;

    /// The attempts of one of its deliveries, by number.
    fn attempts(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
        page: PageRequest<u32>,
    ) -> impl Future<Output = Result<Page<AttemptView, u32>, StoreError>> + Send;
}
