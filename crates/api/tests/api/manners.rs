//! What holds on every route: HEAD and OPTIONS, other origins, compression, rates, and bodies read strictly.

use actix_web::{http::Method, test::TestRequest};
use postrider_api::{AllowedOrigins, RateLimit, RateOptions};
use postrider_domain::access::Role;
use serde_json::json;

use crate::support::{Api, Scene, Setup, Who, application, message, operations};

fn with(token: &str, method: Method, path: &str, headers: &[(&'static str, &str)]) -> TestRequest {
    let request = TestRequest::default().method(method).uri(path);
    let request = match token {
        "" => request,
        token => request.insert_header(("authorization", format!("Bearer {token}"))),
    };
    headers
        .iter()
        .fold(request, |request, header| request.insert_header(*header))
}

#[actix_web::test]
async fn head_is_answered_wherever_get_is_and_without_a_body() {
    let api = Api::start().await;
    let mut scene = Scene::set(&api, "acme").await;
    for operation in operations()
        .iter()
        .filter(|operation| operation.method == Method::GET)
    {
        let who = match operation.demands.as_str() {
            "operator" => Who::Operator,
            _ => Who::OnTenant(Role::Owner),
        };
        let token = scene.credential(&api, who).await;
        let path = operation.filled(&scene.segments);
        let (get, head) = (
            api.method(&token, Method::GET, &path).await,
            api.method(&token, Method::HEAD, &path).await,
        );
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        assert_eq!(
            head.headers.get("content-type"),
            get.headers.get("content-type"),
            "{path}"
        );
        api.method("", Method::HEAD, "/v1/applications").await.expect(401);
    }
}

#[actix_web::test]
async fn options_says_which_methods_a_path_has() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let answer = api
        .method(&owner, Method::OPTIONS, "/v1/applications")
        .await
        .expect(204);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    api.method(&owner, Method::OPTIONS, "/v1/nowhere")
        .await
        .problem(404, "not_found");
    api.method("", Method::OPTIONS, "/v1/applications")
        .await
        .problem(401, "unauthenticated");
}

const CONSOLE: &str = "https://console.example.com";
const PREFLIGHT: [(&str, &str); 2] = [("origin", CONSOLE), ("access-control-request-method", "POST")];

#[actix_web::test]
async fn a_page_of_an_allowed_origin_may_call_and_read() {
    let api = Api::start_with(Setup {
        allowed_origins: AllowedOrigins::parse([CONSOLE]).unwrap(),
        ..Setup::default()
    })
    .await;
    let (_, owner) = api.owner("acme").await;
    // Asked beforehand, without a credential.
    let asked = api
        .send(with("", Method::OPTIONS, "/v1/applications", &PREFLIGHT))
        .await
        .expect(204);
    assert_eq!(asked.header("access-control-allow-origin"), CONSOLE);
    assert!(asked.header("access-control-allow-methods").contains("PATCH"));
    assert!(
        asked
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert_eq!(asked.header("vary"), "origin");
    // What is refused can be read too.
    for (token, status) in [(owner.as_str(), 200), ("", 401)] {
        let request = with(token, Method::GET, "/v1/applications", &PREFLIGHT[..1]);
        let answer = api.send(request).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), CONSOLE);
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("ratelimit-policy")
        );
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    for origin in [
        "https://evil.example",
        "https://console.example.com.evil.example",
        "null",
    ] {
        let headers = [("origin", origin), PREFLIGHT[1]];
        let refused = api
            .send(with("", Method::OPTIONS, "/v1/applications", &headers))
            .await;
        let refused = refused.problem(401, "unauthenticated");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
        assert_eq!(refused.header("vary"), "origin");
    }
}

#[actix_web::test]
async fn where_no_origin_is_named_browsers_are_told_nothing() {
    let api = Api::start().await;
    let refused = api
        .send(with("", Method::OPTIONS, "/v1/applications", &PREFLIGHT))
        .await;
    let refused = refused.problem(401, "unauthenticated");
    for header in ["access-control-allow-origin", "vary"] {
        assert!(!refused.headers.contains_key(header));
    }
}

#[actix_web::test]
async fn what_is_long_is_compressed_and_an_export_is_not() {
    let api = Api::start().await;
    let scene = Scene::set(&api, "acme").await;
    let owner = &scene.tenancy.owner;
    let gzip = [("accept-encoding", "gzip")];
    for (path, encoding) in [
        ("/v1/audit-entries", Some("gzip")),
        ("/v1/me", None),
        ("/v1/tenant/export", None),
    ] {
        let answer = api.send(with(owner, Method::GET, path, &gzip)).await.expect(200);
        let told = answer
            .headers
            .get("content-encoding")
            .map(|value| value.to_str().unwrap());
        assert_eq!(told, encoding, "{path}");
    }
    let publish = with(owner, Method::POST, "/v1/applications/app-1/messages", &gzip).set_json(message());
    let published = api.send(publish).await.expect(202);
    assert!(!published.headers.contains_key("content-encoding"));
}

fn limit(per_second: u32) -> RateLimit {
    RateLimit { per_second, burst: 0 }
}

#[actix_web::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let api = Api::start_with(Setup {
        rates: RateOptions {
            tenant: limit(8),
            credential: limit(5),
        },
        ..Setup::default()
    })
    .await;
    let (_, owner) = api.owner("acme").await;
    let key = api.key(&owner, json!([{"role": "admin"}])).await;
    let get = |token: &str| {
        let token = token.to_owned();
        let api = &api;
        async move { api.get(&token, "/v1/applications").await }
    };
    let first = get(&key).await.expect(200);
    assert_eq!(
        first.header("ratelimit-policy"),
        "\"credential\";q=5;w=1, \"tenant\";q=8;w=1"
    );
    assert_eq!(
        first.header("ratelimit"),
        "\"credential\";r=4;t=1, \"tenant\";r=6;t=1"
    );
    // Refusals count, and carry what is left.
    let unknown = api.get(&key, "/v1/nowhere").await.problem(404, "not_found");
    assert!(unknown.header("ratelimit").starts_with("\"credential\";r=3;"));
    for _ in 0..3 {
        get(&key).await.expect(200);
    }
    // Before the body is looked at.
    let refused = api
        .post_raw(&key, "/v1/applications", "{{{")
        .await
        .problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"credential\";r=0;t=1");
    // Another credential of the tenant has what is left of the tenant's.
    for _ in 0..2 {
        get(&owner).await.expect(200);
    }
    get(&owner).await.problem(429, "rate_limited");
    let (_, stranger) = {
        api.clock.advance(std::time::Duration::from_secs(1));
        api.owner("other").await
    };
    get(&stranger).await.expect(200);
    get(&key).await.expect(200);
    // Whoever is not known has no bucket, and fills none.
    for _ in 0..20 {
        let answer = get("prk_x").await.problem(401, "unauthenticated");
        assert!(!answer.headers.contains_key("ratelimit"));
    }
}

#[actix_web::test]
async fn no_key_stands_twice_and_nothing_is_too_deep() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    api.post(&owner, "/v1/applications", application("app-1"))
        .await
        .expect(201);
    for body in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","metadata":{"k":"v","k":"w"}}"#,
        r#"{"name":"a","metadata":{"k":"v","\u006b":"w"}}"#,
    ] {
        let refused = api.post_raw(&owner, "/v1/applications", body).await;
        refused.problem(400, "malformed_request");
    }
    let messages = "/v1/applications/app-1/messages";
    let twice = r#"{"event_type":"a","payload":{"k":1,"k":2}}"#;
    let published = api.post_raw(&owner, messages, twice).await.expect(202);
    let payload = format!("{}/payload", published.header("location"));
    assert_eq!(
        api.get(&owner, &payload).await.expect(200).body,
        r#"{"k":1,"k":2}"#
    );
    for path in ["/v1/applications", messages] {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!(r#"{{"event_type":"a","payload":{deep}}}"#);
        let refused = api.post_raw(&owner, path, body).await;
        assert_eq!(refused.violations(), [("body".to_owned(), "too_deep".to_owned())]);
    }
}
