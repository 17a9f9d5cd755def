//! Rules between the fields of one object: what excludes, and what needs, another.
//!
//! They stand under `not`, as what may not be: generators of clients leave that alone, where they make types of
//! `oneOf`.

use serde_json::{Value, json};

/// `field` is there, and not null.
fn given(field: &str) -> Value {
    json!({"required": [field], "properties": {field: {"not": {"type": "null"}}}})
}

/// `field` is not there, or null.
fn absent(field: &str) -> Value {
    json!({"properties": {field: {"type": "null"}}})
}

/// `field` is there, though it be null.
fn present(field: &str) -> Value {
    json!({"required": [field], "properties": {field: {}}})
}

/// `field` is not there.
fn missing(field: &str) -> Value {
    // Not `false`, which is a schema too, though not to every reader.
    json!({"properties": {field: {"not": {}}}})
}

fn both(one_and_other: [Value; 2]) -> Value {
    json!({"allOf": Vec::from(one_and_other)})
}

/// What may not be of a component.
fn forbidden(component: &str) -> Option<Value> {
    match component {
        "NewMessage" => Some(json!({"anyOf": [
            both([present("payload"), given("raw")]),
            both([missing("payload"), absent("raw")]),
            both([given("content_type"), absent("raw")]),
            both([given("raw"), absent("content_type")]),
        ]})),
        "NewEndpoint" | "EndpointContent" | "SecretRotation" => {
            Some(both([given("secret"), given("secret_type")]))
        }
        "NewEventType" => Some(both([present("example"), missing("schema")])),
        _ => None,
    }
}

/// Says the rules of a component, if it has any.
pub(super) fn say(component: &str, schema: &mut Value) {
    if let (Some(forbidden), Some(schema)) = (forbidden(component), schema.as_object_mut()) {
        schema.insert("not".to_owned(), forbidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(component: &str, value: &Value) -> bool {
        let mut schema = json!({"type": "object"});
        say(component, &mut schema);
        jsonschema::is_valid(&schema, value)
    }

    #[test]
    fn a_message_has_one_payload() {
        for good in [
            json!({"payload": 1}),
            json!({"payload": null}),
            json!({"payload": null, "raw": null, "content_type": null}),
            json!({"raw": "", "content_type": "a/b"}),
        ] {
            assert!(takes("NewMessage", &good), "{good}");
        }
        for bad in [
            json!({}),
            json!({"raw": null}),
            json!({"payload": 1, "raw": "", "content_type": "a/b"}),
            json!({"payload": null, "raw": ""}),
            json!({"payload": 1, "content_type": "a/b"}),
            json!({"raw": ""}),
            json!({"raw": "", "content_type": null}),
            json!({"content_type": "a/b"}),
        ] {
            assert!(!takes("NewMessage", &bad), "{bad}");
        }
    }

    #[test]
    fn a_secret_tells_its_type() {
        for component in ["NewEndpoint", "EndpointContent", "SecretRotation"] {
            assert!(takes(component, &json!({"secret": "a", "secret_type": null})));
            assert!(takes(component, &json!({"secret_type": "a"})));
            assert!(!takes(component, &json!({"secret": "a", "secret_type": "b"})));
        }
    }

    #[test]
    fn an_example_needs_a_schema() {
        assert!(takes("NewEventType", &json!({"schema": {}, "example": null})));
        assert!(!takes("NewEventType", &json!({"example": null})));
    }
}
