//! One span an attempt, in the trace of the publish that it delivers.

use http::Uri;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use postrider_domain::{
    deliveries::Outcome,
    endpoints::EndpointUrl,
    messages::{Message, TraceParent},
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::attempt::Subject;

/// Whether the publish of `message` was traced, by whoever decides that: then its attempts are.
pub(crate) fn is_sampled(message: &Message) -> bool {
    let context = message.trace.as_ref().and_then(span_context);
    context.is_some_and(|context| context.is_sampled())
}

/// The span of attempt `number`. Names the host, if the URL can be read, never path or query: they often hold tokens.
pub(crate) fn attempt_span(
    subject: &Subject,
    url: Option<&EndpointUrl>,
    number: u32,
    message: &Message,
) -> Span {
    let uri: Option<Uri> = url.and_then(|url| url.as_str().parse().ok());
    let span = tracing::info_span!(
        parent: None,
        "deliver",
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.response.status_code = Empty,
        server.address = uri.as_ref().and_then(Uri::host),
        server.port = uri.as_ref().and_then(Uri::port_u16),
        url.scheme = uri.as_ref().and_then(Uri::scheme_str),
        error.r#type = Empty,
        tenant = %subject.tenant,
        application = %subject.application,
        message = %subject.message,
        endpoint = %subject.endpoint,
        attempt = number,
    );
    if let Some(parent) = message.trace.as_ref().and_then(span_context) {
        // Refused only where nothing exports spans; then the stored header is sent on as it is.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
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
        span.record("http.response.status_code", status);
    }
    if let Outcome::Failed { class, .. } = outcome {
        span.record("error.type", class.as_str());
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
    use super::*;

    #[test]
    fn a_stored_traceparent_becomes_a_remote_parent() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = span_context(&TraceParent::parse(text).unwrap()).unwrap();
        assert!(context.is_valid() && context.is_remote() && context.is_sampled());
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
    }
}
