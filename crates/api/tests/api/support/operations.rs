//! The operations of the document.

use actix_web::http::Method;
use serde_json::Value;

/// An operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What it needs of its caller, as `x-permission` says it.
    pub(crate) demands: String,
    /// The example of the body.
    pub(crate) example: Option<Value>,
}

/// What stands in paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segments {
    pub(crate) application: String,
    pub(crate) endpoint: String,
    pub(crate) message: String,
    pub(crate) replay: String,
    pub(crate) member: String,
    pub(crate) invitation: String,
    pub(crate) api_key: String,
    pub(crate) tenant: String,
    pub(crate) event_type: String,
    /// A message that can be cancelled.
    pub(crate) scheduled: String,
    /// A dead letter.
    pub(crate) event: String,
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&postrider_api::openapi_json()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let demands = operation["x-permission"]
                .as_str()
                .unwrap_or_else(|| panic!("{name} does not say what it needs (x-permission)"));
            let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
            assert_eq!(
                demands == "public",
                is_open,
                "{name}: x-permission and security disagree"
            );
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                demands: demands.to_owned(),
                example: example(&document, operation, &name),
            });
        }
    }
    assert!(operations.len() >= 48, "the document has its routes");
    operations
}

/// The example of the body; an operation that takes a body must have one.
fn example(document: &Value, operation: &Value, name: &str) -> Option<Value> {
    let body = operation.get("requestBody")?;
    let reference = body["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .unwrap_or_else(|| panic!("{name}: a body has a schema of its own"));
    let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
    let example = schema["examples"][0].clone();
    assert!(example.is_object(), "{name}: {reference} has no example");
    Some(example)
}

impl Operation {
    /// Whether anybody may call it.
    pub(crate) fn is_public(&self) -> bool {
        self.demands == "public"
    }

    /// Whether it names something of a tenant, or a tenant.
    pub(crate) fn names_something(&self) -> bool {
        self.path.contains('{') && self.path.starts_with("/v1/")
    }

    /// The path with these segments.
    pub(crate) fn filled(&self, segments: &Segments) -> String {
        let mut path = self.path.clone();
        let message = match self.id.as_str() {
            "cancelMessage" => &segments.scheduled,
            _ => &segments.message,
        };
        for (name, value) in [
            ("{application}", segments.application.as_str()),
            ("{endpoint}", &segments.endpoint),
            ("{replay}", &segments.replay),
            ("{message}", message),
            ("{member}", &segments.member),
            ("{invitation}", &segments.invitation),
            ("{api_key}", &segments.api_key),
            ("{tenant}", &segments.tenant),
            ("{name}", &segments.event_type),
            ("{version}", "1"),
            ("{event}", &segments.event),
            ("{code}", "internal"),
        ] {
            path = path.replace(name, value);
        }
        // Never listed without a filter that bounds it.
        if self.id == "searchDeliveries" {
            path = format!("{path}?application={}", segments.application);
        }
        assert!(
            !path.contains('{'),
            "{path}: a new kind of segment; the tests' `Segments` need a real one"
        );
        path
    }
}
