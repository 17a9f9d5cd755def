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
    "endpoint.disabled",
    "endpoint.enabled",
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
            let url = text(&body, "url")?;
            let uid = body.get("uid").cloned().unwrap_or_default();
            (
                "endpoint.created",
                endpoint(event, &body, [("uid", uid), ("url", url)])?,
            )
        }
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

    #[test]
    fn every_kind_has_its_payload() {
        let of_app = Some(APP.to_owned());
        for (kind, body, application, data) in [
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
        ] {
            assert!(KINDS.contains(&kind));
            assert_eq!(told(kind, &body), (application, data), "{kind}");
        }
        assert_eq!(KINDS.len(), 4, "each has a case");
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
            ("delivery.failed", "{}"),
            ("delivery.failed", r#"{"deliveries":[1]}"#),
            ("delivery.failed", r#"{"deliveries":[{}]}"#),
        ] {
            assert!(webhook(&logged(kind, "ep_x", body)).is_err(), "{kind} {body}");
        }
    }
}
