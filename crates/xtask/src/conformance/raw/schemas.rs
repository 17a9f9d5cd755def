//! JSON Schemas that are small to write and large, or slow, to hold a payload against; and such payloads.

use serde_json::json;

use super::case::{Case, INVALID, Pen};

const EVENT_TYPES: &str = "/v1/event-types";
/// Stored, or refused: what matters is that it is soon, and that it is one of the two.
const EITHER: &[(u16, &str)] = &[(201, ""), (422, "validation_failed")];

/// What it has, the answers that are right, and its text.
type Schema = (&'static str, &'static [(u16, &'static str)], String);

/// All of them, each as an event type of its own.
pub(super) fn schemas(pen: &Pen) -> Vec<Case> {
    let all = [patterns(), references(), sizes()].concat();
    all.into_iter()
        .enumerate()
        .map(|(n, (name, right, schema))| {
            let body = format!("{{\"name\":\"raw.bomb{n}\",\"schema\":{schema}}}");
            Case::new(
                format!("a schema with {name}"),
                right,
                pen.post(EVENT_TYPES, body),
            )
        })
        .collect()
}

fn patterns() -> Vec<Schema> {
    vec![
        (
            "nested quantifiers",
            EITHER,
            json!({"pattern": "^(a+)+$"}).to_string(),
        ),
        (
            "nested counted quantifiers",
            INVALID,
            json!({"pattern": "^((a{1,100}){1,100}){1,100}$"}).to_string(),
        ),
        (
            "a count of 10^9",
            INVALID,
            json!({"pattern": "a{1000000000}"}).to_string(),
        ),
        (
            "a pattern that looks back",
            INVALID,
            json!({"pattern": "^(a)\\1$"}).to_string(),
        ),
        (
            "a pattern that looks ahead, nested",
            INVALID,
            json!({"pattern": "^(?=(a+)+$)"}).to_string(),
        ),
        (
            "\\u0000 in a pattern",
            EITHER,
            r#"{"pattern":"a\u0000"}"#.to_owned(),
        ),
    ]
}

fn references() -> Vec<Schema> {
    let doubling: serde_json::Map<_, _> = (0..60)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            (format!("d{n}"), json!({"allOf": [next, next]}))
        })
        .chain([("d60".to_owned(), json!({"type": "string"}))])
        .collect();
    vec![
        ("a reference to itself", EITHER, json!({"$ref": "#"}).to_string()),
        (
            "references in a circle",
            EITHER,
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})
                .to_string(),
        ),
        (
            "references that double 60 times",
            INVALID,
            json!({"$ref": "#/$defs/d0", "$defs": doubling}).to_string(),
        ),
        (
            "a reference to a server",
            INVALID,
            json!({"$ref": "http://127.0.0.1:9/x.json"}).to_string(),
        ),
        (
            "a reference to a file",
            INVALID,
            json!({"$ref": "file:///etc/passwd"}).to_string(),
        ),
    ]
}

fn sizes() -> Vec<Schema> {
    let of_properties: serde_json::Map<_, _> = (0..1_000)
        .map(|n| (format!("^a{n}.*b$"), json!({"type": "string"})))
        .collect();
    let of_values: serde_json::Map<_, _> = (0..1_000)
        .map(|n| {
            (
                format!("p{n}"),
                json!({"pattern": format!("^(a|b){{1,{}}}$", n + 1)}),
            )
        })
        .collect();
    let deep = (0..5_000).fold(String::from("true"), |inner, _| format!("{{\"not\":{inner}}}"));
    vec![
        (
            "1,000 patterns of properties",
            INVALID,
            json!({"patternProperties": of_properties}).to_string(),
        ),
        (
            "1,000 patterns",
            INVALID,
            json!({"properties": of_values}).to_string(),
        ),
        ("5,000 levels", INVALID, deep),
    ]
}

/// A payload that would make a slow pattern slow, for each of the event types that [`schemas`] may have made.
pub(super) fn lit_fuses(pen: &Pen, schemas: usize) -> Vec<Case> {
    const SAID: &[(u16, &str)] = &[(202, ""), (422, "validation_failed")];
    let long = format!("{}!", "a".repeat(500_000));
    (0..schemas)
        .map(|n| {
            let body = json!({"event_type": format!("raw.bomb{n}"), "payload": long}).to_string();
            Case::new(
                format!("500 kB against schema {n}"),
                SAID,
                pen.post(&pen.messages(), body),
            )
        })
        .collect()
}
