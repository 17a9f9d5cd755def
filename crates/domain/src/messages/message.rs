use std::fmt;

use super::{Channels, Payload, TraceParent};
use crate::{
    ApplicationId, InvalidValue, MessageId, TenantId, Timestamp, event_types::EventTypeName, text::check_text,
};

/// What makes two publishes one: the caller's own id of the event, or the `Idempotency-Key` of the request.
/// One of them, not both; within one application, for the deduplication window.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum DedupKey {
    /// The caller's id of the event, kept with the message.
    EventId(String),
    /// The `Idempotency-Key` header of the request.
    IdempotencyKey(String),
    /// The `Idempotency-Key` header of a batch, and the message's place in it.
    BatchItem {
        /// Both.
        item: String,
        /// The digest of the whole batch as it was sent: what makes it another one.
        batch: [u8; 32],
    },
}

/// The `Idempotency-Key` of a batch: each of its messages has a key of its own from it.
#[derive(Clone, PartialEq, Eq)]
pub struct BatchKey {
    text: String,
    batch: [u8; 32],
}

impl BatchKey {
    /// The value of the header of a batch with that digest: 1 to 256 characters, no control characters.
    pub fn new(text: &str, batch: [u8; 32]) -> Result<Self, InvalidValue> {
        check_text(text, DedupKey::MAX_CHARS)?;
        Ok(Self {
            text: text.to_owned(),
            batch,
        })
    }

    /// The key of the message at `index`: a repeated batch is a repetition of each of its messages, and of another
    /// batch under the same text each message is a conflict, even if it is the same.
    pub fn item(&self, index: usize) -> DedupKey {
        DedupKey::BatchItem {
            item: format!("{index}:{}", self.text),
            batch: self.batch,
        }
    }
}

impl fmt::Debug for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BatchKey(…)")
    }
}

impl DedupKey {
    /// The most characters of a key.
    pub const MAX_CHARS: usize = 256;

    /// The caller's id of an event: 1 to 256 characters, no control characters.
    pub fn event_id(text: &str) -> Result<Self, InvalidValue> {
        check_text(text, Self::MAX_CHARS)?;
        Ok(Self::EventId(text.to_owned()))
    }

    /// The value of an `Idempotency-Key` header: 1 to 256 characters, no control characters.
    pub fn idempotency_key(text: &str) -> Result<Self, InvalidValue> {
        check_text(text, Self::MAX_CHARS)?;
        Ok(Self::IdempotencyKey(text.to_owned()))
    }

    /// The key with its kind, so that an event id never equals a header of the same text.
    pub fn tagged(&self) -> (&'static str, &str) {
        match self {
            Self::EventId(text) => ("event_id", text),
            Self::IdempotencyKey(text) => ("idempotency_key", text),
            Self::BatchItem { item, .. } => ("batch_item", item),
        }
    }

    /// What has to be the same besides the message.
    pub fn batch(&self) -> Option<&[u8; 32]> {
        match self {
            Self::BatchItem { batch, .. } => Some(batch),
            Self::EventId(_) | Self::IdempotencyKey(_) => None,
        }
    }
}

impl fmt::Debug for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupKey({}, …)", self.tagged().0)
    }
}

/// One event published to one application. Immutable: what happens to it afterwards happens to its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the `webhook-id` of every attempt.
    pub id: MessageId,
    /// The tenant that published it.
    pub tenant: TenantId,
    /// The application that receives it.
    pub application: ApplicationId,
    /// What happened.
    pub event_type: EventTypeName,
    /// Where in the application it happened.
    pub channels: Channels,
    /// The caller's own id of the event.
    pub event_id: Option<String>,
    /// What is delivered.
    pub payload: Payload,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The trace that it was published in.
    pub trace: Option<TraceParent>,
    /// Not before when it is to be delivered, as the caller said it. It may have passed.
    pub deliver_at: Option<Timestamp>,
}

impl Message {
    /// The parts whose sameness makes a repeated publish a replay rather than a conflict, in a fixed order, each
    /// to be hashed with its length: event type, channels, content type, payload; and, only if it has one, the time
    /// ([`Self::deliver_at`]) in `time`'s place. Without a time the parts are what they were before there were times,
    /// so that keys are known across an update.
    pub fn fingerprint_parts<'m>(&'m self, time: &'m mut [u8; 8]) -> Vec<&'m [u8]> {
        let mut parts = vec![self.event_type.as_str().as_bytes()];
        parts.extend(self.channels.iter().map(|channel| channel.as_str().as_bytes()));
        parts.push(self.payload.content_type().as_str().as_bytes());
        parts.push(self.payload.bytes());
        if let Some(at) = self.deliver_at {
            *time = at.as_micros().to_be_bytes();
            parts.push(time);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rule;

    #[test]
    fn keys_are_bounded_and_kinds_do_not_mix() {
        let batch = BatchKey::new("a", [1; 32]).unwrap();
        assert_ne!(batch.item(1), batch.item(2));
        assert_eq!(batch.item(1).batch(), Some(&[1; 32]));
        assert_eq!(DedupKey::event_id("a").unwrap().batch(), None);
        assert_eq!(
            BatchKey::new("", [1; 32]).unwrap_err().rule,
            Rule::Required,
            "a place is no key"
        );
        assert_ne!(
            DedupKey::event_id("a").unwrap(),
            DedupKey::idempotency_key("a").unwrap()
        );
        assert_eq!(DedupKey::event_id("").unwrap_err().rule, Rule::Required);
        assert_eq!(
            DedupKey::event_id(&"x".repeat(257)).unwrap_err().rule,
            Rule::TooLong
        );
        assert_eq!(DedupKey::idempotency_key("a\0").unwrap_err().rule, Rule::Charset);
    }
}
