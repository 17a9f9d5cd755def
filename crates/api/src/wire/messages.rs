use postrider_application::{Error, ErrorCode, Violation, messages::PublishMessage, ports::MessageView};
use postrider_domain::{
    InvalidValue, MessageId, Rule,
    event_types::EventTypeName,
    messages::{Channel, Channels, ContentType, DedupKey, Payload},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checked, Checks, path::ApplicationPath, time};
use crate::Limits;

/// The header that makes a repeated publish recognisable.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A message to be published.
// No `Debug`: a payload has no place in a log.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"event_type": "invoice.paid", "payload": {"invoice": "in_123", "amount": "99.00"}})))]
pub(crate) struct NewMessage {
    /// What happened.
    #[schema(max_length = 128)]
    event_type: String,
    /// What is delivered: any JSON value. Its bytes are delivered exactly as they stand here, white space and the
    /// order of fields included.
    #[schema(value_type = serde_json::Value)]
    payload: Box<RawValue>,
    /// Your own id of the event. The same id again, within the deduplication window, is answered like the first
    /// time and delivers nothing. Not together with `Idempotency-Key`.
    #[schema(min_length = 1, max_length = 256)]
    event_id: Option<String>,
    /// Where in the application it happened. Endpoints that filter by channels get only messages on one of them.
    #[validate(length(max = 10, code = "too_long", message = "must have at most 10 entries"))]
    #[schema(max_items = 10)]
    channels: Option<Vec<String>>,
}

impl Body for NewMessage {
    /// It is the busiest, and has none outside of its payload.
    const HAS_MAPS: bool = false;

    fn max_bytes(limits: &Limits) -> usize {
        limits.max_body_bytes
    }
}

impl NewMessage {
    /// The command. `idempotency_key` is the header's value, if there is one.
    pub(crate) fn into_command(
        self,
        path: &ApplicationPath,
        idempotency_key: Option<Result<&str, InvalidValue>>,
        limits: &Limits,
    ) -> Result<PublishMessage, Error> {
        let mut checks = Checks::of(&self);
        let application = path.application(&mut checks);
        let event_type = checks.check("event_type", EventTypeName::parse(&self.event_type));
        let list = checks.list("channels", self.channels.unwrap_or_default(), |text| {
            Channel::parse(&text)
        });
        let channels = list.and_then(|list| checks.check("channels", Channels::new(list)));
        let dedup_key = dedup_key(&mut checks, self.event_id.as_deref(), idempotency_key);
        let (application, event_type, channels, dedup_key) =
            checks.all((application, event_type, channels, dedup_key))?;
        let bytes: Box<str> = self.payload.into();
        let payload = Payload::new(
            bytes.into_boxed_bytes(),
            ContentType::json(),
            limits.max_payload_bytes,
        )
        .map_err(|invalid| {
            Error::new(
                ErrorCode::PayloadTooLarge,
                format!("the payload {}", invalid.message),
            )
        })?;
        Ok(PublishMessage {
            application,
            event_type,
            payload,
            channels,
            dedup_key,
        })
    }
}

fn dedup_key(
    checks: &mut Checks,
    event_id: Option<&str>,
    idempotency_key: Option<Result<&str, InvalidValue>>,
) -> Checked<Option<DedupKey>> {
    if event_id.is_some() && idempotency_key.is_some() {
        checks.push(Violation {
            field: "event_id".into(),
            rule: "exclusive".into(),
            message: format!("must not be given together with {IDEMPOTENCY_KEY}"),
        });
        return None;
    }
    match (event_id, idempotency_key) {
        (Some(id), _) => checks.check("event_id", DedupKey::event_id(id)).map(Some),
        (None, Some(key)) => checks
            .check(IDEMPOTENCY_KEY, key.and_then(DedupKey::idempotency_key))
            .map(Some),
        (None, None) => Some(None),
    }
}

/// The violation of a header that is no text, or stands twice.
pub(crate) fn malformed_key() -> InvalidValue {
    InvalidValue::new(Rule::Charset, "must stand once and be visible ASCII")
}

/// A message that is durable.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// Its id, the `webhook-id` of every attempt.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// What happened.
    #[schema(examples("invoice.paid"))]
    event_type: String,
}

impl Published {
    /// The message `id` of `event_type`.
    pub(crate) fn new(id: MessageId, event_type: &EventTypeName) -> Self {
        Self {
            id: id.to_string(),
            event_type: event_type.as_str().to_owned(),
        }
    }
}

/// A message, without its payload.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// Its id, the `webhook-id` of every attempt.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// The application that received it.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application: String,
    /// What happened.
    #[schema(examples("invoice.paid"))]
    event_type: String,
    /// Where in the application it happened.
    channels: Vec<String>,
    /// Your own id of the event.
    #[schema(required)]
    event_id: Option<String>,
    /// The payload's media type.
    #[schema(examples("application/json"))]
    content_type: String,
    /// The payload's length in bytes.
    #[schema(examples(39))]
    payload_bytes: u64,
    /// When it was accepted.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<MessageView> for Message {
    fn from(view: MessageView) -> Self {
        Self {
            id: view.id.to_string(),
            application: view.application.to_string(),
            event_type: view.event_type.as_str().to_owned(),
            channels: view
                .channels
                .iter()
                .map(|channel| channel.as_str().to_owned())
                .collect(),
            event_id: view.event_id,
            content_type: view.content_type,
            payload_bytes: view.payload_bytes,
            created_at: time::show(view.created_at),
        }
    }
}
