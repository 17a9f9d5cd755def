//! Generated from the document: nobody unknown gets anywhere, and everybody known needs the permission that is
//! declared.

use actix_web::{http::Method, test::TestRequest};
use serde_json::{Value, json};

use crate::support::{Answer, Api, Tenancy, application};

/// An operation of the document.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) permission: Option<String>,
    /// The example of the body.
    pub(crate) example: Option<Value>,
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&postrider_api::openapi_json()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                permission: operation["x-permission"].as_str().map(ToOwned::to_owned),
                example: example(&document, operation),
            });
        }
    }
    assert!(operations.len() >= 22, "the document has its routes");
    operations
}

fn example(document: &Value, operation: &Value) -> Option<Value> {
    let reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()?;
    let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
    let example = schema["examples"][0].clone();
    assert!(example.is_object(), "{reference} has an example");
    Some(example)
}

impl Operation {
    /// Whether anybody may call it.
    fn is_public(&self) -> bool {
        !self.path.starts_with("/v1/") || self.path.starts_with("/v1/auth/")
    }

    /// The path with these segments.
    fn filled(&self, application: &str, endpoint: &str, message: &str) -> String {
        self.path
            .replace("{application}", application)
            .replace("{endpoint}", endpoint)
            .replace("{message}", message)
            .replace("{name}", "invoice.paid")
    }

    async fn call(&self, api: &Api, token: &str, path: &str) -> Answer {
        match &self.example {
            Some(body) => api.post(token, path, body.clone()).await,
            None => api.method(token, self.method.clone(), path).await,
        }
    }
}

#[test]
fn what_is_not_public_declares_its_permission() {
    for operation in operations() {
        assert_eq!(
            operation.is_public(),
            operation.permission.is_none(),
            "{}",
            operation.path
        );
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
        let good = operation.filled("app-1", "hook", "msg_01h455vb4pex5vsknk084sn02q");
        let bad = operation.filled("app_x", "%00", "..%2f");
        for path in [
            good.clone(),
            bad,
            format!("{good}?limit=x&limit=y"),
            format!("{good}/un/known"),
        ] {
            for method in [
                &operation.method,
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
        operation
            .call(&api, "", &good)
            .await
            .problem(401, "unauthenticated");
    }
    assert!(refused > 200);
    for path in [
        "/v1",
        "/v1/",
        "/v1/un/known",
        "/v1/applications/",
        "/%76%31/applications",
    ] {
        api.send(junk(&Method::GET, path))
            .await
            .problem(401, "unauthenticated");
    }
}

#[actix_web::test]
async fn nobody_is_let_in_by_a_credential_of_another_kind() {
    let api = Api::start().await;
    let Tenancy { owner, .. } = api.tenancy("acme").await;
    for (header, value) in [
        ("authorization", owner.clone()),
        ("authorization", format!("Basic {owner}")),
        ("authorization", format!("Bearer {owner} x")),
        ("authorization", "Bearer pro_".to_owned()),
        ("authorization", format!("Bearer pro_{}", "0".repeat(64))),
        ("authorization", "Bearer prk_x_y".to_owned()),
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

#[actix_web::test]
async fn each_operation_needs_the_permission_that_it_declares() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    api.post(&tenancy.owner, "/v1/applications", application("elsewhere"))
        .await
        .expect(201);
    // Knows the tenant, but may do something in another application only.
    let outsider = api
        .key(
            &tenancy.owner,
            json!([{"role": "admin", "application": "elsewhere"}]),
        )
        .await;
    for operation in operations().iter().filter(|operation| !operation.is_public()) {
        let path = operation.filled("app-1", &tenancy.endpoint, &tenancy.message);
        let answer = operation
            .call(&api, &outsider, &path)
            .await
            .problem(403, "forbidden");
        let permission = operation.permission.as_deref().unwrap();
        let needed = match permission {
            "operator" => "this is for the installation's operator".to_owned(),
            permission => format!("the permission {permission} is needed"),
        };
        assert_eq!(answer.text("detail"), needed, "{path}");
        if permission != "operator" {
            // Nor does the operator act on a tenant's behalf.
            let answer = operation.call(&api, &api.operator, &path).await;
            answer.problem(403, "forbidden");
        }
    }
}

#[actix_web::test]
async fn the_examples_of_the_document_are_taken() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    api.post(&owner, "/v1/applications", application("app-1"))
        .await
        .expect(201);
    let mut with_body: Vec<_> = operations().into_iter().filter(|o| o.example.is_some()).collect();
    // The login's example is the owner of the tenant's.
    with_body.sort_by_key(|operation| operation.path != "/v1/operator/tenants");
    for operation in with_body {
        let token = match operation.permission.as_deref() {
            None => "",
            Some("operator") => &api.operator,
            Some(_) => &owner,
        };
        let path = operation.filled("app-1", "", "");
        let answer = operation.call(&api, token, &path).await;
        assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
    }
}

#[actix_web::test]
async fn a_known_path_with_another_method_says_which_it_has() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    for operation in operations() {
        let path = operation
            .filled("app-1", &tenancy.endpoint, &tenancy.message)
            .replace("{code}", "internal");
        let answer = api.method(&tenancy.owner, Method::DELETE, &path).await;
        let answer = answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), operation.method.as_str(), "{path}");
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
