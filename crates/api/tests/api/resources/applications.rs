use actix_web::http::Method;
use serde_json::{Value, json};

use super::{ENDPOINTS, fault, given, is};
use crate::support::Answer;

#[actix_web::test]
async fn an_application_is_put_and_patched() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = "/v1/applications/customer-7";
    let body = json!({"name": "Seven", "metadata": {"plan": "gold"}});
    let created = api.put(owner, path, body.clone()).await.expect(201);
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.text("uid"), "customer-7");
    let location = created.header("location").to_owned();
    let again = api.put(owner, path, body).await.expect(200);
    assert_eq!((again.header("etag"), again.json()), ("\"1\"", created.json()));
    let replaced = api.put(owner, path, json!({"name": "Seven!"})).await.expect(200);
    assert_eq!(
        (replaced.header("etag"), &replaced.json()["metadata"]),
        ("\"2\"", &json!({}))
    );

    let body = json!({"metadata": {"plan": "silver", "gone": null}});
    let patched = api.patch(owner, &location, body).await.expect(200);
    assert_eq!(patched.json()["metadata"], json!({"plan": "silver"}));
    assert_eq!(patched.text("name"), "Seven!");
    let read = api.get(owner, path).await.expect(200);
    assert_eq!((read.header("etag"), read.json()), ("\"3\"", patched.json()));
    let cleared = api.patch(owner, path, json!({"uid": null})).await.expect(200);
    assert_eq!(cleared.json()["uid"], Value::Null);
    api.get(owner, path).await.problem(404, "not_found");
    let null = api.patch(owner, &location, json!({"name": null})).await;
    assert_eq!(fault(null), is("name", "required"));
    let taken = api.patch(owner, &location, json!({"uid": "app-1"})).await;
    taken.problem(409, "uid_taken");
}

#[actix_web::test]
async fn an_application_is_changed_and_deleted_at_its_version() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    let path = "/v1/applications/customer-7";
    let created = api.put(owner, path, json!({"name": "Seven"})).await.expect(201);
    let location = created.header("location").to_owned();
    api.patch(owner, &location, json!({"uid": null}))
        .await
        .expect(200);

    let refused = |answer: Answer| answer.problem(412, "precondition_failed");
    refused(
        api.at(owner, Method::PATCH, &location, "\"1\"", Some(json!({})))
            .await,
    );
    refused(api.at(owner, Method::DELETE, &location, "\"1\"", None).await);
    refused(
        api.at(owner, Method::PUT, path, "*", Some(json!({"name": "x"})))
            .await,
    );
    refused(
        api.at(
            owner,
            Method::PUT,
            &location,
            "W/\"2\"",
            Some(json!({"name": "x"})),
        )
        .await,
    );
    let unknown = "/v1/applications/app_01h455vb4pex5vsknk084sn02q";
    api.put(owner, unknown, json!({"name": "x"}))
        .await
        .problem(404, "not_found");
    let deleted = api
        .at(owner, Method::DELETE, &location, "\"2\"", None)
        .await
        .expect(204);
    assert!(deleted.body.is_empty());
    api.delete(owner, &location).await.problem(404, "not_found");
    api.get(owner, &location).await.problem(404, "not_found");
    // The tenant's other webhooks have an application like any other.
    api.put(owner, "/v1/applications/operational", json!({"name": "Ours"}))
        .await
        .expect(201);
}

#[actix_web::test]
async fn a_customer_learns_of_no_other_by_putting() {
    let (api, tenancy) = given().await;
    let owner = &tenancy.owner;
    api.put(owner, "/v1/applications/app-2", json!({"name": "Two"}))
        .await
        .expect(201);
    let body = json!({"permissions": ["endpoints:write", "endpoints:read"], "expires_in": 600});
    let portal = api
        .post(owner, "/v1/applications/app-1/portal-tokens", body)
        .await
        .expect(201);
    let portal = portal.text("token");
    for uid in ["app-2", "app-3"] {
        let put = api
            .put(&portal, &format!("/v1/applications/{uid}"), json!({"name": "x"}))
            .await;
        put.problem(404, "not_found");
    }
    let put = api
        .put(&portal, "/v1/applications/app-1", json!({"name": "x"}))
        .await;
    put.problem(403, "forbidden");
    let body = json!({"url": "https://example.com/"});
    api.put(&portal, &format!("{ENDPOINTS}/mine"), body)
        .await
        .expect(201);
    api.delete(owner, "/v1/applications/app-1").await.expect(204);
    api.get(&portal, ENDPOINTS).await.problem(401, "unauthenticated");
}
