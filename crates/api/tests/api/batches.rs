//! What is published together: whole or each on its own, well-formed or not, once or again.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::publishing::{count, faults, is, scene};

const PATH: &str = "/v1/applications/app-1/messages";

#[actix_web::test]
async fn a_batch_is_accepted_whole_or_not_at_all() {
    let (api, tenancy) = scene().await;
    let path = format!("{PATH}/batch");
    let before = count(&api, &tenancy).await;
    let good = |id: &str| json!({"event_type": "invoice.paid", "payload": {"id": id}, "event_id": id});
    let batch = |messages: Vec<Value>, atomic: bool| json!({"messages": messages, "atomic": atomic});
    let send = |body: Value| api.post(&tenancy.owner, &path, body);
    let bad = json!({"event_type": "a b", "payload": 1});
    let refused = send(batch(vec![good("a"), good("b"), good("c"), bad.clone()], true)).await;
    assert_eq!(faults(&refused), is("messages[3].event_type", "charset"));
    let late = json!({"event_type": "a", "payload": 1, "deliver_at": "9999-01-01T00:00:00Z"});
    let refused = send(batch(vec![good("a"), late.clone()], true)).await;
    assert_eq!(faults(&refused), is("messages[1].deliver_at", "range"));
    assert_eq!(count(&api, &tenancy).await, before);
    let accepted = send(batch(vec![good("a"), good("b")], true))
        .await
        .expect(202)
        .json();
    let ids: Vec<_> = accepted["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert!(ids.iter().all(Value::is_string) && ids[0] != ids[1]);
    let mut other = good("a");
    other["payload"] = json!({"id": "other"});
    let conflict = send(batch(vec![good("z"), other.clone()], true)).await;
    conflict.problem(409, "idempotency_conflict");
    assert_eq!(count(&api, &tenancy).await, before + 2);

    let results = send(batch(vec![bad, good("a"), other, late, good("new")], false))
        .await
        .expect(202)
        .json();
    let codes: Vec<_> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["error"]["code"].as_str(), one["replayed"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        codes,
        [
            (Some("validation_failed"), false),
            (None, true),
            (Some("idempotency_conflict"), false),
            (Some("validation_failed"), false),
            (None, false)
        ]
    );
    assert_eq!(results["results"][0]["error"]["errors"][0]["field"], "event_type");
    assert_eq!(results["results"][0]["error"]["status"], 422);
    assert_eq!(count(&api, &tenancy).await, before + 3);
    for count in [0, 101] {
        let refused = send(batch(vec![good("n"); count], true)).await;
        assert_eq!(faults(&refused), is("messages", "length"));
    }
}

#[actix_web::test]
async fn a_message_of_the_wrong_form_is_refused_alone() {
    let (api, tenancy) = scene().await;
    let path = format!("{PATH}/batch");
    for (bad, code, field) in [
        (
            r#"{"event_type":"a","payload":1,"prio":1}"#,
            "validation_failed",
            ".prio",
        ),
        (r#"{"payload":1}"#, "validation_failed", ".event_type"),
        (
            r#"{"event_type":7,"payload":1}"#,
            "validation_failed",
            ".event_type",
        ),
        (r#"{"event_type":"a"}"#, "validation_failed", ".payload"),
        (r#"["a",1]"#, "validation_failed", ""),
        ("null", "validation_failed", ""),
        (
            r#"{"event_type":"a","event_type":"a","payload":1}"#,
            "malformed_request",
            "",
        ),
    ] {
        let before = count(&api, &tenancy).await;
        let send = |atomic: bool| {
            let good = r#"{"event_type":"a","payload":{"k":1,"k":2}}"#;
            let request = TestRequest::post()
                .uri(&path)
                .insert_header(("authorization", format!("Bearer {}", tenancy.owner)))
                .insert_header(("content-type", "application/json"));
            api.send(request.set_payload(format!(
                r#"{{"messages":[{good},{bad},{good}],"atomic":{atomic}}}"#
            )))
        };
        let status = if code == "malformed_request" { 400 } else { 422 };
        let refused = send(true).await.problem(status, code);
        if status == 422 {
            assert_eq!(faults(&refused)[0].0, format!("messages[1]{field}"), "{bad}");
        }
        assert_eq!(count(&api, &tenancy).await, before, "{bad}");
        let results = send(false).await.expect(202).json()["results"].take();
        assert_eq!(results[1]["error"]["code"], code, "{bad}");
        assert!(
            results[0]["id"].is_string() && results[2]["id"].is_string(),
            "{bad}"
        );
        assert_eq!(count(&api, &tenancy).await, before + 2, "{bad}");
    }
}

#[actix_web::test]
async fn a_repeated_batch_is_a_repetition() {
    let (api, tenancy) = scene().await;
    for atomic in [true, false] {
        let body = json!({
            "messages": [{"event_type": "a", "payload": 1}, {"event_type": "a", "payload": 1}],
            "atomic": atomic
        });
        let post = |key: &str, body: &Value| {
            let request = TestRequest::post()
                .uri("/v1/applications/app-1/messages/batch")
                .insert_header(("authorization", format!("Bearer {}", tenancy.owner)))
                .insert_header(("idempotency-key", format!("{key}-{atomic}")));
            api.send(request.set_json(body.clone()))
        };
        let send = |key: &str| post(key, &body);
        let before = count(&api, &tenancy).await;
        let (first, again) = (send("k").await.expect(202), send("k").await.expect(202));
        assert!(!first.headers.contains_key("idempotent-replayed"));
        assert_eq!(again.header("idempotent-replayed"), "true");
        let (first, again) = (first.json(), again.json());
        for index in 0..2 {
            let (first, again) = (&first["results"][index], &again["results"][index]);
            assert_eq!(first["id"], again["id"]);
            assert_eq!(
                (&first["replayed"], &again["replayed"]),
                (&json!(false), &json!(true))
            );
        }
        assert_ne!(
            first["results"][0]["id"], first["results"][1]["id"],
            "alike, and two"
        );
        assert_eq!(count(&api, &tenancy).await, before + 2);
        let one = json!({"event_type": "a", "payload": 1});
        for (messages, flag) in [
            (vec![one.clone()], atomic),
            (vec![one.clone(); 3], atomic),
            (vec![one.clone(); 2], !atomic),
            (
                vec![one.clone(), json!({"event_type": "a", "payload": 2})],
                atomic,
            ),
        ] {
            let other = post("k", &json!({"messages": messages, "atomic": flag})).await;
            other.problem(409, "idempotency_conflict");
        }
        assert_eq!(count(&api, &tenancy).await, before + 2);
        let both = json!({
            "messages": [one, {"event_type": "a", "payload": 1, "event_id": format!("e-{atomic}")}],
            "atomic": atomic
        });
        let both = post("both", &both).await;
        if atomic {
            assert_eq!(faults(&both), is("messages[1].event_id", "exclusive"));
        } else {
            let both = both.expect(202).json();
            assert_eq!(both["results"][1]["error"]["errors"][0]["field"], "event_id");
        }
        let before = count(&api, &tenancy).await;
        send("other").await.expect(202);
        assert_eq!(count(&api, &tenancy).await, before + 2);
    }
}
