//! What is published in other ways than at once and as JSON; and what becomes of payloads that are not as
//! their schemas say.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Tenancy};

const PATH: &str = "/v1/applications/app-1/messages";

/// The fields and rules of a refusal.
pub(crate) fn faults(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    errors
        .iter()
        .map(|error| (text(error, "field"), text(error, "rule")))
        .collect()
}

/// One of them.
pub(crate) fn is(field: &str, rule: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), rule.to_owned())]
}

/// An API with a tenant.
pub(crate) async fn scene() -> (Api, Tenancy) {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    (api, tenancy)
}

async fn set(api: &Api, tenancy: &Tenancy, settings: Value) {
    api.patch(&tenancy.owner, "/v1/tenant", json!({"settings": settings}))
        .await
        .expect(200);
}

/// How many messages the application has, of the first 250.
pub(crate) async fn count(api: &Api, tenancy: &Tenancy) -> usize {
    let list = api
        .get(&tenancy.owner, &format!("{PATH}?limit=250"))
        .await
        .expect(200);
    list.json()["data"].as_array().unwrap().len()
}

#[actix_web::test]
async fn raw_payloads_are_delivered_with_their_media_type() {
    let (api, tenancy) = scene().await;
    let body =
        json!({"event_type": "invoice.paid", "raw": "AP9hCg==", "content_type": "application/octet-stream"});
    let published = api.post(&tenancy.owner, PATH, body).await.expect(202);
    let payload = format!("{}/payload", published.header("location"));
    let read = api.get(&tenancy.owner, &payload).await.expect(200);
    assert_eq!(read.body, &b"\0\xffa\n"[..]);
    assert_eq!(read.header("content-type"), "application/octet-stream");
    // Null is a payload.
    let body = json!({"event_type": "invoice.paid", "payload": null});
    let published = api.post(&tenancy.owner, PATH, body).await.expect(202);
    let payload = format!("{}/payload", published.header("location"));
    assert_eq!(
        api.get(&tenancy.owner, &payload).await.expect(200).body,
        &b"null"[..]
    );
    for (body, expected) in [
        (json!({}), is("payload", "required")),
        (
            json!({"payload": 1, "raw": "", "content_type": "a/b"}),
            is("raw", "exclusive"),
        ),
        (
            json!({"payload": 1, "content_type": "a/b"}),
            is("content_type", "exclusive"),
        ),
        (json!({"raw": "AA=="}), is("content_type", "required")),
        (json!({"raw": "A", "content_type": "a/b"}), is("raw", "format")),
        (json!({"raw": "_w==", "content_type": "a/b"}), is("raw", "format")),
        (
            json!({"raw": "AA==", "content_type": "a"}),
            is("content_type", "format"),
        ),
        (
            json!({"raw": "AA==", "content_type": "a/b\r\nx: y"}),
            is("content_type", "charset"),
        ),
    ] {
        let mut body = body;
        body["event_type"] = "invoice.paid".into();
        let refused = api.post(&tenancy.owner, PATH, body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), faults(&refused)),
            (422, expected),
            "{body}"
        );
    }
    let large = "A".repeat(2 * 1024 * 1024);
    let body = json!({"event_type": "invoice.paid", "raw": large, "content_type": "a/b"});
    api.post(&tenancy.owner, PATH, body)
        .await
        .problem(413, "payload_too_large");
}

#[actix_web::test]
async fn a_scheduled_message_is_shown_cancelled_and_found() {
    let (api, tenancy) = scene().await;
    let schedule = |at: &str| json!({"event_type": "invoice.paid", "payload": {}, "deliver_at": at});
    let published = api
        .post(&tenancy.owner, PATH, schedule("2090-01-01T01:00:00+01:00"))
        .await
        .expect(202);
    let location = published.header("location").to_owned();
    let read = api.get(&tenancy.owner, &location).await.expect(200).json();
    assert_eq!(
        (&read["status"], &read["cancelled_at"]),
        (&json!("scheduled"), &Value::Null)
    );
    assert_eq!(read["deliver_at"], "2090-01-01T00:00:00.000000Z");
    let scheduled = format!("{PATH}?status=scheduled");
    let listed = api.get(&tenancy.owner, &scheduled).await.expect(200).json();
    assert_eq!(listed["data"], json!([read]));
    let cancel = format!("{location}/cancel");
    for _ in 0..2 {
        api.act(&tenancy.owner, &cancel).await.expect(204);
    }
    let cancelled = api.get(&tenancy.owner, &location).await.expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
    let listed = api.get(&tenancy.owner, &scheduled).await.expect(200).json();
    assert_eq!(listed["data"], json!([]));
    let at_once = format!("{PATH}/{}/cancel", tenancy.message);
    api.act(&tenancy.owner, &at_once)
        .await
        .problem(409, "message_not_cancellable");
    for (at, rule) in [
        ("9999-12-31T23:59:59Z", "range"),
        ("1970-01-01T00:00:00Z", "range"),
        ("tomorrow", "format"),
        ("2090-13-01T00:00:00Z", "format"),
        ("2090-01-01T00:00:00Z\u{0}", "format"),
    ] {
        let refused = api.post(&tenancy.owner, PATH, schedule(at)).await;
        assert_eq!(faults(&refused), is("deliver_at", rule), "{at}");
    }
    for (query, field) in [
        ("status=lost", "status"),
        ("event_type=a%20b", "event_type"),
        ("event_id=%00", "event_id"),
        ("channel=", "channel"),
        ("from=now", "from"),
        ("to=99999-01-01T00:00:00Z", "to"),
        ("state=x", "state"),
    ] {
        let refused = api.get(&tenancy.owner, &format!("{PATH}?{query}")).await;
        assert_eq!((refused.status.as_u16(), &*faults(&refused)[0].0), (422, field));
    }
}

#[actix_web::test]
async fn a_payload_is_expunged() {
    let (api, tenancy) = scene().await;
    let message = format!("{PATH}/{}", tenancy.message);
    let payload = format!("{message}/payload");
    for _ in 0..2 {
        api.delete(&tenancy.owner, &payload).await.expect(204);
    }
    api.get(&tenancy.owner, &payload)
        .await
        .problem(410, "payload_expunged");
    let read = api.get(&tenancy.owner, &message).await.expect(200).json();
    assert!(read["payload_expunged_at"].is_string());
    let entries = api
        .get(&tenancy.owner, "/v1/audit-entries?action=message.expunge_payload")
        .await
        .expect(200)
        .json();
    assert_eq!(entries["data"].as_array().unwrap().len(), 1);
    assert_eq!(entries["data"][0]["target"], json!(tenancy.message));
}

#[actix_web::test]
async fn payloads_are_held_to_schemas_where_the_tenant_asks() {
    let (api, tenancy) = scene().await;
    let schema = json!({
        "type": "object",
        "properties": {"items": {"items": {"properties": {"price": {"type": "number"}}}}},
        "required": ["items"]
    });
    let body = json!({"name": "order.placed", "schema": schema, "example": {"items": []}});
    let created = api
        .post(&tenancy.owner, "/v1/event-types", body)
        .await
        .expect(201);
    assert_eq!(created.json()["schema"]["version"], 1);
    assert_eq!(created.json()["schema"]["schema"], schema);
    let bad = json!({"event_type": "order.placed", "payload": {"items": [{}, {"price": "1"}]}});
    let send = |body: &Value| api.post(&tenancy.owner, PATH, body.clone());
    assert!(send(&bad).await.expect(202).json()["warnings"].is_null());
    set(&api, &tenancy, json!({"schema_validation": "warn"})).await;
    let warned = send(&bad).await.expect(202).json();
    assert_eq!(warned["warnings"][0]["field"], "payload.items[1].price");
    set(&api, &tenancy, json!({"schema_validation": "enforce"})).await;
    assert_eq!(faults(&send(&bad).await), is("payload.items[1].price", "type"));
    let raw = json!({"event_type": "order.placed", "raw": "e30=", "content_type": "application/json"});
    assert_eq!(faults(&send(&raw).await), is("raw", "required"));
    // Deep, and with a number that is none: told, and nothing breaks.
    let deep = format!(
        r#"{{"event_type":"order.placed","payload":{}{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert_eq!(
        faults(&api.post_raw(&tenancy.owner, PATH, deep).await),
        is("body", "too_deep")
    );
    let unregistered = json!({"event_type": "never.heard.of", "payload": 1});
    send(&unregistered).await.expect(202);
    set(
        &api,
        &tenancy,
        json!({"unregistered_event_types": "reject", "schema_validation": null}),
    )
    .await;
    assert_eq!(
        faults(&send(&unregistered).await),
        is("event_type", "unregistered")
    );
    send(&bad).await.expect(202);
    api.act(&tenancy.owner, "/v1/event-types/order.placed/archive")
        .await
        .expect(200);
    assert_eq!(faults(&send(&bad).await), is("event_type", "archived"));
    set(&api, &tenancy, Value::Null).await;
    send(&bad).await.expect(202);
}

#[actix_web::test]
async fn bombs_are_refused_as_schemas() {
    let (api, tenancy) = scene().await;
    let path = "/v1/event-types/invoice.paid/schemas";
    let registered = json!({"name": "invoice.paid"});
    api.post(&tenancy.owner, "/v1/event-types", registered)
        .await
        .expect(201);
    let mut doubling = serde_json::Map::new();
    for n in 0..25 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        doubling.insert(format!("d{n}"), json!({"anyOf": [next, next]}));
    }
    doubling.insert("d25".to_owned(), json!(true));
    let deep = (0..100).fold(json!(true), |schema, _| json!({"not": schema}));
    for (schema, field, rule) in [
        (json!({"$ref": "#"}), "schema.$ref", "recursive"),
        (
            json!({"$ref": "http://169.254.169.254/"}),
            "schema.$ref",
            "reference",
        ),
        (json!({"pattern": "(a+)+\\1"}), "schema.pattern", "pattern"),
        (json!({"pattern": "(?=a)"}), "schema.pattern", "pattern"),
        (
            json!({"pattern": "((x{99}){99}){99}"}),
            "schema.pattern",
            "pattern",
        ),
        (json!({"type": "strin"}), "schema.type", "anyOf"),
        (json!([]), "schema", "type"),
        (json!({"const": "x".repeat(70_000)}), "schema", "too_long"),
    ] {
        let refused = api.post(&tenancy.owner, path, json!({"schema": schema})).await;
        assert_eq!(
            (refused.status.as_u16(), faults(&refused)),
            (422, is(field, rule))
        );
    }
    for schema in [json!({"$defs": doubling, "$ref": "#/$defs/d0"}), deep] {
        let refused = api.post(&tenancy.owner, path, json!({"schema": schema})).await;
        let rule = faults(&refused)[0].1.clone();
        assert!(rule == "too_large" || rule == "too_deep", "{rule}");
    }
    let wrong = json!({"schema": {"type": "string"}, "example": 1});
    let refused = api.post(&tenancy.owner, path, wrong).await;
    assert_eq!(faults(&refused), is("example", "type"));
    let read = api
        .get(&tenancy.owner, "/v1/event-types/invoice.paid")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&read["schema"], &read["schemas"]),
        (&Value::Null, &json!([])),
        "nothing is stored by halves"
    );
    let added = api
        .post(
            &tenancy.owner,
            path,
            json!({"schema": {"type": "object"}, "example": {}}),
        )
        .await
        .expect(201);
    assert_eq!(
        api.get(&tenancy.owner, added.header("location"))
            .await
            .expect(200)
            .json(),
        added.json()
    );
    let never = api.get(&tenancy.owner, &format!("{path}/2")).await;
    never.problem(404, "not_found");
    for version in ["0", "x", "-1", "99999999999"] {
        let answer = api.get(&tenancy.owner, &format!("{path}/{version}")).await;
        assert_eq!((answer.status.as_u16(), version), (422, version));
    }
}

#[actix_web::test]
async fn tenants_and_event_types_are_changed_at_the_version_that_is_meant() {
    let (api, tenancy) = scene().await;
    api.post(&tenancy.owner, "/v1/event-types", json!({"name": "a.b"}))
        .await
        .expect(201);
    for (path, body) in [
        ("/v1/tenant", json!({"name": "Beta"})),
        ("/v1/event-types/a.b", json!({"description": "B"})),
    ] {
        let before = api.get(&tenancy.owner, path).await.expect(200);
        let etag = before.header("etag").to_owned();
        let change = |tag: &str| {
            let request = TestRequest::patch()
                .uri(path)
                .insert_header(("authorization", format!("Bearer {}", tenancy.owner)))
                .insert_header(("if-match", tag));
            api.send(request.set_json(body.clone()))
        };
        let changed = change(&etag).await.expect(200);
        assert_ne!(changed.header("etag"), etag);
        change(&etag).await.problem(412, "precondition_failed");
        let after = api.get(&tenancy.owner, path).await.expect(200);
        assert_eq!(after.header("etag"), changed.header("etag"));
    }
    for (body, field) in [
        (json!({"name": null}), "name"),
        (json!({"name": ""}), "name"),
        (
            json!({"settings": {"schema_validation": "on"}}),
            "settings.schema_validation",
        ),
        (
            json!({"settings": {"unregistered_event_types": 1}}),
            "settings.unregistered_event_types",
        ),
        (json!({"status": "active"}), "status"),
    ] {
        let refused = api.patch(&tenancy.owner, "/v1/tenant", body).await;
        assert_eq!((refused.status.as_u16(), &*faults(&refused)[0].0), (422, field));
    }
}
