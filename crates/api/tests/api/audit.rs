//! The audit log, over HTTP.

use actix_web::test::TestRequest;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Api, Setup, application, endpoint, message};

const LOG: &str = "/v1/audit-entries";

impl Api {
    async fn log(&self, token: &str, query: &str) -> Vec<Value> {
        let page = self
            .get(token, &format!("{LOG}?{query}"))
            .await
            .expect(200)
            .json();
        page["data"].as_array().unwrap().clone()
    }
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

#[actix_web::test]
async fn each_command_leaves_who_what_and_from_where() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let api = Api::start_with(Setup {
        trusted_proxies,
        ..Setup::default()
    })
    .await;
    let (_, owner) = api.owner("acme").await;
    let request = TestRequest::post()
        .uri("/v1/applications")
        .peer_addr("10.0.0.9:443".parse().unwrap())
        .insert_header(("x-forwarded-for", "192.0.2.1, 203.0.113.9"))
        .insert_header(("x-request-id", "my-request"))
        .insert_header(("authorization", format!("Bearer {owner}")))
        .set_json(application("app-1"));
    let created = api.send(request).await.expect(201);
    let entries = api.log(&owner, "action=application.create").await;
    let [entry] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(entry["target"], created.text("id").as_str());
    assert_eq!(entry["address"], "203.0.113.9");
    assert_eq!(entry["request_id"], "my-request");
    assert_eq!((&entry["outcome"], &entry["times"]), (&json!("done"), &json!(1)));
    assert_eq!(entry["actor"]["kind"], "user");
    let page = api.get(&owner, &format!("{LOG}?action=application.create")).await;
    assert_snapshot!("list_audit_entries", page.snapshot());
    // What is published, and what is read, leaves none.
    let before = api.log(&owner, "").await.len();
    api.post(&owner, "/v1/applications/app-1/endpoints", endpoint("hook"))
        .await
        .expect(201);
    api.post(&owner, "/v1/applications/app-1/messages", message())
        .await
        .expect(202);
    api.get(&owner, "/v1/applications/app-1").await.expect(200);
    assert_eq!(api.log(&owner, "").await.len(), before + 1);
}

#[actix_web::test]
async fn it_is_found_by_what_was_asked_for_and_never_another_tenants() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let me = api.get(&acme.owner, "/v1/me").await.expect(200).text("id");
    let key = api.key(&acme.owner, json!([{"role": "developer"}])).await;
    let key_id = api.get(&key, "/v1/me").await.expect(200).text("id");
    api.post(&key, "/v1/applications", application("by-key"))
        .await
        .expect(201);

    let newest_first = api.log(&acme.owner, "").await;
    assert_eq!(actions(&newest_first)[0], "application.create");
    let by_key = api.log(&acme.owner, &format!("actor={key_id}")).await;
    assert_eq!(actions(&by_key), ["application.create"]);
    let of_key = api.log(&acme.owner, &format!("target={key_id}")).await;
    assert_eq!(actions(&of_key), ["api_key.mint"]);
    let mine = api
        .log(&acme.owner, &format!("actor={me}&action=application.create"))
        .await;
    assert_eq!(actions(&mine), ["application.create"]);
    let by_operator = api.log(&acme.owner, &format!("target={}", acme.id)).await;
    assert_eq!(actions(&by_operator), ["tenant.create"]);
    assert_eq!(by_operator[0]["actor"]["kind"], "operator");
    assert!(api.log(&acme.owner, "outcome=denied").await.is_empty());
    let at = newest_first[0]["at"].as_str().unwrap();
    assert!(
        api.log(&acme.owner, &format!("to={at}")).await.is_empty(),
        "the clock stood still"
    );
    assert_eq!(api.log(&acme.owner, &format!("from={at}")).await, newest_first);

    let theirs = api.log(&rival.owner, &format!("actor={me}")).await;
    assert!(theirs.is_empty());
    let ids = |entries: &[Value]| entries.iter().map(|e| e["id"].to_string()).collect::<Vec<_>>();
    let rivals = ids(&api.log(&rival.owner, "").await);
    assert!(ids(&newest_first).iter().all(|id| !rivals.contains(id)));
    let faults = api
        .get(
            &acme.owner,
            &format!("{LOG}?outcome=maybe&from=x&actor=%00&limit=0"),
        )
        .await;
    assert_eq!(faults.violations().len(), 4);
}

#[actix_web::test]
async fn denials_are_taken_down_with_their_reason_for_the_tenant_they_happened_in() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let viewer = api.key(&acme.owner, json!([{"role": "viewer"}])).await;
    for _ in 0..3 {
        let path = "/v1/applications/app-1/endpoints";
        api.post(&viewer, path, endpoint("x"))
            .await
            .problem(403, "forbidden");
    }
    // Another tenant's application does not exist: nothing was denied.
    let theirs = format!("/v1/applications/{}", acme.application);
    api.get(&rival.owner, &theirs).await.problem(404, "not_found");
    api.get("", &theirs).await.problem(401, "unauthenticated");

    let denied = api.denials.entries();
    assert_eq!(denied.len(), 3);
    api.ports.housekeeping.append_audit(&denied[..1]).await.unwrap();
    let entries = api.log(&acme.owner, "outcome=denied").await;
    let [entry] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (&entry["action"], &entry["target"]),
        (&json!("endpoint.create"), &json!("app-1"))
    );
    assert_eq!(entry["actor"]["kind"], "api_key");
    assert!(api.log(&rival.owner, "outcome=denied").await.is_empty());
}
