//! The happy path of every route: status, telling headers and body.

use std::sync::Arc;

use actix_web::test::TestRequest;
use insta::assert_snapshot;
use postrider_api::Subject;
use postrider_domain::deliveries::{FailureClass, Outcome};
use serde_json::json;

use crate::support::{Api, Setup, endpoint, message, ready};

#[actix_web::test]
async fn health_and_documents() {
    let api = Api::start().await;
    assert_snapshot!("health_live", api.get("", "/health/live").await.snapshot());
    assert_snapshot!("health_ready", api.get("", "/health/ready").await.snapshot());
    assert_snapshot!("health_startup", api.get("", "/health/startup").await.snapshot());
    assert_snapshot!("jwks", api.get("", "/.well-known/jwks.json").await.snapshot());
    let document = api.get("", "/openapi.json").await.expect(200);
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.body, postrider_api::openapi_json());
    let page = api.get("", "/problems/validation_failed").await.expect(200);
    assert_eq!(page.header("content-type"), "text/markdown; charset=utf-8");
    assert!(page.body.starts_with(b"# The request breaks one or more rules"));
    api.get("", "/problems/unheard_of")
        .await
        .problem(404, "not_found");
}

#[actix_web::test]
async fn a_node_that_cannot_serve_says_why() {
    let health = Arc::new(ready());
    let api = Api::start_with(Setup {
        health: health.clone(),
        ..Setup::default()
    })
    .await;
    health.report(Subject::Engine, false, "holds no lease");
    assert_snapshot!("health_not_ready", api.get("", "/health/ready").await.snapshot());
    api.get("", "/health/live").await.expect(200);
    health.report(Subject::Engine, true, "holds its lease");
    api.get("", "/health/ready").await.expect(200);
    health.drain();
    api.get("", "/health/ready").await.expect(503);
    // It still answers whoever comes.
    api.get("", "/health/startup").await.expect(200);
    api.get(&api.operator, "/v1/operator/status").await.expect(200);
}

#[actix_web::test]
async fn tenants_logins_and_keys() {
    let api = Api::start().await;
    let body = json!({
        "name": "Acme",
        "owner": {"email": "Ada@Example.com", "name": "Ada", "password": "correct horse battery staple"}
    });
    let tenant = api
        .post(&api.operator, "/v1/operator/tenants", body.clone())
        .await;
    assert_snapshot!("create_tenant", tenant.snapshot());
    let again = api
        .post(&api.operator, "/v1/operator/tenants", body.clone())
        .await;
    assert_snapshot!("create_tenant_owner_exists", again.snapshot());
    let mut body = body;
    body["owner"]["may_be_known"] = true.into();
    let again = api
        .post(&api.operator, "/v1/operator/tenants", body)
        .await
        .expect(201);
    assert_eq!(again.json()["owner"]["existed"], true);
    assert_eq!(again.json()["owner"]["id"], tenant.json()["owner"]["id"]);

    // A member of several tenants names one.
    let login = json!({"email": "ada@example.com", "password": "correct horse battery staple"});
    let several = api.post("", "/v1/auth/login", login.clone()).await;
    assert_snapshot!("log_in_tenant_required", several.snapshot());
    let mut named = login.clone();
    named["tenant"] = tenant.json()["id"].clone();
    let token = api.post("", "/v1/auth/login", named.clone()).await;
    assert_snapshot!("log_in", token.snapshot());
    named["password"] = "wrong".into();
    let wrong = api.post("", "/v1/auth/login", named.clone()).await;
    assert_snapshot!("log_in_wrong_password", wrong.snapshot());
    named["email"] = "nobody@example.com".into();
    let unknown = api.post("", "/v1/auth/login", named).await;
    assert_eq!(
        unknown.snapshot(),
        wrong.snapshot(),
        "unknown people are answered alike"
    );

    let body =
        json!({"name": "billing", "grants": [{"role": "publisher"}], "expires_at": "2027-01-01T00:00:00Z"});
    let key = api.post(&token.text("access_token"), "/v1/api-keys", body).await;
    assert_snapshot!("mint_api_key", key.snapshot());
    assert!(key.text("token").starts_with("prk_"));
}

#[actix_web::test]
async fn applications_and_event_types() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let body = json!({"name": " Customer 42 ", "uid": "customer-42", "metadata": {"plan": "gold"}});
    let created = api.post(&owner, "/v1/applications", body.clone()).await;
    assert_snapshot!("create_application", created.snapshot());
    let location = created.header("location").to_owned();
    let by_id = api.get(&owner, &location).await.expect(200);
    let by_uid = api.get(&owner, "/v1/applications/customer-42").await.expect(200);
    assert_eq!(by_id.json(), created.json());
    assert_eq!(by_uid.json(), created.json());
    let again = api.post(&owner, "/v1/applications", body).await;
    assert_snapshot!("create_application_uid_taken", again.snapshot());

    let body = json!({"name": "invoice.paid", "description": "An invoice was paid."});
    let created = api.post(&owner, "/v1/event-types", body.clone()).await;
    assert_snapshot!("register_event_type", created.snapshot());
    let read = api.get(&owner, created.header("location")).await.expect(200);
    assert_eq!(read.json(), created.json());
    api.post(&owner, "/v1/event-types", body)
        .await
        .problem(409, "event_type_exists");
}

#[actix_web::test]
async fn endpoints() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let path = "/v1/applications/app-1/endpoints";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = json!({
        "url": "https://EXAMPLE.com/hook?x=1", "uid": "billing", "description": "Billing",
        "event_types": ["invoice.paid", "invoice.created"], "channels": ["eu"], "secret": secret,
        "retry_policy": {"schedule_seconds": [5, 300]}, "timeout_ms": 5000, "metadata": {"team": "a"}
    });
    let created = api.post(&tenancy.owner, path, body).await;
    assert_snapshot!("create_endpoint", created.snapshot());
    assert_eq!(created.text("secret"), secret);
    let generated = api
        .post(&tenancy.owner, path, endpoint("other"))
        .await
        .expect(201);
    assert!(generated.text("secret").starts_with("whsec_"));
    api.post(&tenancy.owner, path, endpoint("other"))
        .await
        .problem(409, "uid_taken");

    let billing = format!("{path}/billing");
    let read = api.get(&tenancy.owner, &billing).await;
    assert_snapshot!("get_endpoint", read.snapshot());
    assert_eq!(
        api.get(&tenancy.owner, created.header("location")).await.json(),
        read.json()
    );
    let shown = api.get(&tenancy.owner, &format!("{billing}/secret")).await;
    assert_snapshot!("get_endpoint_secret", shown.snapshot());
    assert_eq!(shown.text("secret"), secret);

    let disabled = api.act(&tenancy.owner, &format!("{billing}/disable")).await;
    assert_snapshot!("disable_endpoint", disabled.snapshot());
    let twice = api
        .act(&tenancy.owner, &format!("{billing}/disable"))
        .await
        .expect(200);
    assert_eq!(twice.json(), disabled.json());
    let enabled = api
        .act(&tenancy.owner, &format!("{billing}/enable"))
        .await
        .expect(200);
    assert_eq!(enabled.json(), read.json());
}

#[actix_web::test]
async fn messages() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let path = "/v1/applications/app-1/messages";
    let payload = "{ \"z\": 1.50,\n  \"a\": \"\\u0000\\u00e9é\", \"z\": [] }";
    let body = format!(
        r#"{{"event_type":"invoice.paid","channels":["eu","a"],"event_id":"evt-1","payload": {payload} }}"#
    );
    let published = api.post_raw(&tenancy.owner, path, body.clone()).await;
    assert_snapshot!("publish_message", published.snapshot());
    let location = published.header("location").to_owned();
    let read = api.get(&tenancy.owner, &location).await;
    assert_snapshot!("get_message", read.snapshot());
    let bytes = api
        .get(&tenancy.owner, &format!("{location}/payload"))
        .await
        .expect(200);
    assert_snapshot!("get_payload", bytes.snapshot());
    assert_eq!(bytes.body, payload);

    let replayed = api.post_raw(&tenancy.owner, path, body.clone()).await.expect(202);
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert_eq!(replayed.body, published.body);
    let conflict = api
        .post_raw(&tenancy.owner, path, body.replace("1.50", "1.5"))
        .await;
    assert_snapshot!("publish_message_conflict", conflict.snapshot());
}

#[actix_web::test]
async fn an_idempotency_key_makes_a_repetition_recognisable() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let publish = |keys: &'static [&'static str], body: serde_json::Value| {
        let mut request = TestRequest::post()
            .uri("/v1/applications/app-1/messages")
            .insert_header(("authorization", format!("Bearer {}", tenancy.owner)));
        for key in keys {
            request = request.append_header(("idempotency-key", *key));
        }
        api.send(request.set_json(body))
    };
    let first = publish(&["k-1"], message()).await.expect(202);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let second = publish(&["k-1"], message()).await.expect(202);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.body, first.body);
    let other = publish(&["k-2"], message()).await.expect(202);
    assert_ne!(other.text("id"), first.text("id"));

    let mut both = message();
    both["event_id"] = "evt".into();
    let fault = |field: &str, rule: &str| vec![(field.to_owned(), rule.to_owned())];
    assert_eq!(
        publish(&["k-3"], both).await.violations(),
        fault("event_id", "exclusive")
    );
    assert_eq!(
        publish(&[""], message()).await.violations(),
        fault("Idempotency-Key", "required")
    );
    assert_eq!(
        publish(&["a", "b"], message()).await.violations(),
        fault("Idempotency-Key", "charset")
    );
    assert_eq!(
        publish(&["é"], message()).await.violations(),
        fault("Idempotency-Key", "charset")
    );
}

#[actix_web::test]
async fn deliveries_and_attempts() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let message = format!(
        "/v1/applications/{}/messages/{}",
        tenancy.application, tenancy.message
    );
    let deliveries = format!("{message}/deliveries");
    let delivery = format!("{deliveries}/{}", tenancy.endpoint);
    let empty = api.get(&tenancy.owner, &deliveries).await;
    assert_snapshot!("list_deliveries_empty", empty.snapshot());

    let failed = Outcome::Failed {
        class: FailureClass::TimeOut,
        status: None,
    };
    let outcomes = [
        (failed, &b""[..]),
        (Outcome::of_status(503), b"not now, \xff and more"),
        (Outcome::of_status(200), b"thanks"),
    ];
    api.deliver(&tenancy.message, &tenancy.endpoint, &outcomes).await;
    assert_snapshot!(
        "list_deliveries",
        api.get(&tenancy.owner, &deliveries).await.snapshot()
    );
    let attempts = format!("{delivery}/attempts");
    assert_snapshot!(
        "list_attempts",
        api.get(&tenancy.owner, &attempts).await.snapshot()
    );

    let first = api
        .get(&tenancy.owner, &format!("{attempts}?limit=2"))
        .await
        .expect(200);
    assert_eq!(first.json()["data"].as_array().unwrap().len(), 2);
    let next = format!("{attempts}?limit=2&cursor={}", first.text("next"));
    let second = api.get(&tenancy.owner, &next).await.expect(200).json();
    assert_eq!(
        (&second["data"][0]["number"], &second["next"]),
        (&json!(3), &json!(null))
    );

    let resent = api.act(&tenancy.owner, &format!("{delivery}/resend")).await;
    assert_snapshot!("resend_delivery", resent.snapshot());
    let again = api.act(&tenancy.owner, &format!("{delivery}/resend")).await;
    assert_snapshot!("resend_delivery_pending", again.snapshot());
    let pending = api.get(&tenancy.owner, &deliveries).await.expect(200).json();
    assert_eq!(pending["data"][0]["status"], "pending");
    assert!(pending["data"][0]["due_at"].is_string());
}

#[actix_web::test]
async fn without_a_database_the_answer_is_try_again() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    api.database.close().await.unwrap();
    let path = "/v1/applications/app-1";
    let answer = api.get(&tenancy.owner, path).await;
    assert_snapshot!("unavailable", answer.snapshot());
    answer.problem(503, "unavailable");
    let login = json!({"email": "owner@acme.example", "password": "x"});
    api.post("", "/v1/auth/login", login)
        .await
        .problem(503, "unavailable");
    // What can be told without it, is: this is no API key, and nobody looked for it.
    api.get("prk_x", path).await.problem(401, "unauthenticated");
    api.get("", "/health/live").await.expect(200);
}

#[actix_web::test]
async fn replays_stats_and_lists_of_deliveries() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    api.deliver(
        &tenancy.message,
        &tenancy.endpoint,
        &[(Outcome::of_status(503), b"busy")],
    )
    .await;
    let owner = &tenancy.owner;
    let endpoint = format!("/v1/applications/app-1/endpoints/{}", tenancy.endpoint);
    let body = json!({"mode": "missing", "from": "2020-01-01T00:00:00Z", "limit": 10});
    let created = api.post(owner, &format!("{endpoint}/replays"), body).await;
    assert_snapshot!("create_replay", created.snapshot());
    let location = created.header("location").to_owned();
    assert_eq!(api.get(owner, &location).await.expect(200).json(), created.json());
    let listed = api.get(owner, &format!("{endpoint}/replays")).await.expect(200);
    assert_eq!(listed.json()["data"][0], created.json());
    let cancelled = api.act(owner, &format!("{location}/cancel")).await;
    assert_snapshot!("cancel_replay", cancelled.snapshot());
    let bad = json!({"mode": "some", "from": "yesterday", "limit": 0});
    let bad = api.post(owner, &format!("{endpoint}/replays"), bad).await;
    assert_snapshot!("create_replay_bad", bad.snapshot());

    let found = api.get(owner, "/v1/deliveries?application=app-1").await;
    assert_snapshot!("search_deliveries", found.snapshot());
    let pending = api.get(owner, "/v1/deliveries?status=pending").await.expect(200);
    assert_eq!(pending.json()["data"], found.json()["data"]);
    let unbounded = api.get(owner, "/v1/deliveries?status=delivered").await;
    assert_snapshot!("search_deliveries_unbounded", unbounded.snapshot());
    let path = "/v1/deliveries?application=a%20b&endpoint=%20&message=x&status=y&from=z&limit=0";
    let bad = api.get(owner, path).await;
    assert_snapshot!("search_deliveries_bad", bad.snapshot());

    let stats = api.get(owner, &format!("{endpoint}/stats?period=1h")).await;
    assert_snapshot!("endpoint_stats", stats.snapshot());
    api.get(owner, &format!("{endpoint}/stats?period=2h"))
        .await
        .problem(422, "validation_failed");
    let usage = api
        .get(owner, "/v1/tenant/usage?from=2026-11-01&to=2026-11-02")
        .await;
    assert_snapshot!("usage", usage.snapshot());
    api.get(owner, "/v1/tenant/usage?from=2026-11-02&to=2026-11-01")
        .await
        .problem(422, "validation_failed");
}
