//! Spans of what happens to a message after its publish, in the trace of that publish.
//!
//! Spans are not for free (some 8 us each), so none is built for nothing: whether a publish is recorded was decided
//! with it, and is stored with its message.
//!
//! An attempt is joined to the one before it, which may have been made days ago on another node. Nothing is kept for
//! that: the id of an attempt's span follows from which attempt it is ([`next_span_id`]).

use std::cell::Cell;

use http::Uri;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use postrider_application::ports::ClaimedWork;
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{FailureClass, Outcome},
    endpoints::EndpointUrl,
    messages::{Message, TraceParent},
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::attempt::Subject;

thread_local! {
    /// The id of the span that is begun next on this thread, if it matters which it gets.
    static NEXT: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// The id that the span must have which is begun on this thread now; none: any. The tracer's generator of ids asks;
/// with one that does not, links between attempts lead nowhere.
pub fn next_span_id() -> Option<SpanId> {
    NEXT.take()
}

/// The id of the span of an attempt, the same wherever and whenever it is worked out: FNV-1a of which attempt it is,
/// mixed once more, so that neighbours are not alike. Whoever changes it breaks the links to attempts that were made
/// before. An attempt that is repeated because its outcome could not be written has the id of the first.
pub(crate) fn attempt_id(message: MessageId, endpoint: EndpointId, number: u32) -> SpanId {
    let (message, endpoint) = (message.as_uuid(), endpoint.as_uuid());
    let number = number.to_be_bytes();
    let bytes = message
        .as_bytes()
        .iter()
        .chain(endpoint.as_bytes())
        .chain(&number);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Zero is no id.
    SpanId::from((hash ^ (hash >> 31)).max(1))
}

/// Whether the publish of `message` is recorded, by whoever decided that: then what follows it is, too.
pub(crate) fn is_sampled(message: &Message) -> bool {
    message.trace.as_ref().is_some_and(TraceParent::is_sampled)
}

/// The context of a trace that is recorded.
fn recorded(trace: Option<&TraceParent>) -> Option<SpanContext> {
    trace.filter(|trace| trace.is_sampled()).and_then(span_context)
}

/// The span of a message being fanned out to `endpoints`, `parked` of which must wait; none if nobody records it.
pub(crate) fn fan_out_span(work: &ClaimedWork, message: &Message) -> Span {
    let Some(publish) = recorded(message.trace.as_ref()) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        parent: None,
        "fan_out",
        otel.kind = "consumer",
        messaging.system = "postrider",
        messaging.operation.name = "fan_out",
        messaging.operation.r#type = "process",
        messaging.destination.name = %work.application,
        messaging.message.id = %work.message,
        tenant = %work.tenant,
        endpoints = Empty,
        parked = Empty,
    );
    adopt(&span, publish);
    span
}

/// A span of a try to commit what `caller` waits for, of a batch of `rows`.
pub(crate) fn commit_span(caller: &Span, system: &'static str, rows: usize) -> Span {
    tracing::info_span!(
        parent: caller,
        "commit",
        otel.name = "commit messages",
        otel.kind = "client",
        otel.status_code = Empty,
        error.r#type = Empty,
        db.system.name = system,
        db.operation.name = "commit",
        db.collection.name = "messages",
        // By the convention only of more than one.
        db.operation.batch.size = (rows > 1).then(|| whole(rows)),
    )
}

/// Notes that a try to commit failed.
pub(crate) fn record_failure(span: &Span, kind: &'static str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// The span of attempt `number`; none if nobody records it. Names the host, if the URL can be read, never path or
/// query: they often hold tokens.
///
/// Its parent is the publish. It is linked to the attempt before it, and to whoever asked for it, if somebody did. If
/// only the latter is recorded, it is the parent, and the publish is linked.
pub(crate) fn attempt_span(
    subject: &Subject,
    asked_in: Option<&TraceParent>,
    url: Option<&EndpointUrl>,
    number: u32,
    message: &Message,
) -> Span {
    let publish = message.trace.as_ref().and_then(span_context);
    let asked = recorded(asked_in);
    let Some(parent) = recorded(message.trace.as_ref()).or_else(|| asked.clone()) else {
        return Span::none();
    };
    let uri: Option<Uri> = url.and_then(|url| url.as_str().parse().ok());
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let port = uri.as_ref().and_then(Uri::port_u16);
    let span = tracing::info_span!(
        parent: None,
        "deliver",
        otel.name = "POST",
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.request.resend_count = (number > 1).then(|| i64::from(number - 1)),
        http.request.body.size = whole(message.payload.bytes().len()),
        http.response.status_code = Empty,
        server.address = uri.as_ref().and_then(Uri::host),
        server.port = port
            .or_else(|| scheme.map(|scheme| if scheme == "http" { 80 } else { 443 }))
            .map(i64::from),
        url.scheme = scheme,
        error.r#type = Empty,
        tenant = %subject.tenant,
        application = %subject.application,
        message = %subject.message,
        endpoint = %subject.endpoint,
        attempt = i64::from(number),
    );
    if number > 1 && is_sampled(message) {
        let before = attempt_id(subject.message, subject.endpoint, number - 1);
        link(&span, before_in(&parent, before), "retry");
    }
    if let Some(asked) = asked {
        if asked == parent {
            if let Some(publish) = publish {
                link(&span, publish, "publish");
            }
        } else {
            link(&span, asked, "asked_by");
        }
    }
    NEXT.set(Some(attempt_id(subject.message, subject.endpoint, number)));
    adopt(&span, parent);
    // Begun here and now, so that it gets that id.
    drop(span.context());
    NEXT.set(None);
    span
}

/// A number as spans have them: an unsigned one would be exported as text.
pub(crate) fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Makes `parent` the span's parent.
fn adopt(span: &Span, parent: SpanContext) {
    // Refused only where nothing exports spans.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// Joins the span to another, and says what that is to it.
fn link(span: &Span, to: SpanContext, kind: &'static str) {
    span.add_link_with_attributes(to, vec![KeyValue::new("postrider.link", kind)]);
}

/// Another span of the trace that `context` is of.
fn before_in(context: &SpanContext, id: SpanId) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        id,
        context.trace_flags(),
        true,
        TraceState::default(),
    )
}

/// The `traceparent` to send: the attempt's own, or the publish's if this process records none.
pub(crate) fn outgoing_traceparent(span: &Span, message: &Message) -> Option<String> {
    if !span.is_none() {
        let context = span.context();
        let own = context.span().span_context().clone();
        if !own.is_valid() {
            return stored(message);
        }
        let flags = own.trace_flags() & TraceFlags::SAMPLED;
        return Some(format!(
            "00-{}-{}-{:02x}",
            own.trace_id(),
            own.span_id(),
            flags.to_u8()
        ));
    }
    stored(message)
}

fn stored(message: &Message) -> Option<String> {
    message.trace.as_ref().map(|trace| trace.as_str().to_owned())
}

/// Notes how the attempt ended.
pub(crate) fn record_outcome(span: &Span, outcome: Outcome) {
    if let Some(status) = outcome.status() {
        span.record("http.response.status_code", i64::from(status));
    }
    if let Outcome::Failed { class, status } = outcome {
        match status {
            // What the convention wants: the status says it best.
            Some(status) if class == FailureClass::Status => {
                span.record("error.type", status.to_string().as_str())
            }
            _ => span.record("error.type", class.as_str()),
        };
        span.record("otel.status_code", "ERROR");
    }
}

fn span_context(trace: &TraceParent) -> Option<SpanContext> {
    let mut parts = trace.as_str().split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let span_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some(SpanContext::new(
        trace_id,
        span_id,
        TraceFlags::new(flags),
        true,
        TraceState::default(),
    ))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_stored_traceparent_becomes_a_remote_parent() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = span_context(&TraceParent::parse(text).unwrap()).unwrap();
        assert!(context.is_valid() && context.is_remote() && context.is_sampled());
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
    }

    /// Pinned: nodes of two releases must agree, and attempts of last week must be found.
    #[test]
    fn the_id_of_an_attempts_span_follows_from_which_attempt_it_is() {
        let (message, endpoint) = (
            MessageId::from_uuid(Uuid::from_u128(1)),
            EndpointId::from_uuid(Uuid::from_u128(2)),
        );
        let ids = [1, 2].map(|number| attempt_id(message, endpoint, number).to_string());
        assert_eq!(ids, ["f3b3e7057bda7804", "a3f5c3f966105b68"]);
        let other = EndpointId::from_uuid(Uuid::from_u128(3));
        assert_ne!(ids[0], attempt_id(message, other, 1).to_string());
    }

    #[test]
    fn an_id_is_given_once() {
        NEXT.set(Some(SpanId::from(7)));
        assert_eq!(next_span_id(), Some(SpanId::from(7)));
        assert_eq!(next_span_id(), None);
    }
}
