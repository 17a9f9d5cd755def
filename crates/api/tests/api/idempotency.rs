//! Commands with an `Idempotency-Key`: done once, and answered the same.

use actix_web::{
    http::{Method, header::HeaderMap},
    test::TestRequest,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Operation, Scene, Who, application, endpoint, operations, with};
use postrider_domain::access::Role;

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotent-replayed";

async fn send(api: &Api, token: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
    let request = TestRequest::post()
        .uri(path)
        .insert_header(("authorization", format!("Bearer {token}")))
        .insert_header((KEY, key));
    api.send(match body {
        Some(body) => request.set_json(body),
        None => request,
    })
    .await
}

/// Publishing is deduplicated by the intake, and has tests of its own.
fn commands() -> Vec<Operation> {
    let commands = operations().into_iter().filter(|operation| {
        // Publishing keeps its keys with the messages: one for each, of a batch too.
        let publishes = ["publishMessage", "publishBatch"].contains(&operation.id.as_str());
        operation.method == Method::POST && !operation.is_public() && !publishes
    });
    let commands: Vec<_> = commands.collect();
    assert!(commands.len() >= 11, "they are found");
    commands
}

/// What a client sees of an answer: all headers but those of the one request.
fn headers(answer: &Answer) -> Vec<(String, String)> {
    let of_request = [
        "x-request-id",
        "traceparent",
        "date",
        "ratelimit",
        "ratelimit-policy",
        REPLAYED,
    ];
    let all: &HeaderMap = &answer.headers;
    let mut seen: Vec<_> = all
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !of_request.contains(&name.as_str()))
        .collect();
    seen.sort();
    seen
}

/// Generated from the document: every command but those of authentication takes a key.
#[actix_web::test]
async fn every_command_is_done_once_and_answered_the_same() {
    let api = Api::start().await;
    for (nth, operation) in commands().into_iter().enumerate() {
        let name = &operation.id;
        let mut scene = Scene::set(&api, &format!("tenant-{nth}")).await;
        let who = if operation.demands == "operator" {
            Who::Operator
        } else {
            Who::OnTenant(Role::Owner)
        };
        let token = scene.credential(&api, who).await;
        let (path, body) = (operation.filled(&scene.segments), scene.body(&operation));
        let first = send(&api, &token, &path, name, body.as_ref()).await;
        assert!(first.status.is_success(), "{name}: {:?}", first.body);
        assert!(!first.headers.contains_key(REPLAYED), "{name}");
        let events = api.ports.events.head().await.unwrap();
        for _ in 0..2 {
            let again = send(&api, &token, &path, name, body.as_ref()).await;
            assert_eq!(again.status, first.status, "{name}: {:?}", again.body);
            assert_eq!(again.header(REPLAYED), "true", "{name}");
            assert_eq!(headers(&again), headers(&first), "{name}");
            if again.body != first.body {
                let (before, now) = (first.json(), again.json());
                assert_eq!(now["secret_already_shown"], true, "{name}: {now}");
                let secret = ["secret", "token"]
                    .into_iter()
                    .find(|field| before[*field].is_string());
                assert!(now[secret.unwrap()].is_null(), "{name}: {now}");
                assert_eq!(now["id"], before["id"], "{name}");
            }
        }
        assert_eq!(
            api.ports.events.head().await.unwrap(),
            events,
            "{name} was done once"
        );
        // Another question under the same key.
        let elsewhere = send(&api, &token, &format!("{path}?"), name, body.as_ref()).await;
        elsewhere.problem(409, "idempotency_conflict");
        if let Some(body) = &body {
            let spaced = format!("{body} ");
            let request = TestRequest::post()
                .uri(&path)
                .insert_header(("authorization", format!("Bearer {token}")))
                .insert_header((KEY, name.as_str()))
                .insert_header(("content-type", "application/json"))
                .set_payload(spaced);
            api.send(request).await.problem(409, "idempotency_conflict");
        }
    }
}

#[actix_web::test]
async fn one_key_from_a_hundred_connections_is_one_result() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    for body in [application("uid"), json!({"name": "without a uid"})] {
        let key = body.to_string();
        let all = (0..100).map(|_| send(&api, &owner, "/v1/applications", &key, Some(&body)));
        let answers = join_all(all).await;
        let first = answers[0].body.clone();
        let mut fresh = 0;
        for answer in answers {
            let answer = answer.expect(201);
            assert_eq!(answer.body, first);
            fresh += usize::from(!answer.headers.contains_key(REPLAYED));
        }
        assert_eq!(fresh, 1);
    }
    let list = api.get(&owner, "/v1/applications").await.expect(200);
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn a_secret_is_shown_once_and_stored_in_no_answer() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    api.post(&owner, "/v1/applications", application("app"))
        .await
        .expect(201);
    let secret = format!("whsec_{}", "QUJD".repeat(8));
    let body = with(endpoint("hook"), json!({"secret": secret}));
    let path = "/v1/applications/app/endpoints";
    let created = send(&api, &owner, path, "k", Some(&body)).await.expect(201);
    assert_eq!(created.text("secret"), secret);
    let again = send(&api, &owner, path, "k", Some(&body)).await.expect(201);
    assert!(!String::from_utf8_lossy(&again.body).contains("whsec_"));
    assert_eq!(again.text("id"), created.text("id"));
    insta::assert_snapshot!(again.snapshot());
}

#[actix_web::test]
async fn a_key_of_another_caller_is_another_key() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let machine = api.key(&owner, json!([{"role": "admin"}])).await;
    let stranger = api.owner("other").await.1;
    let body = json!({"name": "Customer"});
    let mut ids = Vec::new();
    for token in [&owner, &machine, &stranger] {
        let answer = send(&api, token, "/v1/applications", "k", Some(&body))
            .await
            .expect(201);
        assert!(!answer.headers.contains_key(REPLAYED));
        ids.push(answer.text("id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[actix_web::test]
async fn a_key_that_is_none_is_refused_and_nothing_is_done() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let body = json!({"name": "Customer"});
    for key in ["", &"x".repeat(257)] {
        let refused = send(&api, &owner, "/v1/applications", key, Some(&body)).await;
        assert_eq!(refused.violations()[0].0, "Idempotency-Key");
    }
    let twice = TestRequest::post()
        .uri("/v1/applications")
        .insert_header(("authorization", format!("Bearer {owner}")))
        .append_header((KEY, "a"))
        .append_header((KEY, "b"))
        .set_json(&body);
    assert_eq!(api.send(twice).await.violations()[0].0, "Idempotency-Key");
    let list = api.get(&owner, "/v1/applications").await.expect(200);
    assert_eq!(list.json()["data"], json!([]));
}

#[actix_web::test]
async fn errors_are_not_kept() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let body = application("uid");
    let taken = api
        .post(&owner, "/v1/applications", body.clone())
        .await
        .expect(201);
    for _ in 0..2 {
        let refused = send(&api, &owner, "/v1/applications", "k", Some(&body)).await;
        refused.problem(409, "uid_taken");
    }
    let bad = json!({"name": ""});
    send(&api, &owner, "/v1/applications", "k", Some(&bad))
        .await
        .violations();
    let good = send(&api, &owner, "/v1/applications", "k", Some(&application("free"))).await;
    assert_ne!(good.expect(201).text("id"), taken.text("id"));
}
