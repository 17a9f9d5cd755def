use postrider_application::ports::{MessageStatus, MessageView, StoreError, StoredPayload};
use postrider_domain::{
    ApplicationId, MessageId, TenantId,
    event_types::EventTypeName,
    messages::{Channels, ContentType, Message, Payload, TraceParent},
};
use sea_orm::{DbErr, FromQueryResult, QueryResult};
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
    deliver_at: Option<i64>,
}

/// What became of a message, beside [`MessageRow`].
#[derive(FromQueryResult)]
pub(super) struct FateRow {
    cancelled_at: Option<i64>,
    payload_expunged_at: Option<i64>,
    /// Whether its time has not come by the database's clock.
    is_ahead: i32,
}

/// A message as [`SHOWN`] selects it.
pub(super) struct ShownRow {
    pub(super) message: MessageRow,
    pub(super) fate: FateRow,
}

impl FromQueryResult for ShownRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            message: MessageRow::from_query_result(row, prefix)?,
            fate: FateRow::from_query_result(row, prefix)?,
        })
    }
}

/// What is selected of a message to be shown.
pub(super) const SHOWN: &str = "m.id, m.tenant, m.app, m.event_type, m.channels, m.event_id, m.content_type,
    m.payload_bytes, m.created_at, m.trace, m.deliver_at, m.cancelled_at, m.payload_expunged_at,
    CASE WHEN m.deliver_at > {now} THEN 1 ELSE 0 END AS is_ahead";

impl FateRow {
    const fn status(&self) -> MessageStatus {
        match (self.cancelled_at, self.is_ahead) {
            (Some(_), _) => MessageStatus::Cancelled,
            (None, 0) => MessageStatus::Accepted,
            (None, _) => MessageStatus::Scheduled,
        }
    }
}

/// A row of `payloads` with its media type.
#[derive(FromQueryResult)]
pub(super) struct PayloadRow {
    content_type: String,
    /// None: it went.
    body: Option<Vec<u8>>,
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
    pub(super) fn view(self, fate: &FateRow) -> Result<MessageView, StoreError> {
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
            deliver_at: self.deliver_at.map(timestamp),
            cancelled_at: fate.cancelled_at.map(timestamp),
            payload_expunged_at: fate.payload_expunged_at.map(timestamp),
            status: fate.status(),
        })
    }

    /// The message as it was published.
    pub(super) fn with(self, payload: Payload) -> Result<Message, StoreError> {
        let trace = self.trace.as_deref().map(TraceParent::parse).transpose();
        Ok(Message {
            id: self.id(),
            tenant: TenantId::from_uuid(self.tenant),
            application: ApplicationId::from_uuid(self.app),
            event_type: self.event_type()?,
            channels: self.channels()?,
            event_id: self.event_id,
            payload,
            created_at: timestamp(self.created_at),
            trace: trace.map_err(|why| corrupt("trace of a message", why))?,
            deliver_at: self.deliver_at.map(timestamp),
        })
    }
}

impl PayloadRow {
    pub(super) fn read(self) -> Result<StoredPayload, StoreError> {
        let content_type = ContentType::parse(&self.content_type);
        let content_type = content_type.map_err(|why| corrupt("media type", why))?;
        Ok(self.body.map_or(StoredPayload::Expunged, |body| {
            StoredPayload::There(Payload::restore(body, content_type))
        }))
    }
}
