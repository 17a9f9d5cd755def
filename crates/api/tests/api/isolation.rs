//! What belongs to another tenant does not exist: the answer is that of something that never was.

use serde_json::json;

use crate::support::{Api, Operation, Segments, Tenancy, application, operations};

const NEVER: &str = "01h455vb4pex5vsknk084sn02q";

/// Everything that a tenant's paths can name, all of it really there.
async fn everything_of(api: &Api, tenancy: &Tenancy) -> Segments {
    let owner = &tenancy.owner;
    let viewer = || json!([{"role": "viewer"}]);
    let member = api.member(owner, "grace@acme.example", viewer()).await.member;
    let invited = api.invite(owner, "joan@acme.example", viewer()).await.expect(201);
    let key = json!({"name": "key", "grants": viewer()});
    let key = api.post(owner, "/v1/api-keys", key).await.expect(201);
    let event_type = json!({"name": "order.shipped", "schema": {"type": "object"}});
    api.post(owner, "/v1/event-types", event_type).await.expect(201);
    let replays = format!(
        "/v1/applications/{}/endpoints/{}/replays",
        tenancy.application, tenancy.endpoint
    );
    let replay = json!({"mode": "failed", "from": "2020-01-01T00:00:00Z"});
    let replay = api.post(owner, &replays, replay).await.expect(202);
    Segments {
        replay: replay.text("id"),
        application: tenancy.application.clone(),
        endpoint: tenancy.endpoint.clone(),
        message: tenancy.message.clone(),
        scheduled: tenancy.message.clone(),
        member,
        invitation: invited.text("id"),
        api_key: key.text("id"),
        tenant: tenancy.id.clone(),
        event_type: "order.shipped".to_owned(),
        event: api.dead_letter(&tenancy.endpoint).await,
    }
}

fn never() -> Segments {
    Segments {
        application: format!("app_{NEVER}"),
        endpoint: format!("ep_{NEVER}"),
        message: format!("msg_{NEVER}"),
        replay: format!("rpl_{NEVER}"),
        scheduled: format!("msg_{NEVER}"),
        member: format!("mem_{NEVER}"),
        invitation: format!("inv_{NEVER}"),
        api_key: format!("key_{NEVER}"),
        tenant: format!("ten_{NEVER}"),
        event_type: "never.heard".to_owned(),
        event: "sink.999999".to_owned(),
    }
}

/// Those that name something of a tenant. The operator's are left out, because whoever runs the installation is not
/// confined to a tenant, and nobody of a tenant is let in to them at all (`guard`).
fn naming() -> Vec<Operation> {
    let naming: Vec<_> = operations()
        .into_iter()
        .filter(|operation| operation.names_something() && operation.demands != "operator")
        .collect();
    assert!(naming.len() >= 19);
    naming
}

#[actix_web::test]
async fn another_tenants_resources_are_not_found() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let theirs = everything_of(&api, &acme).await;
    for operation in naming() {
        let seen = call(&api, &operation, &rival.owner, &theirs).await;
        let unseen = call(&api, &operation, &rival.owner, &never()).await;
        assert_eq!(seen, unseen, "{}", operation.path);
        // By uid the rival has an application of the same name, but neither that endpoint nor that message.
        if operation.path.contains("{endpoint}") || operation.path.contains("{message}") {
            let own = Segments {
                application: "app-1".to_owned(),
                ..theirs.clone()
            };
            call(&api, &operation, &rival.owner, &own).await;
        }
    }
    // All of it is still there for its own.
    for operation in naming().iter().filter(|o| o.method == "GET") {
        api.get(&acme.owner, &operation.filled(&theirs)).await.expect(200);
    }
}

#[actix_web::test]
async fn another_applications_messages_and_endpoints_are_not_found() {
    let api = Api::start().await;
    let acme = api.tenancy("acme").await;
    api.post(&acme.owner, "/v1/applications", application("app-2"))
        .await
        .expect(201);
    let mut elsewhere = everything_of(&api, &acme).await;
    elsewhere.application = "app-2".to_owned();
    for operation in naming() {
        if operation.path.contains("{endpoint}") || operation.path.contains("{message}") {
            call(&api, &operation, &acme.owner, &elsewhere).await;
        }
    }
}

/// Calls, expects `not_found`, and answers the problem without what differs between any two requests.
async fn call(api: &Api, operation: &Operation, token: &str, segments: &Segments) -> String {
    let path = operation.filled(segments);
    let answer = api
        .call(token, operation.method.clone(), &path, operation.example.as_ref())
        .await;
    assert_eq!(answer.status, 404, "{} {path}", operation.method);
    let mut problem = answer.problem(404, "not_found").json();
    problem["instance"] = "".into();
    problem["request_id"] = "".into();
    problem.to_string()
}
