use std::fmt::Write as _;

use actix_web::{http::StatusCode, http::header::HeaderMap, web::Bytes};
use serde_json::Value;

/// What the API answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A text field of the body.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        let json = self.json();
        json[field]
            .as_str()
            .unwrap_or_else(|| panic!("no text {field} in {json}"))
            .to_owned()
    }

    /// A header, which must be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}"))
            .to_str()
            .unwrap()
    }

    /// The answer, which must be this.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{body}");
        self
    }

    /// The answer, which must be a whole problem of this code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let json = answer.json();
        assert_eq!(json["code"], code, "{json}");
        assert_eq!(json["status"], status, "{json}");
        assert_eq!(json["type"], format!("/problems/{code}"), "{json}");
        assert_eq!(json["request_id"], answer.header("x-request-id"), "{json}");
        for sentence in ["title", "detail", "instance"] {
            assert!(json[sentence].as_str().is_some_and(|s| !s.is_empty()), "{json}");
        }
        answer
    }

    /// The fields and rules of a `validation_failed`.
    #[track_caller]
    pub(crate) fn violations(self) -> Vec<(String, String)> {
        let json = self.problem(422, "validation_failed").json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (text(&error["field"]), text(&error["rule"])))
            .collect()
    }

    /// Status, telling headers and body, with everything that differs between runs replaced.
    pub(crate) fn snapshot(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for name in [
            "content-type",
            "location",
            "cache-control",
            "www-authenticate",
            "allow",
            "retry-after",
            "idempotent-replayed",
            "content-disposition",
            "x-content-type-options",
        ] {
            if let Some(value) = self.headers.get(name) {
                writeln!(text, "{name}: {}", redact(value.to_str().unwrap())).unwrap();
            }
        }
        text.push('\n');
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(json) => text.push_str(&serde_json::to_string_pretty(&redacted(json)).unwrap()),
            Err(_) => text.push_str(&String::from_utf8_lossy(&self.body)),
        }
        text
    }
}

fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| match (&*key, value) {
                ("request_id", _) => (key, "<request id>".into()),
                ("secret" | "token" | "access_token" | "refresh_token" | "n" | "kid", _) => {
                    (key, "<secret>".into())
                }
                (_, value) => (key, redacted(value)),
            })
            .collect(),
        other => other,
    }
}

/// Replaces ids and times inside a text.
fn redact(text: &str) -> String {
    let pieces: Vec<String> = text.split('/').map(redact_piece).collect();
    pieces.join("/")
}

fn redact_piece(piece: &str) -> String {
    if let Some((prefix, rest)) = piece.split_once('_')
        && rest.len() == 26
        && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return format!("<{prefix}>");
    }
    let is_time = piece.len() == 27 && piece.ends_with('Z') && piece.as_bytes()[10] == b'T';
    if is_time {
        "<time>".to_owned()
    } else {
        piece.to_owned()
    }
}
