use serde_json::json;

use super::{ENDPOINTS, fault, given, is};

#[actix_web::test]
async fn secret_headers_are_masked_and_kept() {
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
    let reveal = json!({"headers": {"authorization": {"secret": false}}});
    assert_eq!(
        fault(api.patch(owner, &path, reveal).await),
        is("headers.authorization", "required")
    );
}

#[actix_web::test]
async fn a_header_that_breaks_a_rule_is_named() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let long = "x".repeat(1_025);
    let many = |count| {
        let headers = (0..count).map(|n| (format!("x-{n}"), json!("v")));
        json!(headers.collect::<serde_json::Map<_, _>>())
    };
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
        (many(21), "headers", "too_long"),
        (many(2_000), "headers", "too_long"),
    ] {
        let body = json!({"url": "https://example.com/", "headers": headers});
        let answer = api.post(owner, ENDPOINTS, body).await;
        assert_eq!(fault(answer), is(field, rule), "{headers}");
    }
}
