use postrider_application::ports::{MessageView, StoreError};
use postrider_domain::{
    ApplicationId, MessageId, TenantId,
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload, TraceParent},
};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{
    codec::{StoredTexts, timestamp},
    error::corrupt,
};

/// A row of `messages`.
#[derive(FromQueryResult)]
pub(super) struct MessageRow {
    id: Uuid,
    tenant: Uuid,
    app: Uuid,
    event_type: String,
    channels: StoredTexts,
    event_id: Option<String>,
    content_type: String,
    payload_bytes: i64,
    created_at: i64,
    trace: Option<String>,
}

/// A row of `payloads` with its media type.
#[derive(FromQueryResult)]
pub(super) struct PayloadRow {
    content_type: String,
    body: Vec<u8>,
}

impl MessageRow {
    pub(super) fn id(&self) -> MessageId {
        MessageId::from_uuid(self.id)
    }

    fn event_type(&self) -> Result<EventTypeName, StoreError> {
        EventTypeName::parse(&self.event_type).map_err(|why| corrupt("event type of a message", why))
    }

    fn channels(&self) -> Result<Channels, StoreError> {
        self.channels.read_message_channels()
    }

    /// The message without its payload.
    pub(super) fn view(self) -> Result<MessageView, StoreError> {
        Ok(MessageView {
            id: self.id(),
            application: ApplicationId::from_uuid(self.app),
            event_type: self.event_type()?,
            channels: self.channels()?,
            event_id: self.event_id,
            content_type: self.content_type,
            payload_bytes: u64::try_from(self.payload_bytes)
                .map_err(|why| corrupt("length of a payload", why))?,
            created_at: timestamp(self.created_at),
        })
    }

    /// The message as it was published.
    pub(super) fn with(self, payload: PayloadRow) -> Result<Message, StoreError> {
        let trace = self.trace.as_deref().map(TraceParent::parse).transpose();
        Ok(Message {
            id: self.id(),
            tenant: TenantId::from_uuid(self.tenant),
            application: ApplicationId::from_uuid(self.app),
            event_type: self.event_type()?,
            channels: self.channels()?,
            event_id: self.event_id,
            payload: payload.read()?,
            created_at: timestamp(self.created_at),
            trace: trace.map_err(|why| corrupt("trace of a message", why))?,
        })
    }
}

impl PayloadRow {
    pub(super) fn read(self) -> Result<Payload, StoreError> {
        let content_type = ContentType::parse(&self.content_type);
        Ok(Payload::restore(
            self.body,
            content_type.map_err(|why| corrupt("media type", why))?,
        ))
    }
}
