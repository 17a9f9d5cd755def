//! How much is taken: bytes, depth.

use actix_web::test::TestRequest;
use postrider_api::Limits;
use serde_json::{Value, json};

use crate::support::{Api, Setup, message, with};

#[actix_web::test]
async fn bodies_are_bounded() {
    let limits = Limits {
        max_resource_body_bytes: 10_000,
        ..Limits::for_payloads(1_000)
    };
    let api = Api::start_with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let tenancy = api.tenancy("acme").await;
    let path = "/v1/applications/app-1/messages";
    // `"x…"`: the quotes count, they are part of the JSON value.
    let payload = |len: usize| with(message(), json!({"payload": "x".repeat(len - 2)}));
    api.post(&tenancy.owner, path, payload(1_000)).await.expect(202);
    api.post(&tenancy.owner, path, payload(1_001))
        .await
        .problem(413, "payload_too_large");
    let huge = payload(limits.max_body_bytes + 1);
    api.post(&tenancy.owner, path, huge)
        .await
        .problem(413, "payload_too_large");
    let name = json!({"name": "x".repeat(10_000)});
    api.post(&tenancy.owner, "/v1/applications", name.clone())
        .await
        .problem(413, "payload_too_large");
    // Not announced: it is found out while reading.
    let request = TestRequest::post()
        .uri("/v1/applications")
        .insert_header(("authorization", format!("Bearer {}", tenancy.owner)))
        .insert_header(("content-type", "application/json"))
        .set_payload(name.to_string());
    api.send(request).await.problem(413, "payload_too_large");
    // Announced: it is not read at all.
    let request = TestRequest::post()
        .uri("/v1/auth/login")
        .insert_header(("content-type", "application/json"))
        .insert_header(("content-length", "99999999999"));
    api.send(request).await.problem(413, "payload_too_large");
}

/// Whoever has no credential may not make us hold much either: on each route that the document calls public.
#[actix_web::test]
async fn bodies_without_a_credential_are_short() {
    const MOST: usize = 64 * 1024;
    let api = Api::start().await;
    let document: Value = serde_json::from_str(&postrider_api::openapi_json()).unwrap();
    let public =
        |operation: &Value| operation["x-permission"] == "public" && operation["requestBody"].is_object();
    let paths: Vec<&String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| public(&item["post"]))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    for path in paths {
        // JSON, as far as it goes.
        let body = |length| format!("{{{}", " ".repeat(length - 1));
        let answer = api.post_raw("", path, body(MOST)).await;
        answer.problem(400, "malformed_request");
        let answer = api.post_raw("", path, body(MOST + 1)).await;
        answer.problem(413, "payload_too_large");
    }
}

#[actix_web::test]
async fn a_payload_is_bytes_like_any_other_to_a_certain_depth() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let path = "/v1/applications/app-1/messages";
    // The envelope is the 64th.
    let deep = format!("{}{}", "[".repeat(63), "]".repeat(63));
    let body = format!(r#"{{"event_type":"a","payload":{deep}}}"#);
    let published = api.post_raw(&tenancy.owner, path, body).await.expect(202);
    let payload = format!("{}/payload", published.header("location"));
    assert_eq!(api.get(&tenancy.owner, &payload).await.expect(200).body, deep);
    for body in [
        format!(r#"{{"event_type":"a","payload":{}"#, "[".repeat(63)),
        format!(r#"{{"event_type":"a","payload":{}]}}"#, "[{\"a\":".repeat(31)),
    ] {
        let answer = api.post_raw(&tenancy.owner, path, body).await;
        answer.problem(400, "malformed_request");
    }
    let unknown = format!(r#"{{"{}":{deep}}}"#, "k".repeat(10_000));
    let answer = api.post_raw(&tenancy.owner, path, unknown).await;
    assert!(
        answer.body.len() < 2_000,
        "a field's name is repeated up to a bound"
    );
    answer.problem(422, "validation_failed");
}
