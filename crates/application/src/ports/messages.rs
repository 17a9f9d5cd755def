use postrider_domain::{
    ApplicationId, InvalidValue, MessageId, Rule, Timestamp,
    event_types::{EventTypeName, SchemaVersion},
    messages::{Channel, Payload},
};

use super::StoreError;
use crate::access::TenantScope;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// It is to be delivered later: its time has not come by the database's clock.
    Scheduled,
    /// It was cancelled before its time came, and is never delivered.
    Cancelled,
    /// It is being delivered, or was: its deliveries say how that went.
    Accepted,
}

impl MessageStatus {
    /// Every status there is.
    pub const ALL: [Self; 3] = [Self::Scheduled, Self::Cancelled, Self::Accepted];

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Cancelled => "cancelled",
            Self::Accepted => "accepted",
        }
    }

    /// The status of that public name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be one of scheduled, cancelled, accepted"))
    }

    /// Where a message stands at `now`.
    pub fn at(now: Timestamp, deliver_at: Option<Timestamp>, cancelled_at: Option<Timestamp>) -> Self {
        match (cancelled_at, deliver_at) {
            (Some(_), _) => Self::Cancelled,
            (None, Some(at)) if at > now => Self::Scheduled,
            (None, _) => Self::Accepted,
        }
    }
}

/// Which messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageFilter {
    /// Of that event type.
    pub event_type: Option<EventTypeName>,
    /// On that channel, among others perhaps.
    pub channel: Option<Channel>,
    /// With that id of the caller's own.
    pub event_id: Option<String>,
    /// Accepted not before.
    pub from: Option<Timestamp>,
    /// Accepted before.
    pub to: Option<Timestamp>,
    /// Where they stand.
    pub status: Option<MessageStatus>,
}

/// A payload as it is, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredPayload {
    /// The exact bytes.
    There(Payload),
    /// The message is there, its payload went: on request, or earlier than the message by age.
    Expunged,
}

/// What became of the wish to cancel a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// It is never delivered.
    Cancelled,
    /// It was cancelled before.
    Already,
    /// Its time has come, or it has none.
    TooLate,
    /// The application has no such message.
    Unknown,
}

/// What became of the wish to expunge a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunged {
    /// It is gone.
    Now,
    /// It was gone before.
    Already,
    /// The application has no such message.
    Unknown,
}

/// Messages outside of the hot path: what a person does to one of them.
pub trait MessageRepository: Send {
    /// Takes the fan-out of a scheduled message out of the queue and notes that it was cancelled, if its time has not
    /// come by the database's clock and no node holds it. Of a cancellation and a claim that race one wins.
    fn cancel_message(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> impl Future<Output = Result<Cancellation, StoreError>> + Send;

    /// Removes a message's payload and notes that. Its deliveries stay as they are; those that are pending are
    /// cancelled when their turn comes and the payload is to be read.
    fn expunge_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> impl Future<Output = Result<Expunged, StoreError>> + Send;
}

/// What the event type aggregate needs besides [`super::Repository`].
pub trait SchemaRepository: Send {
    /// Adds a version of the event type's schema; of more than [`SchemaVersion::MAX_KEPT`] the oldest goes.
    fn add_schema(
        &mut self,
        scope: &TenantScope,
        event_type: &EventTypeName,
        version: &SchemaVersion,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How many event types the tenant has, archived ones too, as this transaction sees them.
    fn count_event_types(
        &mut self,
        scope: &TenantScope,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;
}
