use postrider_application::{
    Error,
    deliveries::{SearchDeliveries, ShownAttempt},
    ports::{DeliveryState, DeliveryView, ListedDelivery},
};
use postrider_domain::{
    EndpointId, InvalidValue, MessageId, Rule,
    deliveries::{CapturedBody, DeliveryStatus, FailureReason, Outcome},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Checks, page, path, time};
use crate::extract::DeliveryQuery;

/// What became of a message at one endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// The message.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    message: String,
    /// The endpoint.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zv"))]
    endpoint: String,
    /// `pending`, `delivered`, `failed` or `cancelled`.
    #[schema(examples("delivered"))]
    status: &'static str,
    /// When the next attempt is due, while it is pending.
    #[schema(required, format = "date-time")]
    due_at: Option<String>,
    /// Why it was given up, if it failed: `exhausted` (the schedule holds no further attempt) or `gone` (410).
    #[schema(required)]
    failure_reason: Option<&'static str>,
    /// Attempts made so far.
    #[schema(examples(1))]
    attempts: u32,
    /// When it last changed.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    updated_at: String,
}

impl From<DeliveryView> for Delivery {
    fn from(view: DeliveryView) -> Self {
        let (due_at, failure_reason) = match view.status {
            DeliveryStatus::Pending { due_at } => (Some(time::show(due_at)), None),
            DeliveryStatus::Failed(reason) => (None, Some(FailureReason::as_str(reason))),
            DeliveryStatus::Delivered | DeliveryStatus::Cancelled => (None, None),
        };
        Self {
            message: view.message.to_string(),
            endpoint: view.endpoint.to_string(),
            status: view.status.as_str(),
            due_at,
            failure_reason,
            attempts: view.attempts,
            updated_at: time::show(view.updated_at),
        }
    }
}

/// A delivery in a list of several applications'.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundDelivery {
    /// The application that received the message.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zu"))]
    application: String,
    #[serde(flatten)]
    delivery: Delivery,
}

impl From<ListedDelivery> for FoundDelivery {
    fn from(found: ListedDelivery) -> Self {
        Self {
            application: found.application.to_string(),
            delivery: found.delivery.into(),
        }
    }
}

/// The query, if all of it is well.
pub(crate) fn search(query: &DeliveryQuery) -> Result<SearchDeliveries, Error> {
    let mut checks = Checks::default();
    let application = checks.optional("application", query.application.as_deref(), path::application);
    let endpoint = checks.optional("endpoint", query.endpoint.as_deref(), path::endpoint);
    let message = checks.optional("message", query.message.as_deref(), path::id::<MessageId>);
    let state = checks.optional("status", query.status.as_deref(), |text| {
        DeliveryState::parse(text).ok_or_else(|| {
            let message = "must be `pending`, `delivered`, `failed` or `cancelled`";
            InvalidValue::new(Rule::Unknown, message)
        })
    });
    let from = checks.optional("from", query.from.as_deref(), time::parse);
    let to = checks.optional("to", query.to.as_deref(), time::parse);
    let page = page::request(&query.page, &mut checks);
    let (application, endpoint, message, state, from, to, page) =
        checks.all((application, endpoint, message, state, from, to, page))?;
    Ok(SearchDeliveries {
        application,
        endpoint,
        message,
        state,
        from,
        to,
        page,
    })
}

/// A delivery that is on its way again.
#[derive(Serialize, ToSchema)]
pub(crate) struct Resent {
    /// The message.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    message: String,
    /// The endpoint.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zv"))]
    endpoint: String,
    /// Always `pending`.
    #[schema(examples("pending"))]
    status: &'static str,
}

impl Resent {
    /// The delivery of `message` to `endpoint`.
    pub(crate) fn new(message: MessageId, endpoint: EndpointId) -> Self {
        Self {
            message: message.to_string(),
            endpoint: endpoint.to_string(),
            status: "pending",
        }
    }
}

/// One HTTP try of a delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// Its number, from 1.
    #[schema(examples(1))]
    number: u32,
    /// When it began.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    started_at: String,
    /// How many milliseconds it took.
    #[schema(examples(12))]
    latency_ms: u64,
    /// How it ended.
    outcome: AttemptOutcome,
    /// Headers of the request, if one was sent (not after `policy`, `dns`, `connect`, `tls` and `internal`). They are not
    /// kept: they follow from the message, the attempt, and the endpoint's own headers as they are today. Of signatures and
    /// of the endpoint's own headers only the names are shown; `user-agent` and the like are left out.
    request_headers: Vec<AttemptHeader>,
    /// Headers of the receiver's answer, secret values masked: at most 32, and 4 KiB in all. Kept of failed attempts,
    /// unless the installation says otherwise.
    response_headers: Vec<AttemptHeader>,
    /// The beginning of the receiver's answer.
    response_body: ResponseBody,
}

/// How an attempt ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Outcome)]
pub(crate) struct AttemptOutcome {
    /// `delivered` or `failed`.
    #[schema(examples("failed"))]
    status: &'static str,
    /// Where it failed: `policy`, `dns`, `connect`, `tls`, `timeout`, `status`, `body` or `internal`.
    #[schema(required, examples("status"))]
    class: Option<&'static str>,
    /// The receiver's HTTP status, if it answered.
    #[schema(required, examples(503))]
    http_status: Option<u16>,
}

/// The beginning of a receiver's answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResponseBody {
    /// It as text.
    text: String,
    /// Whether some bytes were no UTF-8 and stand as U+FFFD.
    lossy: bool,
    /// Whether the receiver sent more than was kept.
    truncated: bool,
}

/// A header.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptHeader {
    /// Its name, in lower case.
    #[schema(examples("retry-after"))]
    name: String,
    /// Its value; `***` stands for one that is secret.
    #[schema(examples("120"))]
    value: String,
}

impl From<ShownAttempt> for Attempt {
    fn from(shown: ShownAttempt) -> Self {
        let view = shown.attempt;
        let header = |name: &str, value: &str| AttemptHeader {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let sent = shown.request_headers.iter();
        let answered = view.response_body.headers.pairs().iter();
        Self {
            request_headers: sent.map(|(name, value)| header(name, value)).collect(),
            response_headers: answered.map(|(name, value)| header(name, value)).collect(),
            number: view.number,
            started_at: time::show(view.started_at),
            latency_ms: u64::try_from(view.latency.as_millis()).unwrap_or(u64::MAX),
            outcome: view.outcome.into(),
            response_body: view.response_body.into(),
        }
    }
}

impl From<Outcome> for AttemptOutcome {
    fn from(outcome: Outcome) -> Self {
        let (status, class) = match outcome {
            Outcome::Delivered { .. } => ("delivered", None),
            Outcome::Failed { class, .. } => ("failed", Some(class.as_str())),
        };
        Self {
            status,
            class,
            http_status: outcome.status(),
        }
    }
}

impl From<CapturedBody> for ResponseBody {
    fn from(body: CapturedBody) -> Self {
        let (text, lossy) = match String::from_utf8(body.bytes) {
            Ok(text) => (text, false),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
        };
        Self {
            text,
            lossy,
            truncated: body.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_text_says_so() {
        let body = |bytes: &[u8]| {
            ResponseBody::from(CapturedBody {
                bytes: bytes.to_vec(),
                ..CapturedBody::default()
            })
        };
        assert!(!body(b"ok").lossy);
        let lossy = body(b"a\xff");
        assert!(lossy.lossy && lossy.text == "a\u{fffd}");
    }
}
