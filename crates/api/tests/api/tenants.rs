//! A tenant's life: read, exported, suspended, deleted, erased.

use std::{sync::Arc, time::Duration};

use actix_web::{
    body::{BodySize, MessageBody as _},
    test::{TestRequest, init_service},
};
use async_trait::async_trait;
use insta::assert_snapshot;
use postrider_application::{
    access::TenantScope,
    ports::{ErasureStep, ExportCursor, ExportPage, ExportRow, StoreError, TenantExport},
};
use postrider_domain::deliveries::Outcome;
use serde_json::{Value, json};

use crate::support::{Api, PASSWORD, Setup, Tenancy, application, message, owner_of};

async fn operate(api: &Api, tenancy: &Tenancy, verb: &str) -> crate::support::Answer {
    let path = format!("/v1/operator/tenants/{}/{verb}", tenancy.id);
    api.act(&api.operator, &path).await
}

#[actix_web::test]
async fn a_suspended_tenant_reads_and_goes_on_when_it_is_resumed() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let path = "/v1/applications/app-1/messages";
    let viewer = api.key(&acme.owner, json!([{"role": "viewer"}])).await;
    let suspended = operate(&api, &acme, "suspend").await;
    assert_snapshot!("suspend_tenant", suspended.snapshot());
    operate(&api, &acme, "suspend").await.expect(200);
    let refused = api.post(&acme.owner, path, message()).await;
    assert_snapshot!("publish_message_suspended", refused.snapshot());
    api.get(&acme.owner, "/v1/tenant").await.expect(200);
    // Who may not anyway is not told of it.
    api.post(&viewer, path, message()).await.problem(403, "forbidden");
    // Its people still come in.
    let login = api.log_in(&owner_of("acme")).await.expect(200);
    assert_eq!(login.json()["tenant"], acme.id.as_str());
    api.post(&rival.owner, path, message()).await.expect(202);

    operate(&api, &acme, "resume").await.expect(200);
    api.post(&acme.owner, path, message()).await.expect(202);
    assert_snapshot!("get_tenant", api.get(&acme.owner, "/v1/tenant").await.snapshot());
}

#[actix_web::test]
async fn a_deleted_tenant_is_unknown_at_once_and_erased_to_the_last_row() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let key = api.key(&acme.owner, json!([{"role": "admin"}])).await;
    let path = format!("/v1/operator/tenants/{}", acme.id);
    let deleted = api.delete(&api.operator, &path).await;
    assert_snapshot!("delete_tenant", deleted.snapshot());
    api.delete(&api.operator, &path).await.expect(202);
    for token in [&acme.owner, &key] {
        api.get(token, "/v1/me").await.problem(401, "unauthenticated");
    }
    api.log_in(&owner_of("acme")).await.problem(403, "forbidden");
    operate(&api, &acme, "resume")
        .await
        .problem(409, "tenant_deleting");
    operate(&api, &acme, "suspend")
        .await
        .problem(409, "tenant_deleting");
    let found = api.get(&api.operator, &path).await.expect(200).json();
    assert_eq!(found["status"], "deleting");

    let mut steps = 0;
    loop {
        let step = api.ports.housekeeping.erase(100, Duration::ZERO).await.unwrap();
        steps += 1;
        assert!(steps < 1_000, "{step:?}");
        if matches!(step, ErasureStep::Erased { .. }) {
            break;
        }
    }
    let erased = api.get(&api.operator, &path).await;
    assert_snapshot!("show_tenant_erased", erased.snapshot());
    operate(&api, &acme, "suspend").await.problem(404, "not_found");
    // The other one is whole. Its owner was a member of nothing else, and went with it.
    api.get(&rival.owner, "/v1/applications/app-1").await.expect(200);
    let list = api.get(&api.operator, "/v1/operator/tenants").await;
    assert_snapshot!("list_tenants", list.snapshot());
    let gone = api.log_in(&owner_of("acme")).await;
    gone.problem(401, "invalid_credentials");
    let never = "/v1/operator/tenants/ten_01h455vb4pex5vsknk084sn02q";
    api.get(&api.operator, never).await.problem(404, "not_found");
}

fn lines(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[actix_web::test]
async fn an_export_holds_everything_but_secrets_and_counts_it() {
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    api.deliver(
        &acme.message,
        &acme.endpoint,
        &[(Outcome::of_status(200), b"thanks")],
    )
    .await;
    api.post(&acme.owner, "/v1/applications", application("app-2"))
        .await
        .expect(201);
    let viewer = || json!([{"role": "viewer"}]);
    let invited = api
        .invite(&acme.owner, "joan@example.com", viewer())
        .await
        .expect(201)
        .text("token");
    let key = api.key(&acme.owner, viewer()).await;
    let login = api
        .log_in(&owner_of("acme"))
        .await
        .expect(200)
        .text("refresh_token");
    let hook = "/v1/applications/app-1/endpoints/hook/secret";
    let secret = api.get(&acme.owner, hook).await.expect(200).text("secret");

    let export = api.get(&acme.owner, "/v1/tenant/export").await.expect(200);
    assert_eq!(export.header("content-type"), "application/jsonl");
    assert_eq!(export.header("cache-control"), "no-store");
    let name = format!("attachment; filename=\"{}.jsonl\"", acme.id);
    assert_eq!(export.header("content-disposition"), name);
    let lines = lines(&export.body);
    let [head, rows @ .., end] = &lines[..] else {
        panic!()
    };
    assert_eq!((&head["kind"], &head["format"]), (&json!("export"), &json!(1)));
    assert_eq!(head["tenant"], acme.id.as_str());
    assert!(head["at"].is_string());
    let mut counts = serde_json::Map::new();
    for row in rows {
        assert!(
            row["data"].is_object() && row.as_object().unwrap().len() == 2,
            "{row}"
        );
        let kind = row["kind"].as_str().unwrap();
        let count = counts.get(kind).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(kind.to_owned(), (count + 1).into());
    }
    assert_eq!(end, &json!({"kind": "end", "rows": counts}));
    for (kind, count) in [
        ("tenant", 1),
        ("member", 1),
        ("invitation", 1),
        ("api_key", 1),
        ("application", 2),
        ("endpoint", 1),
        ("message", 1),
        ("delivery", 1),
        ("attempt", 1),
    ] {
        assert_eq!(counts.get(kind), Some(&json!(count)), "{kind}: {counts:?}");
    }
    let text = std::str::from_utf8(&export.body).unwrap();
    for token in [&key, &invited, &login] {
        assert!(!text.contains(&token[31..]), "a token");
    }
    for other in [
        &secret["whsec_".len()..],
        PASSWORD,
        &rival.id,
        &rival.application,
        &rival.message,
    ] {
        assert!(!text.contains(other), "{other}");
    }
    // Reading so much is an entry of the log.
    let log = api
        .get(&acme.owner, "/v1/audit-entries?action=tenant.export")
        .await
        .expect(200)
        .json();
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
}

/// A page, and then an error.
struct Breaks;

#[async_trait]
impl TenantExport for Breaks {
    async fn export_page(
        &self,
        _: &TenantScope,
        after: Option<ExportCursor>,
        _: u32,
    ) -> Result<ExportPage, StoreError> {
        if after.is_some() {
            return Err(StoreError::Unavailable("the database went away".into()));
        }
        Ok(ExportPage {
            rows: vec![ExportRow {
                kind: "message",
                json: "{\"id\":\"msg_1\"}".to_owned(),
            }],
            next: Some(ExportCursor(vec![1])),
        })
    }
}

#[actix_web::test]
async fn two_exports_run_at_a_time_whoever_asks_and_the_next_is_told_to_come_back() {
    const EXPORT: &str = "/v1/tenant/export";
    let api = Api::start().await;
    let (acme, rival) = (api.tenancy("acme").await, api.tenancy("rival").await);
    let service = init_service(postrider_api::app(api.context.clone())).await;
    let begin = async |token: &str| {
        let request = TestRequest::get()
            .uri(EXPORT)
            .insert_header(("authorization", format!("Bearer {token}")));
        let response = actix_web::test::call_service(&service, request.to_request()).await;
        assert_eq!(response.status(), 200);
        response
    };
    // Begun, and not taken.
    let (first, second) = (begin(&acme.owner).await, begin(&acme.owner).await);
    let refused = api.get(&rival.owner, EXPORT).await.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "30");
    drop(first);
    // What was under way is let go of at its next turn.
    tokio::task::yield_now().await;
    api.get(&rival.owner, EXPORT).await.expect(200);
    drop(second);
}

#[actix_web::test]
async fn an_export_that_breaks_off_is_seen_to() {
    let api = Api::start_with(Setup {
        export: Some(Arc::new(Breaks)),
        ..Setup::default()
    })
    .await;
    let (_, owner) = api.owner("acme").await;
    let service = init_service(postrider_api::app(api.context.clone())).await;
    let request = TestRequest::get()
        .uri("/v1/tenant/export")
        .insert_header(("authorization", format!("Bearer {owner}")));
    let response = actix_web::test::call_service(&service, request.to_request()).await;
    assert_eq!(response.status(), 200);
    let mut body = Box::pin(response.into_body());
    assert_eq!(body.as_ref().get_ref().size(), BodySize::Stream);
    let mut read = Vec::new();
    let broken = loop {
        match std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
            Some(Ok(bytes)) => read.extend_from_slice(&bytes),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "the connection must be cut");
    let lines = lines(&read);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], json!({"kind": "message", "data": {"id": "msg_1"}}));
}
