use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_application::{
    Error, ErrorCode, Violation,
    messages::{MessageDraft, PublishMessage},
};
use postrider_domain::{
    InvalidValue, Rule, Timestamp,
    event_types::EventTypeName,
    messages::{Channel, Channels, ContentType, DedupKey, Payload},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::IDEMPOTENCY_KEY;
use crate::{
    Limits,
    wire::{Body, Checked, Checks, path::ApplicationPath, raw::present, time},
};

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
    /// order of fields included. Either this or `raw`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = serde_json::Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// What is delivered, if it is not JSON, or JSON that must not pass through a JSON document: any bytes, in base64
    /// (RFC 4648, section 4). Either this or `payload`.
    #[schema(content_encoding = "base64")]
    raw: Option<String>,
    /// The media type of `raw`, required with it.
    #[schema(max_length = 128, examples("application/xml"))]
    content_type: Option<String>,
    /// Your own id of the event. The same id again, within the deduplication window, is answered like the first
    /// time and delivers nothing. Not together with `Idempotency-Key`.
    #[schema(min_length = 1, max_length = 256)]
    event_id: Option<String>,
    /// Where in the application it happened. Endpoints that filter by channels get only messages on one of them.
    #[validate(length(max = 10, code = "too_long", message = "must have at most 10 entries"))]
    #[schema(max_items = 10)]
    channels: Option<Vec<String>>,
    /// Not before when it is to be delivered (RFC 3339), at most 30 days ahead unless the installation says otherwise.
    /// Until then it can be cancelled. A time that has just passed means at once.
    #[schema(format = "date-time")]
    deliver_at: Option<String>,
}

impl Body for NewMessage {
    /// It is the busiest, and has none outside of its payload.
    const HAS_MAPS: bool = false;

    /// Base64 takes four bytes for three.
    fn max_bytes(limits: &Limits) -> usize {
        limits.max_body_bytes + limits.max_payload_bytes / 3 + 4
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
        let dedup_key = dedup_key(&mut checks, self.event_id.as_deref(), idempotency_key);
        let parts = self.read(&mut checks, limits);
        let (application, dedup_key, parts) = checks.all((application, dedup_key, parts))?;
        Ok(PublishMessage {
            application,
            message: parts.with(dedup_key, limits)?,
        })
    }

    /// As a message of a batch, whose key and the message's place in it make this one's key.
    pub(super) fn into_draft(self, item: Option<DedupKey>, limits: &Limits) -> Result<MessageDraft, Error> {
        let mut checks = Checks::of(&self);
        let dedup_key = match (self.event_id.as_deref(), item) {
            (Some(_), Some(_)) => {
                checks.push(exclusive_event_id());
                None
            }
            (None, Some(item)) => Some(Some(item)),
            (event_id, None) => dedup_key(&mut checks, event_id, None),
        };
        let parts = self.read(&mut checks, limits);
        let (dedup_key, parts) = checks.all((dedup_key, parts))?;
        parts.with(dedup_key, limits)
    }

    fn read(self, checks: &mut Checks, limits: &Limits) -> Checked<Parts> {
        let event_type = checks.check("event_type", EventTypeName::parse(&self.event_type));
        let list = checks.list("channels", self.channels.unwrap_or_default(), |text| {
            Channel::parse(&text)
        });
        let channels = list.and_then(|list| checks.check("channels", Channels::new(list)));
        let deliver_at = checks.optional("deliver_at", self.deliver_at.as_deref(), time::parse);
        let payload = payload(
            checks,
            self.payload,
            self.raw,
            self.content_type.as_deref(),
            limits,
        );
        Some(Parts {
            event_type: event_type?,
            channels: channels?,
            deliver_at: deliver_at?,
            payload: payload?,
        })
    }
}

/// What a message is made of.
struct Parts {
    event_type: EventTypeName,
    channels: Channels,
    deliver_at: Option<Timestamp>,
    payload: (&'static str, Vec<u8>, ContentType),
}

impl Parts {
    /// A payload that is too long is an error of its own.
    fn with(self, dedup_key: Option<DedupKey>, limits: &Limits) -> Result<MessageDraft, Error> {
        let (payload_field, bytes, content_type) = self.payload;
        let payload = Payload::new(bytes, content_type, limits.max_payload_bytes);
        let payload = payload.map_err(|invalid| {
            Error::new(
                ErrorCode::PayloadTooLarge,
                format!("the payload {}", invalid.message),
            )
        })?;
        Ok(MessageDraft {
            event_type: self.event_type,
            payload,
            payload_field,
            channels: self.channels,
            dedup_key,
            deliver_at: self.deliver_at,
        })
    }
}

/// The field that holds the payload, its bytes and their media type: one of two forms.
fn payload(
    checks: &mut Checks,
    json: Option<Box<RawValue>>,
    raw: Option<String>,
    content_type: Option<&str>,
    limits: &Limits,
) -> Checked<(&'static str, Vec<u8>, ContentType)> {
    let mut refuse = |field: &'static str, rule: &'static str, message: &str| {
        checks.push(Violation {
            field: field.into(),
            rule: rule.into(),
            message: message.to_owned(),
        });
        None
    };
    match (json, raw, content_type) {
        (Some(_), Some(_), _) => refuse("raw", "exclusive", "must not be given together with payload"),
        (None, None, _) => refuse("payload", "required", "must be given, or raw"),
        (Some(_), None, Some(_)) => refuse(
            "content_type",
            "exclusive",
            "must not be given without raw: payload is JSON",
        ),
        (None, Some(_), None) => refuse("content_type", "required", "must be given with raw"),
        (Some(json), None, None) => {
            let text: Box<str> = json.into();
            Some(("payload", text.into_string().into_bytes(), ContentType::json()))
        }
        (None, Some(raw), Some(content_type)) => {
            let content_type = checks.check("content_type", ContentType::parse(content_type));
            // More than what is refused as too long is not decoded.
            let most = (limits.max_payload_bytes + 3) / 3 * 4 + 4;
            let text = raw.get(..most).unwrap_or(&raw);
            let decoded = STANDARD.decode(text).map_err(|_| {
                InvalidValue::new(Rule::Format, "must be base64 with padding (RFC 4648, section 4)")
            });
            let bytes = checks.check("raw", decoded);
            Some(("raw", bytes?, content_type?))
        }
    }
}

fn dedup_key(
    checks: &mut Checks,
    event_id: Option<&str>,
    idempotency_key: Option<Result<&str, InvalidValue>>,
) -> Checked<Option<DedupKey>> {
    if event_id.is_some() && idempotency_key.is_some() {
        checks.push(exclusive_event_id());
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

/// Two things that make a message recognisable are one too many.
fn exclusive_event_id() -> Violation {
    Violation {
        field: "event_id".into(),
        rule: "exclusive".into(),
        message: format!("must not be given together with {IDEMPOTENCY_KEY}"),
    }
}
