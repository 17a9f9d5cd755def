//! The stations of a request, as they show from outside: each answer carries what the outer ones add, whichever of
//! the inner ones gave it.

use actix_web::test::TestRequest;
use serde_json::json;

use crate::support::{Answer, Api};

fn get(path: &str, headers: &[(&'static str, &str)]) -> TestRequest {
    headers
        .iter()
        .fold(TestRequest::get().uri(path), |request, header| {
            request.insert_header(*header)
        })
}

#[actix_web::test]
async fn every_answer_carries_the_request_id() {
    let api = Api::start().await;
    for (path, status) in [
        ("/health/live", 200),
        ("/docs/", 200),
        ("/nowhere", 404),
        ("/v1/nowhere", 401),
    ] {
        let own = api
            .send(get(path, &[("x-request-id", "mine-1")]))
            .await
            .expect(status);
        assert_eq!(own.header("x-request-id"), "mine-1");
        assert_eq!(own.header("x-content-type-options"), "nosniff");
        let fresh = |answer: Answer| answer.header("x-request-id").to_owned();
        let a = fresh(api.send(get(path, &[])).await);
        let b = fresh(api.send(get(path, &[])).await);
        assert!(a != b && a.len() == 36, "{a} {b}");
        let insane = "x".repeat(129);
        for value in ["a b", "", insane.as_str()] {
            let answer = fresh(api.send(get(path, &[("x-request-id", value)])).await);
            assert_eq!(answer.len(), 36, "{value}");
        }
    }
}

#[actix_web::test]
async fn problems_are_made_inside_of_the_compression() {
    let api = Api::start().await;
    let plain = api
        .send(get("/v1/nowhere", &[]))
        .await
        .problem(401, "unauthenticated");
    assert!(!plain.headers.contains_key("content-encoding"));
    let document = api
        .send(get("/openapi.json", &[("accept-encoding", "gzip")]))
        .await
        .expect(200);
    assert_eq!(document.header("content-encoding"), "gzip");
    assert!(
        document.body.starts_with(&[0x1f, 0x8b])
            && document.body.len() < postrider_api::openapi_json().len() / 4
    );
    let refused = api
        .send(get("/v1/nowhere", &[("accept-encoding", "gzip")]))
        .await
        .expect(401);
    // It is short: compressing it would cost more than it saves.
    assert!(!refused.headers.contains_key("content-encoding"));
    refused.problem(401, "unauthenticated");
    let (_, owner) = api.owner("acme").await;
    let unknown: Vec<_> = (0..50).map(|nth| format!("unknown-{nth}=x&")).collect();
    let unknown = unknown.concat();
    let request = get(
        &format!("/v1/applications?{unknown}"),
        &[("accept-encoding", "gzip")],
    );
    let request = request.insert_header(("authorization", format!("Bearer {owner}")));
    let refused = api.send(request).await.expect(422);
    assert_eq!(refused.header("content-encoding"), "gzip");
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[actix_web::test]
async fn whoever_accepts_no_encoding_of_ours_gets_the_plain_answer() {
    let api = Api::start().await;
    for accepted in [
        "identity;q=0",
        "*;q=0",
        "br",
        "zstd, identity;q=0",
        "br;q=1.0, *;q=0",
        "nonsense;;",
    ] {
        let request = get("/health/live", &[("accept-encoding", accepted)]);
        let answer = api.send(request).await.expect(200);
        assert_eq!(answer.json()["status"], "live", "{accepted}");
    }
}

#[actix_web::test]
async fn authentication_comes_before_routing_and_routing_before_the_body() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let post = |token: &str, path: &str| {
        let request = TestRequest::post().uri(path).set_payload("{{{");
        match token {
            "" => request,
            token => request.insert_header(("authorization", format!("Bearer {token}"))),
        }
    };
    // Nobody known: 401, whatever else is wrong. Known: first the path, then the method, then the media type...
    for path in ["/v1/nowhere", "/v1/applications/app-1", "/v1/applications"] {
        api.send(post("", path)).await.problem(401, "unauthenticated");
    }
    let owner = &tenancy.owner;
    api.send(post(owner, "/v1/nowhere"))
        .await
        .problem(404, "not_found");
    api.send(post(owner, "/v1/applications/app-1"))
        .await
        .problem(405, "method_not_allowed");
    api.send(post(owner, "/v1/applications"))
        .await
        .problem(415, "unsupported_media_type");
    // ... then the body, and its rules before the permission and what is stored.
    api.post_raw(owner, "/v1/applications", "{{{")
        .await
        .problem(400, "malformed_request");
    let viewer = api.key(owner, json!([{"role": "viewer"}])).await;
    api.post(&viewer, "/v1/applications", json!({"name": ""}))
        .await
        .problem(422, "validation_failed");
    api.post(&viewer, "/v1/applications", json!({"name": "a"}))
        .await
        .problem(403, "forbidden");
}
