use postrider_application::{
    Error, Violation,
    messages::{PublishBatch, Published as Outcome},
};
use postrider_domain::{InvalidValue, messages::BatchKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::{IDEMPOTENCY_KEY, NewMessage, published::Fault};
use crate::{
    Limits, extract, problem,
    wire::{Body, Checks, path::ApplicationPath},
};

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
    // Read one by one: a form that is wrong is that one's affair.
    messages: Vec<Box<RawValue>>,
    /// Whether all of them are to be accepted, or none: one that cannot be refuses the batch. Otherwise each is
    /// accepted or refused on its own.
    atomic: bool,
}

impl Body for NewBatch {
    /// None but in its messages, which are looked at on their own.
    const HAS_MAPS: bool = false;

    /// As much as four messages.
    fn max_bytes(limits: &Limits) -> usize {
        NewMessage::max_bytes(limits) * 4
    }
}

impl NewBatch {
    /// The command. `idempotency_key` is the header's value, if there is one; `body`, what makes a batch another one.
    pub(crate) fn into_command(
        self,
        path: &ApplicationPath,
        idempotency_key: Option<Result<&str, InvalidValue>>,
        body: [u8; 32],
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
        let key = checks.optional(IDEMPOTENCY_KEY, idempotency_key, |key| BatchKey::new(key?, body));
        let (application, key) = checks.all((application, key))?;
        let messages = self.messages.iter().enumerate();
        let drafts = messages.map(|(index, text)| {
            let message: NewMessage = extract::part(text.get().as_bytes())?;
            message.into_draft(key.as_ref().map(|key| key.item(index)), limits)
        });
        Ok(PublishBatch {
            application,
            messages: drafts.collect(),
            atomic: self.atomic,
        })
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

impl PublishedBatch {
    /// Whether nothing of it is new: all that was accepted had been accepted before.
    pub(crate) fn is_replayed(&self) -> bool {
        let mut accepted = self
            .results
            .iter()
            .filter(|result| result.error.is_none())
            .peekable();
        accepted.peek().is_some() && accepted.all(|result| result.replayed)
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
