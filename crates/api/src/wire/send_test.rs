//! Tests that an endpoint is sent.

use postrider_application::{Error, ErrorCode, endpoints::SendTest};
use postrider_domain::{
    MessageId,
    event_types::EventTypeName,
    messages::{ContentType, Payload},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, path::EndpointPath};
use crate::Limits;

/// A test of an endpoint; `{}` for a message that says no more than that it is one.
// No `Debug`: a payload has no place in a log.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"event_type": "invoice.paid", "payload": {"invoice": "in_123"}})))]
pub(crate) struct NewTest {
    /// What is said to have happened; `postrider.test`, if absent.
    #[schema(max_length = 128)]
    event_type: Option<String>,
    /// What is delivered: any JSON value, its bytes exactly as they stand here. If absent,
    /// `{"type":"postrider.test","data":{"application":"app_…","endpoint":"ep_…"}}`.
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<Box<RawValue>>,
}

impl Body for NewTest {
    fn max_bytes(limits: &Limits) -> usize {
        limits.max_body_bytes
    }
}

impl NewTest {
    /// The command.
    pub(crate) fn into_command(self, path: &EndpointPath, limits: &Limits) -> Result<SendTest, Error> {
        let mut checks = Checks::of(&self);
        let (application, endpoint) = path.parts(&mut checks);
        let event_type = checks.optional("event_type", self.event_type.as_deref(), EventTypeName::parse);
        let (application, endpoint, event_type) = checks.all((application, endpoint, event_type))?;
        let payload = self.payload.map(|payload| {
            let bytes: Box<str> = payload.into();
            Payload::new(
                bytes.into_boxed_bytes(),
                ContentType::json(),
                limits.max_payload_bytes,
            )
        });
        let payload = payload.transpose().map_err(|invalid| {
            let detail = format!("the payload {}", invalid.message);
            Error::new(ErrorCode::PayloadTooLarge, detail)
        })?;
        Ok(SendTest {
            application,
            endpoint,
            event_type,
            payload,
        })
    }
}

/// A test that is on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentTest {
    /// The message's id, by which its delivery is found.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
}

impl From<MessageId> for SentTest {
    fn from(id: MessageId) -> Self {
        Self { id: id.to_string() }
    }
}
