//! What goes to traces and logs, and what does not.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use actix_web::test::TestRequest;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use postrider_domain::{MessageId, TenantId};
use serde_json::json;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _};

use crate::support::{Api, Tenancy, message};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn publish(api: &Api, tenancy: &Tenancy, traceparent: Option<&str>) -> Option<String> {
    let mut request = TestRequest::post()
        .uri("/v1/applications/app-1/messages")
        .insert_header(("authorization", format!("Bearer {}", tenancy.owner)));
    if let Some(traceparent) = traceparent {
        request = request.insert_header(("traceparent", traceparent));
    }
    let answer = api.send(request.set_json(message())).await.expect(202);
    let (tenant, id): (TenantId, MessageId) =
        (tenancy.id.parse().unwrap(), answer.text("id").parse().unwrap());
    let messages = api.ports.material.messages(&[(tenant, id)]).await.unwrap();
    messages[&id]
        .trace
        .as_ref()
        .map(|trace| trace.as_str().to_owned())
}

#[actix_web::test]
async fn a_message_is_stored_with_the_trace_that_it_was_published_in() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let incoming = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(
        publish(&api, &tenancy, Some(&incoming)).await,
        None,
        "nothing is traced yet"
    );

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = Registry::default()
        .with(EnvFilter::new("postrider=info"))
        .with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);

    let joined = publish(&api, &tenancy, Some(&incoming)).await.unwrap();
    assert!(
        joined.starts_with(&format!("00-{TRACE}-")) && joined.ends_with("-01"),
        "{joined}"
    );
    assert_ne!(joined, incoming, "the parent is our own span");
    let spans = exporter.get_finished_spans().unwrap();
    let parent = joined.split('-').nth(2).unwrap();
    assert!(
        spans
            .iter()
            .any(|span| span.span_context.span_id().to_string() == parent)
    );
    let root = spans.iter().find(|span| span.name.starts_with("POST ")).unwrap();
    assert_eq!(root.name, "POST /v1/applications/{application}/messages");
    assert_eq!(root.parent_span_id.to_string(), "00f067aa0ba902b7");
    let attribute = |name: &str| {
        let found = root
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == name);
        found.unwrap_or_else(|| panic!("no {name}")).value.to_string()
    };
    assert_eq!(attribute("http.response.status_code"), "202");
    assert_eq!(attribute("tenant"), tenancy.id);

    for malformed in [
        "",
        "00-0-0-00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let own = publish(&api, &tenancy, Some(malformed)).await.unwrap();
        assert!(!own.contains(TRACE), "{malformed}");
    }
    assert!(publish(&api, &tenancy, None).await.is_some());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn logs_hold_no_secrets_payloads_addresses_or_queries() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "postrider=trace,actix_web=trace,tracing_actix_web=trace",
        ))
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let key = api.key(&tenancy.owner, json!([{"role": "admin"}])).await;
    let path = "/v1/applications/app-1/messages";
    let body = json!({"event_type": "a", "payload": "payload-hunter2", "event_id": "event-hunter2"});
    api.post(&key, path, body).await.expect(202);
    api.get(&key, "/v1/applications/app-1?query-hunter2")
        .await
        .expect(200);
    api.get("bearer-hunter2", "/v1/nowhere/hunter2").await.expect(401);
    api.get(&key, "/v1/nowhere/hunter2").await.expect(404);
    api.get("prk_hunter2_hunter2", "/v1").await.expect(401);
    api.get("pro_hunter2", "/v1").await.expect(401);
    api.post_raw(&key, "/v1/applications", r#"{"name":hunter2"#)
        .await
        .expect(400);
    let url = json!({"url": "https://user:hunter2@example.com"});
    api.post(&key, "/v1/applications/app-1/endpoints", url)
        .await
        .expect(422);
    let login = json!({"email": "hunter2@example.com", "password": "hunter2"});
    api.post("", "/v1/auth/login", login).await.expect(401);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("message.publish") && text.contains("POST /v1/applications/{application}/messages")
    );
    assert!(text.contains(&tenancy.id), "the tenant is named");
    for secret in [
        "hunter2",
        "owner@acme.example",
        "correct horse",
        "whsec_",
        &tenancy.owner,
        &key,
        &api.operator,
    ] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}
