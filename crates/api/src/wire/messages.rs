use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_application::{
    Error, ErrorCode, Violation,
    messages::{ListMessages, MessageDraft, PublishBatch, PublishMessage, Published as Outcome},
    ports::{MessageFilter, MessageStatus, MessageView},
};
use postrider_domain::{
    InvalidValue, Rule, Timestamp,
    event_types::EventTypeName,
    messages::{Channel, Channels, ContentType, DedupKey, Payload},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checked, Checks, Object, page, path::ApplicationPath, time};
use crate::{Limits, extract::MessageQuery, problem};

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

/// A value that is there, though it be null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
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

    /// As a message of a batch, at that place. What its key is made of was checked before.
    fn into_draft(self, index: usize, header: Option<&str>, limits: &Limits) -> Result<MessageDraft, Error> {
        let mut checks = Checks::of(&self);
        let dedup_key = match (&self.event_id, header) {
            (Some(id), _) => checks.check("event_id", DedupKey::event_id(id)).map(Some),
            (None, Some(key)) => checks
                .check(IDEMPOTENCY_KEY, DedupKey::batch_item(key, index))
                .map(Some),
            (None, None) => Some(None),
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

/// Messages to be published together.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "atomic": true,
    "messages": [
        {"event_type": "invoice.paid", "payload": {"invoice": "in_123"}, "event_id": "evt_1"},
        {"event_type": "invoice.paid", "payload": {"invoice": "in_124"}, "event_id": "evt_2"}
    ]
})))]
pub(crate) struct NewBatch {
    /// The messages, from 1 to 100.
    #[schema(value_type = Vec<NewMessage>, min_items = 1, max_items = 100)]
    messages: Vec<Object<NewMessage>>,
    /// Whether all of them are to be accepted, or none: one that cannot be refuses the batch. Otherwise each is
    /// accepted or refused on its own.
    atomic: bool,
}

impl Body for NewBatch {
    /// As much as four messages.
    fn max_bytes(limits: &Limits) -> usize {
        NewMessage::max_bytes(limits) * 4
    }
}

impl NewBatch {
    /// The command. `idempotency_key` is the header's value, if there is one.
    pub(crate) fn into_command(
        self,
        path: &ApplicationPath,
        idempotency_key: Option<Result<&str, InvalidValue>>,
        limits: &Limits,
    ) -> Result<PublishBatch, Error> {
        let mut checks = Checks::default();
        let too_many = self.messages.is_empty() || self.messages.len() > PublishBatch::MAX;
        if too_many {
            let message = "must have from 1 to 100 entries".to_owned();
            checks.push(Violation {
                field: "messages".into(),
                rule: "length".into(),
                message,
            });
        }
        let application = path.application(&mut checks);
        // Checked as one header, and not once for each message.
        let key = checks.optional(IDEMPOTENCY_KEY, idempotency_key, |key| {
            key.and_then(|key| DedupKey::idempotency_key(key).map(|_| key))
        });
        let (application, key) = checks.all((application, key))?;
        let messages = self.messages.into_iter().enumerate();
        let drafts = messages.map(|(index, Object(message))| message.into_draft(index, key, limits));
        Ok(PublishBatch {
            application,
            messages: drafts.collect(),
            atomic: self.atomic,
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

/// One broken rule of a payload's schema.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fault {
    /// Where.
    #[schema(examples("payload.items[2].price"))]
    field: String,
    /// The stable name of the rule: for a schema, its keyword.
    #[schema(examples("minimum"))]
    rule: String,
    /// One sentence for people.
    #[schema(examples("must be as the schema's `minimum` says"))]
    message: String,
}

impl From<&Violation> for Fault {
    fn from(violation: &Violation) -> Self {
        Self {
            field: violation.field.clone().into_owned(),
            rule: violation.rule.clone().into_owned(),
            message: violation.message.clone(),
        }
    }
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
    /// Where the payload is not as the schema of its event type says; only if there is such a place, and the tenant's
    /// `schema_validation` is `warn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<Fault>,
}

impl Published {
    /// The message of `event_type`.
    pub(crate) fn new(published: &Outcome, event_type: &EventTypeName) -> Self {
        Self {
            id: published.id.to_string(),
            event_type: event_type.as_str().to_owned(),
            warnings: published.warnings.iter().map(Fault::from).collect(),
        }
    }
}

/// What became of the messages of a batch, in its order.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishedBatch {
    /// One for each message.
    results: Vec<BatchResult>,
}

/// What became of a message of a batch: it has an id, or an error.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchResult {
    /// Its id, if it is durable.
    #[schema(required, examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: Option<String>,
    /// Whether an earlier publish is answered.
    #[schema(examples(false))]
    replayed: bool,
    /// As of a message that is published alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<Fault>,
    /// Why it was not accepted.
    #[schema(required)]
    error: Option<BatchError>,
}

/// Why a message of a batch was not accepted: a problem, without what is the same for the whole request.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchError {
    /// The page that explains the code, relative to the API.
    #[serde(rename = "type")]
    #[schema(examples("/problems/validation_failed"))]
    kind: String,
    /// The same for every occurrence of the code.
    #[schema(examples("The request breaks one or more rules"))]
    title: &'static str,
    /// The HTTP status that it would have had alone.
    #[schema(examples(422))]
    status: u16,
    /// What went wrong, for people.
    detail: String,
    /// The stable code.
    #[schema(examples("validation_failed"))]
    code: &'static str,
    /// Each broken rule of each field; only with `validation_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

impl From<&Error> for BatchError {
    fn from(error: &Error) -> Self {
        let code = error.code();
        Self {
            kind: format!("{}/{}", problem::PAGES, code.as_str()),
            title: code.title(),
            status: problem::status_of(code.kind()).as_u16(),
            detail: problem::public_detail(error).to_owned(),
            code: code.as_str(),
            errors: error.violations().iter().map(Fault::from).collect(),
        }
    }
}

impl From<Vec<Result<Outcome, Error>>> for PublishedBatch {
    fn from(results: Vec<Result<Outcome, Error>>) -> Self {
        let show = |result: Result<Outcome, Error>| match result {
            Ok(published) => BatchResult {
                id: Some(published.id.to_string()),
                replayed: published.replayed,
                warnings: published.warnings.iter().map(Fault::from).collect(),
                error: None,
            },
            Err(error) => BatchResult {
                id: None,
                replayed: false,
                warnings: Vec::new(),
                error: Some(BatchError::from(&error)),
            },
        };
        Self {
            results: results.into_iter().map(show).collect(),
        }
    }
}

/// The query that a query string asks.
pub(crate) fn query(path: &ApplicationPath, query: MessageQuery) -> Result<ListMessages, Error> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let page = page::request(&query.page(), &mut checks);
    let event_type = checks.optional("event_type", query.event_type.as_deref(), EventTypeName::parse);
    let channel = checks.optional("channel", query.channel.as_deref(), Channel::parse);
    let event_id = checks.optional("event_id", query.event_id, |id| {
        DedupKey::event_id(&id).map(|_| id)
    });
    let from = checks.optional("from", query.from.as_deref(), time::parse);
    let to = checks.optional("to", query.to.as_deref(), time::parse);
    let status = checks.optional("status", query.status.as_deref(), MessageStatus::parse);
    let (application, page, event_type, channel, event_id, from, to, status) =
        checks.all((application, page, event_type, channel, event_id, from, to, status))?;
    let filter = MessageFilter {
        event_type,
        channel,
        event_id,
        from,
        to,
        status,
    };
    Ok(ListMessages {
        application,
        filter,
        page,
    })
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
    /// `scheduled`: its time has not come; `cancelled` before it came; `accepted`: it is delivered, or was.
    #[schema(examples("accepted"))]
    status: &'static str,
    /// When it was accepted.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// Not before when it is delivered, if you said so.
    #[schema(required, format = "date-time")]
    deliver_at: Option<String>,
    /// When it was cancelled.
    #[schema(required, format = "date-time")]
    cancelled_at: Option<String>,
    /// When its payload was removed on request.
    #[schema(required, format = "date-time")]
    payload_expunged_at: Option<String>,
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
            status: view.status.as_str(),
            created_at: time::show(view.created_at),
            deliver_at: view.deliver_at.map(time::show),
            cancelled_at: view.cancelled_at.map(time::show),
            payload_expunged_at: view.payload_expunged_at.map(time::show),
        }
    }
}
