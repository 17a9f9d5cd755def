//! Every list of the document: pages there and back, links, and cursors that are nobody else's.

use actix_web::http::Method;
use postrider_domain::access::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Operation, Scene, Who, application, operations};

/// What is asked with a cursor.
fn lists() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&postrider_api::openapi_json()).unwrap();
    let takes_cursor = |operation: &Operation| {
        let parameters = &document["paths"][&operation.path]["get"]["parameters"];
        let mut names = parameters.as_array().into_iter().flatten();
        names.any(|parameter| parameter["name"] == "cursor")
    };
    let all: Vec<_> = operations()
        .into_iter()
        // Deliveries are never listed without a filter that bounds them.
        .filter(|operation| operation.method == Method::GET && operation.id != "searchDeliveries")
        .filter(takes_cursor)
        .collect();
    assert!(all.len() >= 8, "they are found");
    all
}

/// The target of the `Link` of that relation.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    let ending = format!(">; rel=\"{relation}\"");
    let links = answer
        .headers
        .get_all("link")
        .map(|value| value.to_str().unwrap());
    let mut targets = links.filter_map(|link| link.strip_suffix(ending.as_str())?.strip_prefix('<'));
    let target = targets.next().map(ToOwned::to_owned);
    assert!(targets.next().is_none(), "one {relation}");
    target
}

async fn credential(api: &Api, scene: &mut Scene, operation: &Operation) -> String {
    let who = if operation.demands == "operator" {
        Who::Operator
    } else {
        Who::OnTenant(Role::Owner)
    };
    scene.credential(api, who).await
}

#[actix_web::test]
async fn every_list_links_to_its_first_page_and_takes_no_cursor_of_another() {
    let api = Api::start().await;
    let mut scene = Scene::set(&api, "acme").await;
    for nth in 0..3 {
        let owner = &scene.tenancy.owner;
        api.post(owner, "/v1/applications", application(&format!("more-{nth}")))
            .await
            .expect(201);
    }
    let owner = scene.tenancy.owner.clone();
    let page = api.get(&owner, "/v1/applications?limit=1").await.expect(200);
    let foreign = page.text("next");
    for operation in lists() {
        let token = credential(&api, &mut scene, &operation).await;
        let path = operation.filled(&scene.segments);
        let page = api.get(&token, &path).await.expect(200);
        assert_eq!(link(&page, "first").as_deref(), Some(&*path), "{path}");
        assert_eq!(
            page.json()["next"].is_string(),
            link(&page, "next").is_some(),
            "{path}"
        );
        for bad in ["", "!", "YXg", &foreign] {
            if bad == foreign && path == "/v1/applications" {
                continue;
            }
            let refused = api.get(&token, &format!("{path}?limit=0&cursor={bad}")).await;
            let mut faults = refused.violations();
            faults.sort();
            let fault = |field: &str, rule: &str| (field.to_owned(), rule.to_owned());
            assert_eq!(
                faults,
                [fault("cursor", "format"), fault("limit", "range")],
                "{path} {bad}"
            );
        }
    }
}

#[actix_web::test]
async fn links_lead_through_a_list_and_back() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let mut created = Vec::new();
    for nth in 0..5 {
        let body = application(&format!("app-{nth}"));
        created.push(
            api.post(&owner, "/v1/applications", body)
                .await
                .expect(201)
                .text("id"),
        );
    }
    let ids = |page: &Answer| -> Vec<String> {
        let items = page.json()["data"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = api.get(&owner, "/v1/applications?limit=2").await.expect(200);
    assert_eq!(link(&first, "prev"), None);
    let second = api.get(&owner, &link(&first, "next").unwrap()).await.expect(200);
    // Another comes in; nothing is shown twice or passed over.
    api.post(&owner, "/v1/applications", application("late"))
        .await
        .expect(201);
    let third = api.get(&owner, &link(&second, "next").unwrap()).await.expect(200);
    let seen = [ids(&first), ids(&second), ids(&third)].concat();
    assert_eq!(seen[..5], created);
    let back = api.get(&owner, &link(&third, "prev").unwrap()).await.expect(200);
    assert_eq!(ids(&back), ids(&second));
    assert!(link(&back, "first").unwrap().contains("limit=2"));
}

#[actix_web::test]
async fn a_cursor_is_bound_to_its_filters_and_its_tenant() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let (_, other) = api.owner("other").await;
    for token in [&owner, &other] {
        for nth in 0..3 {
            let body = json!({"name": "Customer", "uid": format!("app-{nth}")});
            api.post(token, "/v1/applications", body).await.expect(201);
        }
    }
    let path = "/v1/audit-entries?limit=1&outcome=done";
    let cursor = api.get(&owner, path).await.expect(200).text("next");
    let ask = |token: &str, query: &str| {
        let (token, path) = (
            token.to_owned(),
            format!("/v1/audit-entries?cursor={cursor}{query}"),
        );
        let api = &api;
        async move { api.get(&token, &path).await }
    };
    ask(&owner, "&outcome=done").await.expect(200);
    ask(&owner, "&limit=2&outcome=done").await.expect(200);
    for (token, query) in [
        (&owner, ""),
        (&owner, "&outcome=denied"),
        (&owner, "&outcome=done&action=application.create"),
        (&other, "&outcome=done"),
    ] {
        let refused = ask(token, query).await;
        assert_eq!(refused.violations(), [("cursor".to_owned(), "format".to_owned())]);
    }
}
