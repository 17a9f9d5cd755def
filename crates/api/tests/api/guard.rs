//! Generated from the document: nobody unknown gets anywhere, and everybody known needs what is declared.

use std::collections::BTreeSet;

use actix_web::{http::Method, test::TestRequest};
use serde_json::json;

use crate::support::{Answer, Api, Segments, Tenancy, application, operations};

fn some() -> Segments {
    Segments {
        application: "app-1".to_owned(),
        endpoint: "hook".to_owned(),
        message: "msg_01h455vb4pex5vsknk084sn02q".to_owned(),
        replay: "rpl_01h455vb4pex5vsknk084sn02q".to_owned(),
        scheduled: "msg_01h455vb4pex5vsknk084sn02q".to_owned(),
        member: "mem_01h455vb4pex5vsknk084sn02q".to_owned(),
        invitation: "inv_01h455vb4pex5vsknk084sn02q".to_owned(),
        api_key: "key_01h455vb4pex5vsknk084sn02q".to_owned(),
        tenant: "ten_01h455vb4pex5vsknk084sn02q".to_owned(),
        event_type: "invoice.paid".to_owned(),
        event: "sink.1".to_owned(),
    }
}

fn nonsense() -> Segments {
    Segments {
        application: "app_x".to_owned(),
        endpoint: "%00".to_owned(),
        message: "..%2f".to_owned(),
        replay: "%2e".to_owned(),
        scheduled: "..%2f".to_owned(),
        member: "%ff".to_owned(),
        invitation: "'".to_owned(),
        api_key: "%20".to_owned(),
        tenant: "x".to_owned(),
        event_type: "a..b".to_owned(),
        event: "%2e%2e".to_owned(),
    }
}

#[actix_web::test]
async fn strangers_are_answered_before_anything_is_looked_at() {
    let api = Api::start().await;
    let junk = |method: &Method, path: &str| {
        TestRequest::default()
            .method(method.clone())
            .uri(path)
            .insert_header(("content-type", "no such type"))
            .insert_header(("content-length", "99999999999"))
            .set_payload("{{{{")
    };
    let mut refused = 0;
    for operation in operations().iter().filter(|operation| !operation.is_public()) {
        let (good, bad) = (operation.filled(&some()), operation.filled(&nonsense()));
        for path in [
            good.clone(),
            bad,
            format!("{good}?limit=x&limit=y"),
            format!("{good}/un/known"),
        ] {
            for method in [
                &operation.method,
                &Method::GET,
                &Method::DELETE,
                &Method::PATCH,
                &Method::OPTIONS,
            ] {
                let answer = api.send(junk(method, &path)).await;
                let answer = answer.problem(401, "unauthenticated");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                refused += 1;
            }
        }
        api.call("", operation.method.clone(), &good, operation.example.as_ref())
            .await
            .problem(401, "unauthenticated");
    }
    assert!(refused > 700);
    for (method, path) in [
        (Method::GET, "/v1"),
        (Method::GET, "/v1/"),
        (Method::GET, "/v1/un/known"),
        (Method::GET, "/v1/applications/"),
        (Method::GET, "/%76%31/applications"),
        // Beside the one public path among guarded ones.
        (Method::POST, "/v1/invitations/accept/x"),
        (Method::POST, "/v1/invitations"),
    ] {
        api.send(junk(&method, path))
            .await
            .problem(401, "unauthenticated");
    }
    // That one has no other methods, whoever asks: nothing of it is an invitation.
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::TRACE] {
        let answer = api.send(junk(&method, "/v1/invitations/accept")).await;
        assert_eq!(answer.expect(405).header("allow"), "POST", "{method}");
    }
}

#[actix_web::test]
async fn what_is_public_asks_for_no_credential_and_looks_at_none() {
    let api = Api::start().await;
    for operation in operations().iter().filter(|operation| operation.is_public()) {
        let path = operation.filled(&some());
        for token in ["", "no credential at all", "prk_x"] {
            let answer = api
                .call(token, operation.method.clone(), &path, operation.example.as_ref())
                .await;
            let body = String::from_utf8_lossy(&answer.body);
            assert!(!body.contains("unauthenticated\""), "{path}: {body}");
        }
    }
}

#[actix_web::test]
async fn nobody_is_let_in_by_a_credential_of_another_kind() {
    let api = Api::start().await;
    let Tenancy { owner, .. } = api.tenancy("acme").await;
    let grace = api
        .member(&owner, "grace@acme.example", json!([{"role": "viewer"}]))
        .await;
    let invitation = api
        .invite(&owner, "joan@acme.example", json!([{"role": "viewer"}]))
        .await;
    let invitation = invitation.expect(201).text("token");
    for (header, value) in [
        ("authorization", owner.clone()),
        ("authorization", format!("Basic {owner}")),
        ("authorization", format!("Bearer {owner} x")),
        ("authorization", "Bearer pro_".to_owned()),
        ("authorization", format!("Bearer pro_{}", "0".repeat(64))),
        ("authorization", "Bearer prk_x_y".to_owned()),
        ("authorization", format!("Bearer {}", grace.refresh_token)),
        ("authorization", format!("Bearer {invitation}")),
        ("authorization", format!("Bearer {}", "x".repeat(100_000))),
        ("cookie", format!("authorization=Bearer {owner}")),
        ("x-api-key", owner.clone()),
    ] {
        let request = TestRequest::get()
            .uri("/v1/applications/app-1")
            .insert_header((header, value));
        api.send(request).await.problem(401, "unauthenticated");
    }
    // Not in the query either: it would stand in logs.
    let path = format!("/v1/applications/app-1?access_token={owner}");
    api.get("", &path).await.problem(401, "unauthenticated");
}

/// What each declares is what its use case demands: whoever has it not is told its name.
#[actix_web::test]
async fn each_operation_needs_what_it_declares() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    api.post(&tenancy.owner, "/v1/applications", application("elsewhere"))
        .await
        .expect(201);
    // Both know the tenant, and may do something in another application only. One is confined to it so that others
    // do not exist, but may not even list it; the other may list what it sees.
    let path = "/v1/applications/elsewhere/portal-tokens";
    let body = json!({"permissions": ["deliveries:replay"], "expires_in": 600});
    let confined = api
        .post(&tenancy.owner, path, body)
        .await
        .expect(201)
        .text("token");
    let grants = json!([{"role": "admin", "application": "elsewhere"}]);
    let elsewhere = api.key(&tenancy.owner, grants).await;
    let segments = Segments {
        endpoint: tenancy.endpoint.clone(),
        message: tenancy.message.clone(),
        ..some()
    };
    for operation in operations().iter().filter(|operation| !operation.is_public()) {
        let path = operation.filled(&segments);
        let outsider = if operation.path.contains("{application}") {
            &elsewhere
        } else {
            &confined
        };
        let call = |token| api.call(token, operation.method.clone(), &path, operation.example.as_ref());
        let needed = match operation.demands.as_str() {
            "operator" => "this is for the installation's operator".to_owned(),
            "person" => "this is for people: log in with a password".to_owned(),
            "principal" => {
                call(outsider).await.expect(200);
                call(&api.operator).await.problem(403, "forbidden");
                continue;
            }
            permission => format!("the permission {permission} is needed"),
        };
        let answer = call(outsider).await.problem(403, "forbidden");
        assert_eq!(answer.text("detail"), needed, "{path}");
        if operation.demands != "operator" {
            // Nor does the operator act on a tenant's behalf.
            call(&api.operator).await.problem(403, "forbidden");
        }
    }
}

#[actix_web::test]
async fn a_known_path_with_another_method_says_which_it_has() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let paths: BTreeSet<_> = operations().into_iter().map(|operation| operation.path).collect();
    for path in paths {
        let of_path: Vec<_> = operations().into_iter().filter(|o| o.path == path).collect();
        let mut has: BTreeSet<_> = of_path
            .iter()
            .map(|operation| operation.method.to_string())
            .collect();
        if has.contains("GET") {
            has.insert("HEAD".to_owned());
        }
        let filled = of_path[0].filled(&some());
        // A public path says so to anybody.
        let credential = if of_path[0].demands == "public" {
            ""
        } else {
            tenancy.owner.as_str()
        };
        let allowed = |answer: Answer| -> BTreeSet<_> {
            let allow = answer.header("allow");
            allow.split(", ").map(ToOwned::to_owned).collect()
        };
        for method in [
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::TRACE,
        ] {
            if has.contains(method.as_str()) {
                continue;
            }
            let answer = api.method(credential, method.clone(), &filled).await;
            let answer = answer.problem(405, "method_not_allowed");
            assert_eq!(allowed(answer), has, "{method} {path}");
        }
        let answer = api.method(credential, Method::OPTIONS, &filled).await.expect(204);
        assert_eq!(allowed(answer), has, "OPTIONS {path}");
    }
    for path in [
        "/",
        "/v1/un/known",
        "/v2",
        "/v1/auth/un/known",
        "//v1/applications",
        "/docs/nothing.js",
    ] {
        let answer = api.get(&tenancy.owner, path).await;
        answer.problem(404, "not_found");
    }
}
