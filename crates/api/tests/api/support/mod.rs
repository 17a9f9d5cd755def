mod answer;
mod deliver;
mod operations;
mod people;
mod platform;
mod scene;

pub(crate) use answer::Answer;
pub(crate) use operations::{Operation, Segments, operations};
pub(crate) use platform::{Api, PASSWORD, Setup, Tenancy, owner_of, ready};
pub(crate) use scene::{PORTAL, Scene, Who};

use serde_json::{Value, json};

/// The least that an application needs.
pub(crate) fn application(uid: &str) -> Value {
    json!({"name": "Customer 42", "uid": uid})
}

/// The least that an endpoint needs, with a uid.
pub(crate) fn endpoint(uid: &str) -> Value {
    json!({"url": "https://example.com/hook", "uid": uid})
}

/// The least that a message needs.
pub(crate) fn message() -> Value {
    json!({"event_type": "invoice.paid", "payload": {"a": 1}})
}

/// A good body with some fields replaced.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        panic!("fields are an object");
    };
    for (name, value) in fields {
        body[name] = value;
    }
    body
}
