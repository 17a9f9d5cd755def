//! Portal tokens: for one of a tenant's customers.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Tenancy, application, endpoint};

const TOKENS: &str = "/v1/applications/app-1/portal-tokens";
const ENDPOINTS: &str = "/v1/applications/app-1/endpoints";

async fn mint(api: &Api, token: &str, permissions: Value) -> Answer {
    let body = json!({"permissions": permissions, "expires_in": 600});
    api.post(token, TOKENS, body).await
}

async fn portal(api: &Api, tenancy: &Tenancy, permissions: Value) -> String {
    mint(api, &tenancy.owner, permissions)
        .await
        .expect(201)
        .text("token")
}

#[actix_web::test]
async fn a_customer_does_what_the_token_names_in_its_application_and_no_more() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    api.post(&tenancy.owner, "/v1/applications", application("app-2"))
        .await
        .expect(201);
    let minted = mint(
        &api,
        &tenancy.owner,
        json!(["endpoints:read", "applications:read"]),
    )
    .await;
    assert_snapshot!("mint_portal_token", minted.snapshot());
    let token = minted.text("token");

    let me = api.get(&token, "/v1/me").await;
    assert_snapshot!("get_me_portal", me.snapshot());
    assert_eq!(me.json()["id"], minted.json()["id"]);
    api.get(&token, &format!("{ENDPOINTS}/hook")).await.expect(200);
    let seen = api.get(&token, "/v1/applications").await.expect(200).json();
    assert_eq!(seen["data"].as_array().unwrap().len(), 1, "only its own");

    api.post(&token, ENDPOINTS, endpoint("mine"))
        .await
        .problem(403, "forbidden");
    api.get(&token, &format!("{ENDPOINTS}/hook/secret"))
        .await
        .problem(403, "forbidden");
    // One customer does not learn of the others.
    api.get(&token, "/v1/applications/app-2")
        .await
        .problem(404, "not_found");
    api.get(&token, "/v1/tenant").await.problem(403, "forbidden");
    api.delete(&token, "/v1/me/sessions")
        .await
        .problem(403, "forbidden");
    mint(&api, &token, json!(["endpoints:read"]))
        .await
        .problem(403, "forbidden");
}

#[actix_web::test]
async fn it_names_permissions_that_are_known_held_and_fit_for_it() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let fault = |field: &str, rule: &str| (field.to_owned(), rule.to_owned());
    for (permissions, faults) in [
        (json!([]), vec![fault("permissions", "required")]),
        (
            json!(["endpoints:read", "endpoints:destroy", "ENDPOINTS:READ", ""]),
            vec![
                fault("permissions[1]", "unknown"),
                fault("permissions[2]", "unknown"),
                fault("permissions[3]", "unknown"),
            ],
        ),
        (
            json!(["endpoints:read", "endpoints:read"]),
            vec![fault("permissions[1]", "duplicate")],
        ),
        (
            json!(["members:manage", "portal-tokens:issue"]),
            vec![
                fault("permissions[0]", "unknown"),
                fault("permissions[1]", "unknown"),
            ],
        ),
        (
            json!(vec!["endpoints:read"; 51]),
            vec![fault("permissions", "too_long")],
        ),
        (json!("endpoints:read"), vec![fault("permissions", "type")]),
        (json!([1]), vec![fault("permissions[0]", "type")]),
    ] {
        let answer = mint(&api, &tenancy.owner, permissions.clone()).await;
        assert_eq!(answer.violations(), faults, "{permissions}");
    }
    for expires_in in [json!(0), json!(59), json!(86_401), json!(u64::MAX)] {
        let body = json!({"permissions": ["endpoints:read"], "expires_in": expires_in});
        let answer = api.post(&tenancy.owner, TOKENS, body).await;
        assert_eq!(answer.violations(), [fault("expires_in", "range")]);
    }
    // A developer of another application, and one who holds less.
    api.post(&tenancy.owner, "/v1/applications", application("app-2"))
        .await
        .expect(201);
    let elsewhere = api
        .key(
            &tenancy.owner,
            json!([{"role": "developer", "application": "app-2"}]),
        )
        .await;
    mint(&api, &elsewhere, json!(["endpoints:read"]))
        .await
        .problem(403, "forbidden");
    let developer = api.key(&tenancy.owner, json!([{"role": "developer"}])).await;
    let more = mint(&api, &developer, json!(["endpoints:read", "payloads:delete"])).await;
    assert_eq!(more.violations(), [fault("permissions[1]", "not_held")]);
}

#[actix_web::test]
async fn it_ends_with_its_time_or_when_all_of_the_application_are_revoked() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let hook = format!("{ENDPOINTS}/hook");
    let token = portal(&api, &tenancy, json!(["endpoints:read"])).await;
    api.get(&token, &hook).await.expect(200);
    api.delete(&tenancy.owner, TOKENS).await.expect(204);
    api.get(&token, &hook).await.problem(401, "unauthenticated");
    // A new one is good, even in the same second.
    let next = portal(&api, &tenancy, json!(["endpoints:read"])).await;
    api.get(&next, &hook).await.expect(200);
    api.clock.advance(Duration::from_secs(601));
    api.get(&next, &hook).await.problem(401, "unauthenticated");
}

#[actix_web::test]
async fn it_does_not_outlive_the_key_that_mints_it() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let me = api.get(&tenancy.owner, "/v1/me").await.expect(200).json();
    let now = me["tenant"]["created_at"].as_str().unwrap().to_owned();
    let soon = now.replace("T08:30:", "T08:35:");
    assert_ne!(now, soon, "the test clock begins at half past eight");
    let body = json!({"name": "k", "grants": [{"role": "developer"}], "expires_at": soon});
    let key = api
        .post(&tenancy.owner, "/v1/api-keys", body)
        .await
        .expect(201)
        .text("token");
    let minted = mint(&api, &key, json!(["endpoints:read"])).await.expect(201);
    assert_eq!(minted.text("expires_at"), soon);
}
