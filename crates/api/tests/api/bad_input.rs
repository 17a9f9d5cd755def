//! What is refused: each as a problem with a stable code that names the field, never a panic, never half a row.

use actix_web::test::TestRequest;
use serde_json::json;

use crate::support::{Api, Tenancy, endpoint, with};

fn faults(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(field, rule)| ((*field).to_owned(), (*rule).to_owned()))
        .collect()
}

#[actix_web::test]
async fn all_broken_rules_are_told_at_once() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let long = "x".repeat(200);
    for (path, body, expected) in [
        (
            "/v1/applications",
            json!({"name": long, "uid": "app_1", "metadata": {"": "x"}}),
            faults(&[("name", "too_long"), ("uid", "format"), ("metadata", "required")]),
        ),
        (
            "/v1/event-types",
            json!({"name": "a..b", "description": "x".repeat(1_001)}),
            faults(&[("name", "format"), ("description", "too_long")]),
        ),
        (
            "/v1/applications/app-1/endpoints",
            json!({
                "url": "ftp://example.com", "uid": "a b", "secret": "whsec_x", "timeout_ms": 1,
                "event_types": ["ok", "a b"], "channels": ["x", "x"],
                "retry_policy": {"schedule_seconds": [0]}
            }),
            faults(&[
                ("url", "format"),
                ("uid", "charset"),
                ("event_types[1]", "charset"),
                ("channels", "duplicate"),
                ("secret", "format"),
                ("retry_policy.schedule_seconds", "range"),
                ("timeout_ms", "range"),
            ]),
        ),
        (
            "/v1/applications/app_x/endpoints",
            with(
                endpoint("e"),
                json!({"channels": vec!["c"; 101], "retry_policy": {"schedule_seconds": vec![1; 21]}}),
            ),
            faults(&[
                ("channels", "too_long"),
                ("retry_policy.schedule_seconds", "too_long"),
                ("application", "format"),
            ]),
        ),
        (
            "/v1/applications/app-1/messages",
            json!({"event_type": "", "payload": null, "event_id": "", "channels": ["a b"]}),
            faults(&[
                ("event_id", "required"),
                ("event_type", "required"),
                ("channels[0]", "charset"),
            ]),
        ),
        (
            "/v1/api-keys",
            json!({
                "name": "", "expires_at": "tomorrow",
                "grants": [{"role": "owner"}, {"role": "king", "application": "a b"}]
            }),
            faults(&[
                ("name", "required"),
                ("grants[1].role", "unknown"),
                ("grants[1].application", "charset"),
                ("expires_at", "format"),
            ]),
        ),
        (
            "/v1/api-keys",
            json!({"name": "k", "grants": []}),
            faults(&[("grants", "required")]),
        ),
        (
            "/v1/api-keys",
            json!({"name": "k", "grants": vec![json!({"role": "viewer"}); 101]}),
            faults(&[("grants", "too_long")]),
        ),
        (
            "/v1/api-keys",
            json!({"name": "k", "grants": [{"role": "viewer", "application": "nobody"}]}),
            faults(&[("grants[0].application", "unknown")]),
        ),
    ] {
        let answer = api.post(&tenancy.owner, path, body).await;
        assert_eq!(answer.violations(), expected, "{path}");
    }
    let body = json!({"name": "", "owner": {"email": "x", "name": "", "password": "short"}});
    assert_eq!(
        api.post(&api.operator, "/v1/operator/tenants", body)
            .await
            .violations(),
        faults(&[
            ("owner.password", "length"),
            ("name", "required"),
            ("owner.email", "format"),
            ("owner.name", "required")
        ])
    );
    let body = json!({"email": "", "password": "", "tenant": "ten_x"});
    assert_eq!(
        api.post("", "/v1/auth/login", body).await.violations(),
        faults(&[
            ("password", "length"),
            ("email", "required"),
            ("tenant", "format")
        ])
    );
}

#[actix_web::test]
async fn bodies_are_read_strictly() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    for (body, field, rule) in [
        (r#"{"name":"a","nmae":"b"}"#, "nmae", "unknown_field"),
        (r#"{"name":7}"#, "name", "type"),
        (r#"{"uid":"a"}"#, "name", "required"),
        (r#"{"name":"a","metadata":{"k":1}}"#, "metadata.k", "type"),
        (r#"{"name":"a","metadata":[]}"#, "metadata", "type"),
        (r#"["a"]"#, "body", "type"),
        ("null", "body", "type"),
    ] {
        let answer = api.post_raw(&owner, "/v1/applications", body).await;
        assert_eq!(answer.violations(), faults(&[(field, rule)]), "{body}");
    }
    for body in [
        "",
        "{",
        "{}x",
        r#"{"name":"a","name":"b"}"#,
        "name=a",
        "\u{feff}{}",
    ] {
        let answer = api.post_raw(&owner, "/v1/applications", body).await;
        answer.problem(400, "malformed_request");
    }
    let answer = api
        .post_raw(&owner, "/v1/applications", b"{\"name\":\"\xff\"}".to_vec())
        .await;
    answer.problem(400, "malformed_request");
}

#[actix_web::test]
async fn only_json_is_taken() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let body = r#"{"name":"a"}"#;
    let post = |headers: &'static [(&'static str, &'static str)]| {
        let mut request = TestRequest::post()
            .uri("/v1/applications")
            .insert_header(("authorization", format!("Bearer {owner}")))
            .set_payload(body);
        for header in headers {
            request = request.insert_header(*header);
        }
        api.send(request)
    };
    for bad in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonx")],
        &[("content-type", "application/json; charset=iso-8859-1")],
        &[("content-type", "nonsense")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
    ] {
        post(bad).await.problem(415, "unsupported_media_type");
    }
    for good in [
        &[("content-type", "application/json")][..],
        &[("content-type", "Application/JSON; charset=UTF-8")],
        &[
            ("content-type", "application/json"),
            ("content-encoding", "identity"),
        ],
    ] {
        post(good).await.expect(201);
    }
}

#[actix_web::test]
async fn urls_must_be_deliverable() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    for (url, rule) in [
        ("", "required"),
        ("example.com", "format"),
        ("ftp://example.com", "format"),
        ("file:///etc/passwd", "format"),
        ("https://user:secret@example.com", "format"),
        ("https://example.com/#x", "format"),
        ("https://example.com/ x", "charset"),
        ("http://127.0.0.1/", "address_not_allowed"),
        ("http://localhost/", "address_not_allowed"),
        ("http://10.0.0.1/", "address_not_allowed"),
        ("http://[::1]/", "address_not_allowed"),
        ("http://[::ffff:127.0.0.1]/", "address_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "address_not_allowed"),
        ("http://0x7f000001/", "address_not_allowed"),
        ("http://2130706433/", "address_not_allowed"),
    ] {
        let answer = api
            .post(
                &tenancy.owner,
                "/v1/applications/app-1/endpoints",
                json!({"url": url}),
            )
            .await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!body.contains("secret"), "no value is repeated");
        assert_eq!(answer.violations(), faults(&[("url", rule)]), "{url}");
    }
    let url = format!("https://example.com/{}", "x".repeat(2_100));
    let answer = api
        .post(
            &tenancy.owner,
            "/v1/applications/app-1/endpoints",
            json!({"url": url}),
        )
        .await;
    assert_eq!(answer.violations(), faults(&[("url", "too_long")]));
}

#[actix_web::test]
async fn malformed_ids_name_their_place() {
    let api = Api::start().await;
    let Tenancy {
        owner,
        message,
        endpoint,
        ..
    } = api.tenancy("acme").await;
    let a = "/v1/applications/app-1";
    for (path, expected) in [
        (
            "/v1/applications/app_x".to_owned(),
            faults(&[("application", "format")]),
        ),
        (
            "/v1/applications/%20".to_owned(),
            faults(&[("application", "charset")]),
        ),
        (
            "/v1/applications/a%00b".to_owned(),
            faults(&[("application", "charset")]),
        ),
        (
            "/v1/applications/%ff".to_owned(),
            faults(&[("application", "charset")]),
        ),
        (
            format!("/v1/applications/{}", "x".repeat(129)),
            faults(&[("application", "too_long")]),
        ),
        ("/v1/event-types/a..b".to_owned(), faults(&[("name", "format")])),
        (format!("{a}/endpoints/ep_x"), faults(&[("endpoint", "format")])),
        (
            format!("{a}/endpoints/app_x/secret"),
            faults(&[("endpoint", "format")]),
        ),
        (format!("{a}/messages/x"), faults(&[("message", "format")])),
        (
            format!("{a}/messages/{}", message.to_uppercase()),
            faults(&[("message", "format")]),
        ),
        (
            format!("{a}/messages/{endpoint}/payload"),
            faults(&[("message", "format")]),
        ),
        (
            "/v1/applications/app_/messages/msg_/deliveries?limit=0&cursor=!".to_owned(),
            faults(&[
                ("application", "format"),
                ("message", "format"),
                ("limit", "range"),
                ("cursor", "format"),
            ]),
        ),
        (
            format!("{a}/messages/{message}/deliveries/ep_x/attempts"),
            faults(&[("endpoint", "format")]),
        ),
        (
            format!("{a}/messages/{message}/deliveries?limit=251"),
            faults(&[("limit", "range")]),
        ),
        (
            format!("{a}/messages/{message}/deliveries?limit=1&limit=2&page=3"),
            faults(&[("limit", "duplicate"), ("page", "unknown_field")]),
        ),
    ] {
        assert_eq!(api.get(&owner, &path).await.violations(), expected, "{path}");
    }
    for path in [
        "/v1/applications/nobody".to_owned(),
        "/v1/applications/app_01h455vb4pex5vsknk084sn02q".to_owned(),
        "/v1/event-types/un.heard".to_owned(),
        format!("{a}/endpoints/nobody"),
        format!("{a}/endpoints/nobody/secret"),
        format!("{a}/messages/msg_01h455vb4pex5vsknk084sn02q"),
        format!("{a}/messages/msg_01h455vb4pex5vsknk084sn02q/payload"),
        format!("{a}/messages/msg_01h455vb4pex5vsknk084sn02q/deliveries"),
        format!("{a}/messages/msg_01h455vb4pex5vsknk084sn02q/deliveries/{endpoint}/attempts"),
    ] {
        api.get(&owner, &path).await.problem(404, "not_found");
    }
}

#[actix_web::test]
async fn nothing_is_half_written() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let head = api.ports.events.head().await.unwrap();
    let refused = with(endpoint("hook-2"), json!({"url": "http://127.0.0.1/"}));
    let path = "/v1/applications/app-1/endpoints";
    api.post(&tenancy.owner, path, refused).await.expect(422);
    api.get(&tenancy.owner, &format!("{path}/hook-2"))
        .await
        .problem(404, "not_found");
    api.post(&tenancy.owner, path, endpoint("hook"))
        .await
        .problem(409, "uid_taken");
    assert_eq!(
        api.ports.events.head().await.unwrap(),
        head,
        "no event of what was refused"
    );
}

#[actix_web::test]
async fn a_number_is_whole_however_it_is_written() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let tokens = "/v1/applications/app-1/portal-tokens";
    let token =
        |expires_in: &str| format!(r#"{{"permissions": ["endpoints:read"], "expires_in": {expires_in}}}"#);
    for whole in ["3600", "3600.0", "3.6e3"] {
        api.post_raw(&tenancy.owner, tokens, token(whole))
            .await
            .expect(201);
    }
    for (other, rule) in [
        ("3600.5", "type"),
        ("-1.0", "type"),
        ("\"3600\"", "type"),
        ("1e9", "range"),
    ] {
        let answer = api.post_raw(&tenancy.owner, tokens, token(other)).await;
        assert_eq!(answer.violations(), faults(&[("expires_in", rule)]), "{other}");
    }
    let endpoint = with(
        endpoint("e"),
        json!({"timeout_ms": 5000.0, "retry_policy": {"schedule_seconds": [5.0, 30]}}),
    );
    let created = api
        .post(&tenancy.owner, "/v1/applications/app-1/endpoints", endpoint)
        .await;
    let created = created.expect(201).json();
    assert_eq!(created["timeout_ms"].to_string(), "5000", "shown as what it is");
    assert_eq!(created["retry_policy"]["schedule_seconds"].to_string(), "[5,30]");
}

#[actix_web::test]
async fn a_patch_is_judged_before_anything_is_looked_up() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let long = "x".repeat(65);
    for path in [
        "/v1/applications/app-1",
        "/v1/applications/nowhere/endpoints/nothing",
    ] {
        for (metadata, rule) in [
            (json!({(long.clone()): "", "good": "x"}), "too_long"),
            (json!({(long.clone()): null}), "too_long"),
            (json!({"good": "a\u{0}b"}), "charset"),
        ] {
            let request = TestRequest::patch()
                .uri(path)
                .insert_header(("authorization", format!("Bearer {}", tenancy.owner)))
                .insert_header(("if-match", "\"another\""))
                .set_json(json!({"metadata": metadata}));
            let answer = api.send(request).await;
            assert_eq!(
                answer.violations(),
                faults(&[("metadata", rule)]),
                "{path}: {metadata}"
            );
        }
    }
}
