//! Applications and endpoints as resources: replaced, changed, deleted, listed; headers, secrets, tests.

use actix_web::{http::Method, test::TestRequest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{Answer, Api, Tenancy};

const ENDPOINTS: &str = "/v1/applications/app-1/endpoints";

async fn given() -> (Api, Tenancy) {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    (api, tenancy)
}

impl Api {
    /// Any method, of a resource at that version.
    async fn at(
        &self,
        token: &str,
        method: Method,
        path: &str,
        version: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = TestRequest::default()
            .method(method)
            .uri(path)
            .insert_header(("authorization", format!("Bearer {token}")))
            .insert_header(("if-match", version));
        if let Some(body) = body {
            request = request.set_json(body);
        }
        self.send(request).await
    }
}

fn fault(answer: Answer) -> (String, String) {
    let mut all = answer.violations();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn is(field: &str, rule: &str) -> (String, String) {
    (field.to_owned(), rule.to_owned())
}

#[actix_web::test]
async fn an_application_is_put_patched_and_deleted() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = "/v1/applications/customer-7";
    let body = json!({"name": "Seven", "metadata": {"plan": "gold"}});
    let created = api.put(owner, path, body.clone()).await.expect(201);
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.text("uid"), "customer-7");
    let location = created.header("location").to_owned();
    let again = api.put(owner, path, body).await.expect(200);
    assert_eq!((again.header("etag"), again.json()), ("\"1\"", created.json()));
    let replaced = api.put(owner, path, json!({"name": "Seven!"})).await.expect(200);
    assert_eq!(
        (replaced.header("etag"), &replaced.json()["metadata"]),
        ("\"2\"", &json!({}))
    );

    let body = json!({"metadata": {"plan": "silver", "gone": null}});
    let patched = api.patch(owner, &location, body).await.expect(200);
    assert_eq!(patched.json()["metadata"], json!({"plan": "silver"}));
    assert_eq!(patched.text("name"), "Seven!");
    let read = api.get(owner, path).await.expect(200);
    assert_eq!((read.header("etag"), read.json()), ("\"3\"", patched.json()));
    let cleared = api.patch(owner, path, json!({"uid": null})).await.expect(200);
    assert_eq!(cleared.json()["uid"], Value::Null);
    api.get(owner, path).await.problem(404, "not_found");
    let null = api.patch(owner, &location, json!({"name": null})).await;
    assert_eq!(fault(null), is("name", "required"));
    let taken = api.patch(owner, &location, json!({"uid": "app-1"})).await;
    taken.problem(409, "uid_taken");

    let refused = |answer: Answer| answer.problem(412, "precondition_failed");
    refused(
        api.at(owner, Method::PATCH, &location, "\"3\"", Some(json!({})))
            .await,
    );
    refused(api.at(owner, Method::DELETE, &location, "\"3\"", None).await);
    refused(
        api.at(owner, Method::PUT, path, "*", Some(json!({"name": "x"})))
            .await,
    );
    refused(
        api.at(
            owner,
            Method::PUT,
            &location,
            "W/\"4\"",
            Some(json!({"name": "x"})),
        )
        .await,
    );
    let unknown = "/v1/applications/app_01h455vb4pex5vsknk084sn02q";
    api.put(owner, unknown, json!({"name": "x"}))
        .await
        .problem(404, "not_found");
    let deleted = api
        .at(owner, Method::DELETE, &location, "\"4\"", None)
        .await
        .expect(204);
    assert!(deleted.body.is_empty());
    api.delete(owner, &location).await.problem(404, "not_found");
    api.get(owner, &location).await.problem(404, "not_found");
    // The tenant's other webhooks have an application like any other.
    api.put(owner, "/v1/applications/operational", json!({"name": "Ours"}))
        .await
        .expect(201);
}

#[actix_web::test]
async fn an_endpoint_is_put_patched_listed_and_deleted() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = format!("{ENDPOINTS}/billing");
    let body = json!({"url": "https://example.com/a", "event_types": ["a.b"], "timeout_ms": 5000});
    let created = api.put(owner, &path, body.clone()).await.expect(201);
    assert!(created.text("secret").starts_with("whsec_"));
    assert_eq!(created.header("cache-control"), "no-store");
    let location = created.header("location").to_owned();
    let again = api.put(owner, &path, body).await.expect(200);
    assert_eq!(again.header("etag"), "\"1\"");
    assert!(again.json().get("secret").is_none(), "it is shown once");
    let replaced = api
        .put(owner, &path, json!({"url": "https://example.com/b"}))
        .await
        .expect(200);
    assert_eq!(
        (&replaced.json()["event_types"], &replaced.json()["timeout_ms"]),
        (&json!([]), &Value::Null)
    );

    let body = json!({"channels": ["eu"], "metadata": {"team": "a"}, "description": "Billing",
        "retry_policy": {"schedule_seconds": [5]}});
    let patched = api.patch(owner, &location, body).await.expect(200);
    assert_eq!(patched.header("etag"), "\"3\"");
    let body = json!({"channels": null, "retry_policy": null, "description": null, "uid": "other"});
    let cleared = api.patch(owner, &path, body).await.expect(200).json();
    assert_eq!(
        (&cleared["channels"], &cleared["retry_policy"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(
        (&cleared["uid"], &cleared["metadata"]["team"]),
        (&json!("other"), &json!("a"))
    );
    api.get(owner, &path).await.problem(404, "not_found");
    for (body, field, rule) in [
        (json!({"url": null}), "url", "required"),
        (json!({"url": "http://10.0.0.1/"}), "url", "address_not_allowed"),
        (json!({"channels": ["a b"]}), "channels[0]", "charset"),
        (json!({"event_types": vec!["a"; 101]}), "event_types", "too_long"),
        (json!({"event_types": ["a", "a"]}), "event_types", "duplicate"),
        (json!({"timeout_ms": 1}), "timeout_ms", "range"),
        (
            json!({"retry_policy": {"schedule_seconds": [0]}}),
            "retry_policy.schedule_seconds",
            "range",
        ),
        (
            json!({"metadata": {"k": "x".repeat(501)}}),
            "metadata",
            "too_long",
        ),
        (json!({"secret": "whsec_x"}), "secret", "unknown_field"),
        (json!({"rate_limit": 5}), "rate_limit", "unknown_field"),
        (json!({"ordering": "fifo"}), "ordering", "unknown_field"),
    ] {
        let answer = api.patch(owner, &location, body.clone()).await;
        assert_eq!(fault(answer), is(field, rule), "{body}");
    }

    let ids = |answer: Answer| {
        let json = answer.expect(200).json();
        let data = json["data"].as_array().unwrap();
        data.iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (hook, other) = (tenancy.endpoint.clone(), created.text("id"));
    api.patch(owner, &location, json!({"event_types": ["a"]}))
        .await
        .expect(200);
    api.act(owner, &format!("{ENDPOINTS}/hook/disable"))
        .await
        .expect(200);
    for (query, expected) in [
        ("", vec![&hook, &other]),
        ("?status=enabled", vec![&other]),
        ("?status=disabled", vec![&hook]),
        ("?event_type=a", vec![&hook, &other]),
        ("?event_type=b", vec![&hook]),
        ("?limit=1", vec![&hook]),
    ] {
        let listed = ids(api.get(owner, &format!("{ENDPOINTS}{query}")).await);
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let first = api.get(owner, &format!("{ENDPOINTS}?limit=1")).await.json();
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        ids(api
            .get(owner, &format!("{ENDPOINTS}?limit=1&cursor={next}"))
            .await),
        [other]
    );
    let bad = api
        .get(owner, &format!("{ENDPOINTS}?status=gone&event_type=a..b&limit=0"))
        .await;
    assert_eq!(
        bad.violations(),
        [
            is("status", "unknown"),
            is("event_type", "format"),
            is("limit", "range")
        ]
    );

    let stale = api.at(owner, Method::DELETE, &location, "\"1\"", None).await;
    stale.problem(412, "precondition_failed");
    api.delete(owner, &location).await.expect(204);
    api.get(owner, &location).await.problem(404, "not_found");
    api.delete(owner, &location).await.problem(404, "not_found");
}

#[actix_web::test]
async fn headers_are_checked_masked_and_kept() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let token = "Bearer hunter2";
    let headers = json!({"X-Env": "prod", "Authorization": {"value": token, "secret": true}});
    let body = json!({"url": "https://example.com/", "uid": "h", "headers": headers});
    let created = api.post(owner, ENDPOINTS, body).await.expect(201);
    let path = format!("{ENDPOINTS}/h");
    let masked = json!({"authorization": {"secret": true}, "x-env": "prod"});
    assert_eq!(created.json()["headers"], masked);
    // What was read is written back, and changes nothing.
    let body = json!({"url": "https://example.com/", "headers": masked});
    let same = api.put(owner, &path, body).await.expect(200);
    assert_eq!((same.header("etag"), &same.json()["headers"]), ("\"1\"", &masked));
    let patch = json!({"headers": {"x-env": null, "authorization": "Bearer hunter3", "x-b": "2"}});
    let patched = api.patch(owner, &path, patch).await.expect(200).json();
    assert_eq!(
        patched["headers"],
        json!({"authorization": {"secret": true}, "x-b": "2"})
    );
    for answer in [
        api.get(owner, &path).await,
        api.get(owner, ENDPOINTS).await,
        api.get(owner, "/v1/tenant/export").await,
        api.get(owner, "/v1/audit-entries").await,
    ] {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status.is_success() && !text.contains("hunter"), "{text}");
    }
    let events = api.ports.events.after(0, 1_000).await.unwrap();
    assert!(events.iter().all(|event| !event.body.contains("hunter")));

    let long = "x".repeat(1_025);
    for (headers, field, rule) in [
        (json!({"x-a": "b\r\nx-c: d"}), "headers.x-a", "charset"),
        (json!({"x-a": "b\u{0}"}), "headers.x-a", "charset"),
        (json!({"x-a\r\nx-b": "c"}), "headers.x-a\r\nx-b", "charset"),
        (json!({"x-a": "é"}), "headers.x-a", "charset"),
        (json!({"x-a": long}), "headers.x-a", "too_long"),
        (json!({"": "a"}), "headers.", "required"),
        (json!({"Webhook-Id": "a"}), "headers.Webhook-Id", "reserved"),
        (json!({"Host": "a"}), "headers.Host", "reserved"),
        (
            json!({"Transfer-Encoding": "chunked"}),
            "headers.Transfer-Encoding",
            "reserved",
        ),
        (json!({"x-a": "1", "X-A": "2"}), "headers.x-a", "duplicate"),
        (json!({"x-a": {"secret": true}}), "headers.x-a", "required"),
        (json!({"x-a": 1}), "headers.x-a", "type"),
        (
            json!({"x-a": {"value": "a", "shown": true}}),
            "headers.x-a.shown",
            "unknown_field",
        ),
        (
            json!(
                (0..21)
                    .map(|n| (format!("x-{n}"), json!("v")))
                    .collect::<serde_json::Map<_, _>>()
            ),
            "headers",
            "too_long",
        ),
        (
            json!(
                (0..2_000)
                    .map(|n| (format!("x-{n}"), json!("v")))
                    .collect::<serde_json::Map<_, _>>()
            ),
            "headers",
            "too_long",
        ),
    ] {
        let body = json!({"url": "https://example.com/", "headers": headers});
        let answer = api.post(owner, ENDPOINTS, body).await;
        assert_eq!(fault(answer), is(field, rule), "{headers}");
    }
    let reveal = json!({"headers": {"authorization": {"secret": false}}});
    assert_eq!(
        fault(api.patch(owner, &path, reveal).await),
        is("headers.authorization", "required")
    );
}

#[actix_web::test]
async fn secrets_are_rotated_with_an_overlap() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = format!("{ENDPOINTS}/hook/secret");
    let rotate = format!("{path}/rotate");
    let first = api.get(owner, &path).await.expect(200).json();
    assert_eq!(
        (&first["type"], &first["public_key"]),
        (&json!("hmac"), &Value::Null)
    );
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = json!({"secret": given, "overlap_seconds": 60});
    let rotated = api.post(owner, &rotate, body.clone()).await.expect(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
    let rotated = rotated.json();
    assert_eq!(rotated["secret"], given);
    assert!(rotated["previous"][0]["expires_at"].is_string());
    assert_eq!(
        rotated["previous"][0].get("secret"),
        None,
        "only the new one is shown"
    );
    let held = api.get(owner, &path).await.json();
    assert_eq!(held["secret"], given);
    assert_eq!(held["previous"][0]["secret"], first["secret"]);
    assert_eq!(
        fault(api.post(owner, &rotate, body).await),
        is("secret", "duplicate")
    );
    api.clock.advance(std::time::Duration::from_mins(1));
    let owner = &api
        .log_in("owner@acme.example")
        .await
        .expect(200)
        .text("access_token");
    assert_eq!(api.get(owner, &path).await.json()["previous"], json!([]));

    let seed = STANDARD.encode([1; 32]);
    let body = json!({"secret": format!("whsk_{seed}"), "overlap_seconds": 0});
    let pair = api.post(owner, &rotate, body).await.expect(200).json();
    let public = pair["public_key"].as_str().unwrap();
    assert!(public.starts_with("whpk_"), "{pair}");
    assert_eq!(
        (&pair["type"], &pair["secret"]),
        (&json!("ed25519"), &Value::Null)
    );
    assert_eq!(pair["previous"], json!([]), "without an overlap all end");
    for (body, field, rule) in [
        (json!({"secret": "x"}), "secret", "format"),
        (
            json!({"secret": format!("whsk_{}", STANDARD.encode([1; 64]))}),
            "secret",
            "format",
        ),
        (json!({"secret": format!("whsk_{seed}")}), "secret", "duplicate"),
        (json!({"secret_type": "rsa"}), "secret_type", "unknown"),
        (json!({"overlap_seconds": 604_801}), "overlap_seconds", "range"),
        (
            json!({"secret": given, "secret_type": "hmac"}),
            "secret_type",
            "exclusive",
        ),
    ] {
        assert_eq!(
            fault(api.post(owner, &rotate, body.clone()).await),
            is(field, rule),
            "{body}"
        );
    }
    for _ in 0..3 {
        api.post(owner, &rotate, json!({})).await.expect(200);
    }
    api.post(owner, &rotate, json!({}))
        .await
        .problem(409, "secret_limit_reached");

    let body = json!({"url": "https://example.com/", "secret_type": "ed25519"});
    let created = api.post(owner, ENDPOINTS, body).await.expect(201).json();
    assert_eq!(
        (&created["secret"], &created["secret_type"]),
        (&Value::Null, &json!("ed25519"))
    );
    assert!(created["public_key"].as_str().unwrap().starts_with("whpk_"));
}

#[actix_web::test]
async fn a_test_is_a_message_to_one_endpoint() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = format!("{ENDPOINTS}/hook/test");
    let sent = api.post(owner, &path, json!({})).await.expect(202);
    let message = api.get(owner, sent.header("location")).await.expect(200);
    assert_eq!(message.text("event_type"), "postrider.test");
    assert_eq!(message.text("id"), sent.text("id"));
    let of_message = |of: &str| format!("{}/{of}", sent.header("location"));
    let payload = api.get(owner, &of_message("payload")).await.expect(200).json();
    let data = json!({"application": tenancy.application, "endpoint": tenancy.endpoint});
    assert_eq!(payload, json!({"type": "postrider.test", "data": data}));
    let deliveries = api.get(owner, &of_message("deliveries")).await.expect(200).json();
    assert_eq!(deliveries["data"].as_array().unwrap().len(), 1);
    assert_eq!(deliveries["data"][0]["endpoint"], tenancy.endpoint);

    let body = r#"{"event_type":"invoice.paid","payload":{ "b" : 1.50 }}"#;
    let own = api.post_raw(owner, &path, body).await.expect(202);
    let payload = api
        .get(owner, &format!("{}/payload", own.header("location")))
        .await;
    assert_eq!(payload.body, r#"{ "b" : 1.50 }"#);
    let bad = api.post(owner, &path, json!({"event_type": "a..b"})).await;
    assert_eq!(fault(bad), is("event_type", "format"));
    api.act(owner, &format!("{ENDPOINTS}/hook/disable"))
        .await
        .expect(200);
    api.post(owner, &path, json!({}))
        .await
        .problem(409, "endpoint_disabled");
}

#[actix_web::test]
async fn a_customer_learns_of_no_other_by_putting() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    api.put(owner, "/v1/applications/app-2", json!({"name": "Two"}))
        .await
        .expect(201);
    let body = json!({"permissions": ["endpoints:write", "endpoints:read"], "expires_in": 600});
    let portal = api
        .post(owner, "/v1/applications/app-1/portal-tokens", body)
        .await
        .expect(201);
    let portal = portal.text("token");
    for uid in ["app-2", "app-3"] {
        let put = api
            .put(&portal, &format!("/v1/applications/{uid}"), json!({"name": "x"}))
            .await;
        put.problem(404, "not_found");
    }
    let put = api
        .put(&portal, "/v1/applications/app-1", json!({"name": "x"}))
        .await;
    put.problem(403, "forbidden");
    let body = json!({"url": "https://example.com/"});
    api.put(&portal, &format!("{ENDPOINTS}/mine"), body)
        .await
        .expect(201);
    api.delete(owner, "/v1/applications/app-1").await.expect(204);
    api.get(&portal, ENDPOINTS).await.problem(401, "unauthenticated");
}
