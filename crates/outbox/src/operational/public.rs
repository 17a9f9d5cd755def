//! What tenants are told, and in which words: the one file that maps events of the log to operational webhooks. The
//! payloads are a public promise, described in `docs/events.md`; fields are added and never taken away.
//!
//! A new one: its kind in [`KINDS`], what it becomes in [`webhook`], a line in the page, a case in the test.

use postrider_application::ports::LoggedEvent;
use postrider_domain::ApplicationId;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The kinds of events that tenants are told of.
pub(crate) const KINDS: &[&str] = &[
    "delivery.failed",
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.enabled",
    "endpoint.secret_rotated",
    "endpoint.updated",
    "replay.finished",
];

/// An operational webhook.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Webhook {
    pub(super) event_type: &'static str,
    /// The application that it is about; none if it is about several.
    pub(super) application: Option<ApplicationId>,
    pub(super) payload: String,
}

/// What a tenant is told of an event; nothing of one of no concern. Fails with the reason if the body is not what its
/// form says.
pub(super) fn webhook(event: &LoggedEvent) -> Result<Option<Webhook>, &'static str> {
    let Ok(Value::Object(body)) = serde_json::from_str(&event.body) else {
        return Err("the body of the event is not a JSON object");
    };
    let (event_type, data) = match event.kind.as_str() {
        "endpoint.created" => {
            let more = [("uid", text_or_null(&body, "uid")?), ("url", text(&body, "url")?)];
            ("endpoint.created", endpoint(event, &body, more)?)
        }
        "endpoint.updated" => {
            let more = [("changed", texts(&body, "changed")?)];
            ("endpoint.updated", endpoint(event, &body, more)?)
        }
        "endpoint.deleted" => {
            let more = [("uid", text_or_null(&body, "uid")?)];
            ("endpoint.deleted", endpoint(event, &body, more)?)
        }
        "endpoint.secret_rotated" => ("secret.rotated", secret_rotated(event, &body)?),
        "endpoint.disabled" => {
            let why = text(&body, "why")?;
            ("endpoint.disabled", endpoint(event, &body, [("reason", why)])?)
        }
        "endpoint.enabled" => ("endpoint.enabled", endpoint(event, &body, [])?),
        "delivery.failed" => {
            let Some(Value::Array(failed)) = body.get("deliveries") else {
                return Err("the event names no deliveries");
            };
            let failed: Vec<Value> = failed.iter().map(failed_delivery).collect::<Result<_, _>>()?;
            ("delivery.failed", json!({ "deliveries": failed }))
        }
        "replay.finished" => ("replay.finished", replay_finished(event, &body)?),
        _ => return Ok(None),
    };
    let application = match body.get("application").and_then(Value::as_str) {
        Some(id) => Some(id.parse().map_err(|_| "the event's application is no id")?),
        None => None,
    };
    let payload = json!({
        "type": event_type,
        "timestamp": rfc3339(event.recorded_at.as_micros()).ok_or("the event's time is out of range")?,
        "data": data,
    });
    Ok(Some(Webhook {
        event_type,
        application,
        payload: payload.to_string(),
    }))
}

fn endpoint<const N: usize>(
    event: &LoggedEvent,
    body: &Map<String, Value>,
    more: [(&str, Value); N],
) -> Result<Value, &'static str> {
    let mut data = Map::new();
    data.insert("application_id".to_owned(), text(body, "application")?);
    data.insert("endpoint_id".to_owned(), event.aggregate.clone().into());
    data.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Ok(Value::Object(data))
}

/// Which kind of secret, and until when the old ones sign as well; never a secret.
fn secret_rotated(event: &LoggedEvent, body: &Map<String, Value>) -> Result<Value, &'static str> {
    let old_until = match body.get("old_until") {
        None | Some(Value::Null) => Value::Null,
        Some(at) => {
            let at = at.as_i64().and_then(rfc3339);
            at.ok_or("the event's time is none, or out of range")?.into()
        }
    };
    let more = [("type", text(body, "type")?), ("old_secrets_until", old_until)];
    endpoint(event, body, more)
}

fn replay_finished(event: &LoggedEvent, body: &Map<String, Value>) -> Result<Value, &'static str> {
    Ok(json!({
        "application_id": text(body, "application")?,
        "endpoint_id": text(body, "endpoint")?,
        "replay_id": event.aggregate,
        "status": text(body, "status")?,
        "reason": text_or_null(body, "why")?,
        "considered": count(body, "considered")?,
        "queued": count(body, "queued")?,
        "skipped": count(body, "skipped")?,
    }))
}

fn failed_delivery(failed: &Value) -> Result<Value, &'static str> {
    let Value::Object(failed) = failed else {
        return Err("a failed delivery is not a JSON object");
    };
    Ok(json!({
        "application_id": text(failed, "application")?,
        "message_id": text(failed, "message")?,
        "endpoint_id": text(failed, "endpoint")?,
        "reason": text(failed, "reason")?,
    }))
}

/// A text that must be there.
fn text(object: &Map<String, Value>, name: &str) -> Result<Value, &'static str> {
    match object.get(name) {
        Some(text @ Value::String(_)) => Ok(text.clone()),
        _ => Err("the event lacks a text that its form has"),
    }
}

/// A text that may be null, or not be there.
fn text_or_null(object: &Map<String, Value>, name: &str) -> Result<Value, &'static str> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(_) => text(object, name),
    }
}

/// A list of texts that must be there.
fn texts(object: &Map<String, Value>, name: &str) -> Result<Value, &'static str> {
    match object.get(name) {
        Some(Value::Array(texts)) if texts.iter().all(Value::is_string) => Ok(texts.clone().into()),
        _ => Err("the event lacks a list of texts that its form has"),
    }
}

/// A count that must be there.
fn count(object: &Map<String, Value>, name: &str) -> Result<Value, &'static str> {
    let count = object.get(name).and_then(Value::as_u64);
    count
        .map(Value::from)
        .ok_or("the event lacks a count that its form has")
}

fn rfc3339(micros: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::EventForm;
    use postrider_domain::Timestamp;

    const APP: &str = "app_00000000000000000000000003";

    fn logged(kind: &str, aggregate: &str, body: &str) -> LoggedEvent {
        LoggedEvent {
            position: 5,
            tenant: None,
            kind: kind.to_owned(),
            aggregate: aggregate.to_owned(),
            version: 2,
            form: EventForm::Known(1),
            body: body.to_owned(),
            recorded_at: Timestamp::from_micros(1_700_000_000_123_456),
        }
    }

    /// What `event` becomes, without what all have.
    fn told(kind: &str, body: &str) -> (Option<String>, Value) {
        let webhook = webhook(&logged(kind, "ep_x", body)).unwrap().unwrap();
        let mut payload: Value = serde_json::from_str(&webhook.payload).unwrap();
        assert_eq!(payload["type"], webhook.event_type);
        assert_eq!(payload["timestamp"], "2023-11-14T22:13:20.123456Z");
        assert_eq!(payload.as_object().unwrap().len(), 3);
        (
            webhook.application.map(|id| id.to_string()),
            payload["data"].take(),
        )
    }

    /// Kind, stored body, application that it is about, what is told.
    type Case = (&'static str, String, Option<String>, Value);

    #[test]
    fn every_kind_has_its_payload() {
        let cases = || of_endpoints_and_deliveries().into_iter().chain(of_what_changes());
        for (kind, body, application, data) in cases() {
            assert!(KINDS.contains(&kind));
            assert_eq!(told(kind, &body), (application, data), "{kind}");
        }
        for kind in KINDS {
            assert!(cases().any(|case| case.0 == *kind), "{kind} has no case");
        }
    }

    #[test]
    fn a_rotation_has_a_name_of_its_own() {
        let body = format!(r#"{{"v":1,"application":"{APP}","type":"hmac","old_until":null}}"#);
        let rotated = webhook(&logged("endpoint.secret_rotated", "ep_x", &body));
        assert_eq!(rotated.unwrap().unwrap().event_type, "secret.rotated");
    }

    fn of_what_changes() -> Vec<Case> {
        let of_app = || Some(APP.to_owned());
        let rotated = |old_until: &str| {
            format!(r#"{{"v":1,"application":"{APP}","type":"ed25519","old_until":{old_until}}}"#)
        };
        let finished = |status: &str, why: &str| {
            format!(
                r#"{{"v":1,"application":"{APP}","endpoint":"ep_1","status":"{status}","why":{why},"considered":5,"queued":3,"skipped":2,"at":9}}"#
            )
        };
        let replay = |status: &str, reason: Value| {
            json!({"application_id": APP, "endpoint_id": "ep_1", "replay_id": "ep_x", "status": status,
                "reason": reason, "considered": 5, "queued": 3, "skipped": 2})
        };
        vec![
            (
                "endpoint.updated",
                format!(r#"{{"v":1,"application":"{APP}","changed":["url","headers"]}}"#),
                of_app(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "changed": ["url", "headers"]}),
            ),
            (
                "endpoint.deleted",
                format!(r#"{{"v":1,"application":"{APP}","uid":null}}"#),
                of_app(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "uid": null}),
            ),
            (
                "endpoint.secret_rotated",
                rotated("null"),
                of_app(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "type": "ed25519", "old_secrets_until": null}),
            ),
            (
                "endpoint.secret_rotated",
                rotated("1700000000000000"),
                of_app(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "type": "ed25519",
                    "old_secrets_until": "2023-11-14T22:13:20Z"}),
            ),
            (
                "replay.finished",
                finished("completed", "null"),
                of_app(),
                replay("completed", Value::Null),
            ),
            (
                "replay.finished",
                finished("failed", r#""endpoint_gone""#),
                of_app(),
                replay("failed", "endpoint_gone".into()),
            ),
        ]
    }

    fn of_endpoints_and_deliveries() -> Vec<Case> {
        let of_app = Some(APP.to_owned());
        vec![
            (
                "endpoint.created",
                format!(r#"{{"v":1,"application":"{APP}","uid":"eu","url":"https://a.example/"}}"#),
                of_app.clone(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "uid": "eu", "url": "https://a.example/"}),
            ),
            (
                "endpoint.disabled",
                format!(r#"{{"v":1,"application":"{APP}","why":"failing","at":9}}"#),
                of_app.clone(),
                json!({"application_id": APP, "endpoint_id": "ep_x", "reason": "failing"}),
            ),
            (
                "endpoint.enabled",
                format!(r#"{{"v":1,"application":"{APP}"}}"#),
                of_app,
                json!({"application_id": APP, "endpoint_id": "ep_x"}),
            ),
            (
                "delivery.failed",
                format!(
                    r#"{{"v":1,"deliveries":[{{"application":"{APP}","message":"msg_1","endpoint":"ep_1","reason":"exhausted"}}]}}"#
                ),
                None,
                json!({"deliveries": [{
                    "application_id": APP, "message_id": "msg_1", "endpoint_id": "ep_1", "reason": "exhausted"
                }]}),
            ),
        ]
    }

    #[test]
    fn what_is_of_no_concern_is_not_told_and_what_is_broken_is_refused() {
        assert_eq!(webhook(&logged("tenant.created", "ten_1", "{}")), Ok(None));
        for (kind, body) in [
            ("endpoint.enabled", "[]"),
            ("endpoint.enabled", "{}"),
            ("endpoint.enabled", r#"{"application":"nobody"}"#),
            (
                "endpoint.disabled",
                r#"{"application":"app_00000000000000000000000003"}"#,
            ),
            (
                "endpoint.updated",
                r#"{"application":"app_00000000000000000000000003","changed":[1]}"#,
            ),
            (
                "endpoint.deleted",
                r#"{"application":"app_00000000000000000000000003","uid":1}"#,
            ),
            (
                "endpoint.secret_rotated",
                r#"{"application":"app_00000000000000000000000003","type":"hmac","old_until":"soon"}"#,
            ),
            ("replay.finished", "{}"),
            ("delivery.failed", "{}"),
            ("delivery.failed", r#"{"deliveries":[1]}"#),
            ("delivery.failed", r#"{"deliveries":[{}]}"#),
        ] {
            assert!(webhook(&logged(kind, "ep_x", body)).is_err(), "{kind} {body}");
        }
    }
}
