//! The root span of each request, by OpenTelemetry's HTTP conventions, and the trace that a message is
//! published in.
//!
//! Spans hold routes and statuses; never queries, headers that carry credentials, or bodies.

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, Version},
};
use opentelemetry::{
    Context, KeyValue, global,
    metrics::Counter,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use postrider_application::ports::{RelayMetrics, TracePropagation};
use postrider_domain::messages::TraceParent;
use tracing::{Span, field::Empty};
use tracing_actix_web::RootSpanBuilder;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{measure::Route, request_id::RequestId};

/// The most bytes of a user agent that are kept.
const MAX_USER_AGENT: usize = 128;

/// Builds the root span and joins it to the caller's trace.
pub(crate) struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let method = known_method(request.method());
        let extensions = request.extensions();
        let route = extensions.get::<Route>();
        let request_id = extensions
            .get::<RequestId>()
            .map(ToString::to_string)
            .unwrap_or_default();
        // No path: beside ids it may hold what a customer is called, and before authentication anything.
        let route = route.map_or("unknown", Route::as_str);
        let agent = user_agent(request);
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            url.scheme = scheme(request),
            network.protocol.version = protocol_version(request.version()),
            user_agent.original = agent,
            error.r#type = Empty,
            request_id,
            tenant = Empty,
            principal = Empty,
        );
        if let Some(parent) = request.headers().get("traceparent").and_then(|h| h.to_str().ok())
            && let Some(context) = remote(parent)
        {
            // Fails only where no OpenTelemetry layer listens; then there is no trace to join.
            let _ = span.set_parent(Context::new().with_remote_span_context(context));
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", status.as_str());
        }
    }
}

/// Whatever a stranger sends as a method must not name spans (OpenTelemetry's convention for HTTP spans).
pub(crate) const fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

/// What the connection itself says; a proxy in front may have been asked by another.
fn scheme(request: &ServiceRequest) -> &'static str {
    if request.app_config().secure() {
        "https"
    } else {
        "http"
    }
}

const fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

fn user_agent(request: &ServiceRequest) -> String {
    let text = request
        .headers()
        .get("user-agent")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // `to_str` answers visible ASCII only, so every index is a character boundary.
    text[..text.len().min(MAX_USER_AGENT)].to_owned()
}

/// The span that a `traceparent` names.
fn remote(text: &str) -> Option<SpanContext> {
    let parent = TraceParent::parse(text).ok()?;
    let mut parts = parent.as_str().split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    Some(SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        // Only the bit that we know.
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    ))
}

/// The current trace, by the OpenTelemetry layer of the subscriber; nothing where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct OtelTracePropagation;

impl TracePropagation for OtelTracePropagation {
    fn current(&self) -> Option<TraceParent> {
        let context = Span::current().context();
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return None;
        }
        let text = format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags().to_u8()
        );
        TraceParent::parse(&text).ok()
    }
}

/// What the relay does, as metrics of OpenTelemetry; costs next to nothing where metrics are not exported.
pub(crate) struct OtelRelayMetrics {
    set_aside: Counter<u64>,
}

impl OtelRelayMetrics {
    /// Counts for these subscribers, from nothing on.
    pub(crate) fn new(subscribers: &[&'static str]) -> Self {
        let set_aside = global::meter("postrider")
            .u64_counter("postrider.relay.set_aside")
            .with_unit("{event}")
            .with_description(
                "Events that a subscriber could not take and that were set aside, by subscriber",
            )
            .build();
        for subscriber in subscribers {
            set_aside.add(0, &[KeyValue::new("subscriber", *subscriber)]);
        }
        Self { set_aside }
    }
}

impl RelayMetrics for OtelRelayMetrics {
    fn set_aside(&self, subscriber: &'static str) {
        self.set_aside.add(1, &[KeyValue::new("subscriber", subscriber)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_traced_there_is_no_trace() {
        assert_eq!(OtelTracePropagation.current(), None);
    }

    #[test]
    fn a_remote_parent_is_what_the_header_says() {
        let context = remote("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff").unwrap();
        assert!(context.is_remote() && context.is_sampled());
        assert_eq!(
            context.trace_flags().to_u8(),
            1,
            "flags that we do not know are not passed on"
        );
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(remote("00-00000000000000000000000000000000-00f067aa0ba902b7-01").is_none());
    }
}
