//! What belongs to another tenant does not exist: the answer is that of something that never was.

use actix_web::http::Method;

use crate::{
    guard::operations,
    support::{Api, application},
};

#[actix_web::test]
async fn another_tenants_resources_are_not_found() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    assert_ne!(acme.id, rival.id);
    let mut tried = 0;
    for operation in operations() {
        if !operation.path.contains("{application}") {
            continue;
        }
        let fill = |application: &str| {
            operation
                .path
                .replace("{application}", application)
                .replace("{endpoint}", &acme.endpoint)
                .replace("{message}", &acme.message)
        };
        // By id: the application itself is the other tenant's.
        let theirs = call(&api, &operation, &rival.owner, &fill(&acme.application)).await;
        let never = call(
            &api,
            &operation,
            &rival.owner,
            &fill("app_01h455vb4pex5vsknk084sn02q"),
        )
        .await;
        assert_eq!(theirs, never, "{}", operation.path);
        assert!(!theirs.contains("forbidden"));
        tried += 1;
        // By uid the rival has an application of the same name, but neither that endpoint nor that message.
        if operation.path.contains("{endpoint}") || operation.path.contains("{message}") {
            call(&api, &operation, &rival.owner, &fill("app-1")).await;
            tried += 1;
        }
    }
    assert!(tried >= 15);
}

#[actix_web::test]
async fn another_applications_messages_and_endpoints_are_not_found() {
    let api = Api::start().await;
    let acme = api.tenancy("acme").await;
    api.post(&acme.owner, "/v1/applications", application("app-2"))
        .await
        .expect(201);
    for operation in operations() {
        if operation.path.contains("{endpoint}") || operation.path.contains("{message}") {
            let path = operation
                .path
                .replace("{application}", "app-2")
                .replace("{endpoint}", &acme.endpoint)
                .replace("{message}", &acme.message);
            call(&api, &operation, &acme.owner, &path).await;
        }
    }
}

/// Calls, expects `not_found`, and answers the problem without what differs between any two requests.
async fn call(api: &Api, operation: &crate::guard::Operation, token: &str, path: &str) -> String {
    let answer = match (&operation.method, &operation.example) {
        (&Method::POST, Some(body)) => api.post(token, path, body.clone()).await,
        (method, _) => api.method(token, method.clone(), path).await,
    };
    let mut problem = answer.problem(404, "not_found").json();
    problem["instance"] = "".into();
    problem["request_id"] = "".into();
    problem.to_string()
}
