use actix_web::http::Method;
use serde_json::{Value, json};

use super::{ENDPOINTS, fault, given, is};
use crate::support::Answer;

#[actix_web::test]
async fn an_endpoint_is_put_and_patched() {
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
}

#[actix_web::test]
async fn a_patch_that_breaks_a_rule_names_field_and_rule() {
    let (api, tenancy) = given().await;
    let (owner, location) = (&tenancy.owner, format!("{ENDPOINTS}/hook"));
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
}

#[actix_web::test]
async fn endpoints_are_listed_by_status_and_by_what_they_want() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let ids = |answer: Answer| {
        let json = answer.expect(200).json();
        let data = json["data"].as_array().unwrap();
        data.iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let body = json!({"url": "https://example.com/a", "event_types": ["a"]});
    let created = api.post(owner, ENDPOINTS, body).await.expect(201);
    let (hook, other) = (tenancy.endpoint.clone(), created.text("id"));
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
}

#[actix_web::test]
async fn an_endpoint_is_deleted_once_and_at_its_version() {
    let (api, tenancy) = given().await;
    let (owner, location) = (&tenancy.owner, format!("{ENDPOINTS}/hook"));
    let body = json!({"description": "Billing"});
    api.patch(owner, &location, body).await.expect(200);
    let stale = api.at(owner, Method::DELETE, &location, "\"1\"", None).await;
    stale.problem(412, "precondition_failed");
    api.delete(owner, &location).await.expect(204);
    api.get(owner, &location).await.problem(404, "not_found");
    api.delete(owner, &location).await.problem(404, "not_found");
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
