//! One trace joins a publish to every attempt, and nothing secret is in it.
//!
//! Alone in its binary: tracing caches for the whole process whether anybody listens to a span, so a test beside it
//! that runs without a subscriber would race with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use postrider_testkit::Answer;
use std::time::Duration;
use support::world::World;
use tracing_subscriber::layer::SubscriberExt as _;

const URL: &str = "https://one.example:8443/hook/T0K3N?key=s3cret";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)?;
    Some(found.value.to_string())
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_in_the_trace_of_the_publish() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // For this thread, on which all of this test's tasks run.
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(503)]);
    let message = world.publish_traced(PARENT).await;
    let engine = world.start();
    let sent = world.sender.sent(2).await;
    world.settled_within(Duration::from_secs(1)).await;
    engine.begin_shutdown();
    engine.ended().await;

    let spans = exporter.get_finished_spans().unwrap();
    let spans: Vec<_> = spans.iter().filter(|span| span.name == "deliver").collect();
    assert_eq!(spans.len(), 2);
    for (number, (span, request)) in spans.iter().zip(&sent).enumerate() {
        assert_eq!(
            span.span_context.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(span.span_kind, SpanKind::Client);
        let own = format!(
            "00-{}-{}-01",
            span.span_context.trace_id(),
            span.span_context.span_id()
        );
        assert_eq!(request.header("traceparent"), Some(own.as_str()));
        for (key, value) in [
            ("http.request.method", "POST".to_owned()),
            ("server.address", "one.example".to_owned()),
            ("server.port", "8443".to_owned()),
            ("url.scheme", "https".to_owned()),
            ("tenant", world.tenancy.id.to_string()),
            ("application", world.customer.id.to_string()),
            ("message", message.to_string()),
            ("endpoint", endpoint.to_string()),
            ("attempt", (number + 1).to_string()),
        ] {
            assert_eq!(attribute(span, key), Some(value), "{key}");
        }
        let text = format!("{span:?}");
        assert!(
            !text.contains("T0K3N") && !text.contains("s3cret") && !text.contains("/hook"),
            "{text}"
        );
    }
    assert_eq!(
        attribute(spans[0], "http.response.status_code").as_deref(),
        Some("503")
    );
    assert_eq!(attribute(spans[0], "error.type").as_deref(), Some("status"));
    assert!(matches!(spans[0].status, Status::Error { .. }));
    assert_eq!(
        attribute(spans[1], "http.response.status_code").as_deref(),
        Some("204")
    );
    assert_eq!(attribute(spans[1], "error.type"), None);
}
