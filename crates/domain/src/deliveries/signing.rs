use crate::{MessageId, Timestamp, messages::Payload};

/// The header names of Standard Webhooks.
pub mod header {
    /// The message's id, the same in every attempt: receivers deduplicate by it.
    pub const ID: &str = "webhook-id";
    /// When the attempt was made, in seconds since the Unix epoch: receivers refuse old ones.
    pub const TIMESTAMP: &str = "webhook-timestamp";
    /// The signatures, separated by spaces, each `v1,<base64>`.
    pub const SIGNATURE: &str = "webhook-signature";
}

/// What [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme)
/// signs: `{id}.{timestamp}.{payload}`. The payload is not copied: sign the prefix, then the bytes.
#[derive(Debug, Clone)]
pub struct SignedContent<'a> {
    /// The value of `webhook-id`.
    pub id: String,
    /// The value of `webhook-timestamp`.
    pub timestamp: String,
    /// When the attempt is made: what signs it is what is good then.
    pub at: Timestamp,
    payload: &'a Payload,
}

impl<'a> SignedContent<'a> {
    /// The content of an attempt made at `at`.
    pub fn new(id: MessageId, at: Timestamp, payload: &'a Payload) -> Self {
        Self {
            id: id.to_string(),
            timestamp: at.as_unix_seconds().to_string(),
            at,
            payload,
        }
    }

    /// The parts to be signed, one after the other.
    pub fn parts(&self) -> [&[u8]; 5] {
        [
            self.id.as_bytes(),
            b".",
            self.timestamp.as_bytes(),
            b".",
            self.payload.bytes(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::ContentType;
    use uuid::Uuid;

    #[test]
    fn is_id_timestamp_and_payload_joined_by_full_stops() {
        let payload = Payload::new(*br#"{"a":1}"#, ContentType::json(), 100).unwrap();
        let id = MessageId::from_uuid(Uuid::from_u128(0));
        let content = SignedContent::new(id, Timestamp::from_micros(1_674_087_231_999_999), &payload);
        assert_eq!(
            content.parts().concat(),
            br#"msg_00000000000000000000000000.1674087231.{"a":1}"#
        );
    }
}
