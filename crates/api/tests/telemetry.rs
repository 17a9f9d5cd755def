//! What goes to traces and logs, and what does not. A process of its own: a subscriber is the whole process's affair,
//! because spans wander to the database's threads.

#![expect(
    clippy::unwrap_used,
    reason = "this is all tests; the lint excuses only functions marked so"
)]

#[path = "api/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests use the rest")]
mod support;

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use actix_web::test::TestRequest;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use postrider_domain::{MessageId, TenantId};
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan, layer::SubscriberExt as _};

use crate::support::{Api, Tenancy, message};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Others, of one test each.
const PUBLISHED: &str = "0af7651916cd43dd8448eb211c80319c";
const UNRECORDED: &str = "11111111111111112222222222222222";

/// All that the process logs.
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

/// Who listens to the whole process.
struct Ears {
    log: Log,
    spans: InMemorySpanExporter,
    _provider: SdkTracerProvider,
}

static EARS: LazyLock<Ears> = LazyLock::new(|| {
    let (log, spans) = (Log::default(), InMemorySpanExporter::default());
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let filter = EnvFilter::new("postrider=trace,actix_web=trace,tracing_actix_web=trace");
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
        .with(lines);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    Ears {
        log,
        spans,
        _provider: provider,
    }
});

async fn publish(api: &Api, tenancy: &Tenancy, traceparent: Option<&str>) -> String {
    publish_as("anybody", api, tenancy, traceparent).await
}

/// Publishes as a client of this name, which the request's span holds, and answers the trace that is stored.
async fn publish_as(agent: &str, api: &Api, tenancy: &Tenancy, traceparent: Option<&str>) -> String {
    let mut request = TestRequest::post()
        .uri("/v1/applications/app-1/messages")
        .insert_header(("user-agent", agent))
        .insert_header(("authorization", format!("Bearer {}", tenancy.owner)));
    if let Some(traceparent) = traceparent {
        request = request.insert_header(("traceparent", traceparent));
    }
    let answer = api.send(request.set_json(message())).await.expect(202);
    let (tenant, id): (TenantId, MessageId) =
        (tenancy.id.parse().unwrap(), answer.text("id").parse().unwrap());
    let messages = api.ports.material.messages(&[(tenant, id)]).await.unwrap();
    messages[&id]
        .whole()
        .unwrap()
        .trace
        .as_ref()
        .unwrap()
        .as_str()
        .to_owned()
}

#[actix_web::test]
async fn a_message_is_stored_with_the_trace_that_it_was_published_in() {
    let ears = &*EARS;
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let incoming = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let joined = publish(&api, &tenancy, Some(&incoming)).await;
    assert!(
        joined.starts_with(&format!("00-{TRACE}-")) && joined.ends_with("-01"),
        "{joined}"
    );
    assert_ne!(joined, incoming, "the parent is our own span");

    for malformed in [
        "",
        "00-0-0-00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let own = publish(&api, &tenancy, Some(malformed)).await;
        assert!(!own.contains(TRACE), "{malformed}");
    }
    assert!(!publish(&api, &tenancy, None).await.contains(TRACE));

    // The database's threads keep the spans of what they were asked until they are through with it.
    api.database.close().await.unwrap();
    let spans = ears.spans.get_finished_spans().unwrap();
    let parent = joined.split('-').nth(2).unwrap();
    assert!(
        spans
            .iter()
            .any(|span| span.span_context.span_id().to_string() == parent)
    );
    let root = spans
        .iter()
        .find(|span| span.parent_span_id.to_string() == "00f067aa0ba902b7")
        .unwrap();
    assert_eq!(root.name, "POST /v1/applications/{application}/messages");
    let attribute = |name: &str| {
        let found = root
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == name);
        found.unwrap_or_else(|| panic!("no {name}")).value.to_string()
    };
    assert_eq!(attribute("http.response.status_code"), "202");
    assert_eq!(attribute("tenant"), tenancy.id);
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == name)?;
    Some(found.value.to_string())
}

/// From the request down to what its message is delivered in, and to the commit that it waited for.
#[actix_web::test]
async fn a_publish_is_a_span_between_its_use_case_and_its_commit() {
    let ears = &*EARS;
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let joined = publish(
        &api,
        &tenancy,
        Some(&format!("00-{PUBLISHED}-00f067aa0ba902b7-01")),
    )
    .await;
    api.database.close().await.unwrap();
    let spans = ears.spans.get_finished_spans().unwrap();
    let of_trace = |name: &str| {
        let found: Vec<_> = spans
            .iter()
            .filter(|span| span.span_context.trace_id().to_string() == PUBLISHED && span.name == name)
            .collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    };
    let request = of_trace("POST /v1/applications/{application}/messages");
    let (use_case, send) = (of_trace("message.publish"), of_trace("publish"));
    assert_eq!(request.span_kind, SpanKind::Server);
    assert_eq!(use_case.parent_span_id, request.span_context.span_id());
    assert_eq!(send.parent_span_id, use_case.span_context.span_id());
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(
        joined,
        format!("00-{PUBLISHED}-{}-01", send.span_context.span_id()),
        "the message is delivered in the context of its publish"
    );
    for (key, value) in [
        ("messaging.system", "postrider"),
        ("messaging.operation.name", "publish"),
        ("messaging.operation.type", "send"),
    ] {
        assert_eq!(attribute(send, key).as_deref(), Some(value), "{key}");
    }
    assert!(
        attribute(send, "messaging.message.id")
            .unwrap()
            .starts_with("msg_")
    );
    assert!(
        attribute(send, "messaging.destination.name")
            .unwrap()
            .starts_with("app_")
    );
    for span in &spans {
        assert!(
            span.span_context.trace_id().to_string() != PUBLISHED
                || !format!("{span:?}").contains(&tenancy.owner),
            "{}",
            span.name
        );
    }
}

/// The caller's decision not to record holds, and nothing is built for nobody.
#[actix_web::test]
async fn of_a_publish_that_the_caller_does_not_record_no_spans_are_made() {
    let ears = &*EARS;
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let agent = "unrecorded-client";
    let incoming = format!("00-{UNRECORDED}-00f067aa0ba902b7-00");
    let joined = publish_as(agent, &api, &tenancy, Some(&incoming)).await;
    assert!(
        joined.starts_with(&format!("00-{UNRECORDED}-")) && joined.ends_with("-00"),
        "{joined}"
    );
    api.database.close().await.unwrap();
    let spans = ears.spans.get_finished_spans().unwrap();
    assert!(
        spans
            .iter()
            .all(|span| span.span_context.trace_id().to_string() != UNRECORDED)
    );
    let log = String::from_utf8(ears.log.0.lock().unwrap().clone()).unwrap();
    let of_request: Vec<_> = log.lines().filter(|line| line.contains(agent)).collect();
    assert!(
        of_request.iter().any(|line| line.contains("message.publish")),
        "the request itself is known to the log"
    );
    assert!(!of_request.iter().any(|line| line.contains("messaging.")));
}

#[actix_web::test]
async fn logs_hold_no_secrets_payloads_addresses_or_queries() {
    let ears = &*EARS;
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
    let tokens = everybody_comes_and_goes(&api, &tenancy.owner).await;

    let text = String::from_utf8(ears.log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("message.publish") && text.contains("POST /v1/applications/{application}/messages")
    );
    assert!(text.contains(&tenancy.id), "the tenant is named");
    assert!(
        text.contains("a refresh token was used twice"),
        "what matters is told"
    );
    let secrets = [
        "hunter2",
        "owner@acme.example",
        "grace@acme.example",
        "correct horse",
        "whsec_",
        &tenancy.owner,
        &key,
        &api.operator,
    ];
    for secret in secrets.into_iter().chain(tokens.iter().map(String::as_str)) {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}

/// Invited, logged in, refreshed twice with one token, given a new password; and a customer with a portal token.
/// Answers every token that there was.
async fn everybody_comes_and_goes(api: &Api, owner: &str) -> Vec<String> {
    let grants = json!([{"role": "viewer"}]);
    let grace = api.member(owner, "grace@acme.example", grants.clone()).await;
    let invited = api.invite(owner, "joan-hunter2@acme.example", grants).await;
    let next = api.refresh(&grace.refresh_token).await.expect(200);
    api.refresh(&grace.refresh_token).await.expect(401);
    let reset = api.password_reset(&grace.email).await;
    let body = json!({"token": reset, "password": "hunter2 hunter2"});
    api.post("", "/v1/auth/password-reset", body).await.expect(204);
    let body = json!({"current_password": "hunter2", "new_password": "hunter2 hunter2"});
    api.put(owner, "/v1/me/password", body).await.expect(401);
    let portal = json!({"permissions": ["endpoints:read"], "expires_in": 600});
    let portal = api
        .post(owner, "/v1/applications/app-1/portal-tokens", portal)
        .await
        .expect(201)
        .text("token");
    api.get(&portal, "/v1/applications/app-1").await.expect(403);
    vec![
        grace.token,
        grace.refresh_token,
        invited.expect(201).text("token"),
        next.text("refresh_token"),
        next.text("access_token"),
        reset,
        portal,
    ]
}
