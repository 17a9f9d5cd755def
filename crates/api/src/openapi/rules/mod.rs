//! What the server enforces and derived schemas do not say: the rules of fields, by the fields' names.
//!
//! A name means the same wherever it stands, so its rule is said once, here; a client generator or a form then refuses
//! what the server would. What JSON Schema cannot say (an address that is not allowed, a time that is past) stays a
//! `422`.

mod fields;

use serde_json::{Map, Value, json};

use self::fields::{add, field, header_value, id, reference, text};
use super::{across, choices, forms};

type Object = Map<String, Value>;

/// Any media type.
const ANY: &str = "*/*";

/// Says the rules in the whole document.
pub(crate) fn say(document: &mut Value) {
    let mut requests = Vec::new();
    let components = document["components"]["schemas"].clone();
    for operation in operations(document) {
        let id = operation
            .get("operationId")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            for one in parameters {
                parameter(&id, one);
            }
        }
        if let Some(body) = operation.get("requestBody") {
            references(body, &components, &mut requests);
        }
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.values_mut().for_each(response_headers);
            responses.values_mut().for_each(any_bytes);
        }
    }
    // Those that operations refer to.
    if let Some(parameters) = document["components"]["parameters"].as_object_mut() {
        for one in parameters.values_mut() {
            parameter("", one);
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, prefix, description) in REFERENCES {
            let mut schema = Object::from_iter([
                ("type".to_owned(), json!("string")),
                ("description".to_owned(), json!(description)),
            ]);
            reference(&mut schema, prefix);
            schemas.insert(name.to_owned(), Value::Object(schema));
        }
        for (name, schema) in schemas {
            if requests.contains(name) {
                request(name, schema);
                across::say(name, schema);
            } else {
                choices_of(name, schema);
            }
        }
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Object> {
    let paths = document["paths"].as_object_mut().into_iter();
    paths
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut())
        .filter_map(Value::as_object_mut)
}

/// The names of all component schemas that `part` leads to.
fn references(part: &Value, components: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(component)
                && !found.iter().any(|known| known == name)
            {
                found.push(name.to_owned());
                references(&components[name], components, found);
            }
            for value in object.values() {
                references(value, components, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                references(value, components, found);
            }
        }
        _ => {}
    }
}

fn component(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}

fn parameter(operation: &str, parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let place = parameter["in"].as_str().unwrap_or_default().to_owned();
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else {
        return;
    };
    // A header that is there has a value.
    if place == "header" {
        not_null(schema);
    }
    choices::say(operation, &name, schema);
    match name.as_str() {
        "application" => *schema = refer("ApplicationReference"),
        "endpoint" => *schema = refer("EndpointReference"),
        "name" | "event_type" => text(schema, forms::EVENT_TYPE, 1, 128),
        "channel" => text(schema, forms::CHANNEL, 1, 128),
        "event_id" => text(schema, forms::TEXT, 1, 256),
        "actor" | "action" | "target" => text(schema, forms::OPTIONAL_TEXT, 1, 256),
        "cursor" => text(schema, forms::CURSOR, 1, 512),
        "event" => text(schema, &forms::dead_letter(), 3, 83),
        "version" => add(schema, "maximum", json!(i32::MAX)),
        "code" if place == "path" => text(schema, "^[a-z_]+$", 1, 64),
        "Idempotency-Key" => text(schema, forms::KEY, 1, 256),
        _ => id(&name, schema),
    }
}

/// What parameters refer to that take an id or a uid.
const REFERENCES: [(&str, &str, &str); 2] = [
    (
        "ApplicationReference",
        "app",
        "An application: its id, or the uid that you gave it.",
    ),
    (
        "EndpointReference",
        "ep",
        "An endpoint: its id, or the uid that you gave it.",
    ),
];

fn refer(component: &str) -> Object {
    let reference = format!("#/components/schemas/{component}");
    Object::from_iter([("$ref".to_owned(), json!(reference))])
}

fn not_null(schema: &mut Object) {
    if let Some(Value::Array(types)) = schema.get("type")
        && let Some(only) = types.iter().find(|kind| *kind != "null").cloned()
    {
        schema.insert("type".to_owned(), only);
    }
}

fn response_headers(response: &mut Value) {
    let headers = response.get_mut("headers").and_then(Value::as_object_mut);
    for header in headers.into_iter().flat_map(|headers| headers.values_mut()) {
        if let Some(schema) = header.get_mut("schema").and_then(Value::as_object_mut) {
            not_null(schema);
        }
    }
}

/// What may be of any media type has no schema: it may not even be text. To readers that know no wildcard it is bytes.
fn any_bytes(response: &mut Value) {
    if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
        && content.contains_key(ANY)
    {
        *content = Object::from_iter([
            ("application/octet-stream".to_owned(), json!({})),
            (ANY.to_owned(), json!({})),
        ]);
    }
}

/// The words that an answer's fields are one of.
fn choices_of(component: &str, schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(schema) = schema.as_object_mut() {
            choices::say(component, name, schema);
        }
    }
}

/// The fields of a request's object.
fn request(component: &str, schema: &mut Value) {
    // Indexing would put a null where nothing is.
    if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        for part in parts {
            request(component, part);
        }
    }
    // The value of a header: a text, or an object.
    if let Some(parts) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        for part in parts {
            part.as_object_mut().into_iter().for_each(header_value);
            request(component, part);
        }
    }
    let Some(object) = schema
        .as_object_mut()
        .filter(|object| object.contains_key("properties"))
    else {
        return;
    };
    add(object, "additionalProperties", json!(false));
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, schema) in properties {
        if let Some(schema) = schema.as_object_mut() {
            choices::say(component, name, schema);
            field(component, name, schema);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let mut document = json!({
            "paths": {"/v1/things/{message}": {"post": {
                "parameters": [
                    {"in": "path", "name": "message", "schema": {"type": "string"}},
                    {"in": "header", "name": "Idempotency-Key", "schema": {"type": ["string", "null"]}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
                "responses": {"201": {"headers": {"x": {"schema": {"type": ["boolean", "null"]}}}}},
            }}},
            "components": {"schemas": {
                "New": {"type": "object", "properties": {
                    "name": {"type": "string", "maxLength": 7},
                    "grants": {"type": "array", "items": {"$ref": "#/components/schemas/NewGrant"}},
                    "schedule_seconds": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    "metadata": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
                }},
                "NewGrant": {"type": "object", "properties": {"role": {"type": "string"}}},
                "Thing": {"type": "object", "properties": {"name": {"type": "string"}}},
            }},
        });
        say(&mut document);
        document
    }

    #[test]
    fn requests_say_their_rules_and_answers_promise_none() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let new = &schemas["New"];
        assert_eq!(new["additionalProperties"], json!(false));
        assert_eq!(new["properties"]["name"]["maxLength"], json!(7), "its own stays");
        assert_eq!(new["properties"]["name"]["pattern"], json!(forms::TEXT));
        assert_eq!(
            new["properties"]["metadata"]["propertyNames"]["maxLength"],
            json!(64)
        );
        assert_eq!(
            schemas["NewGrant"]["properties"]["role"]["enum"][0],
            json!("owner")
        );
        assert_eq!(schemas["Thing"]["properties"]["name"], json!({"type": "string"}));
        let seconds = &new["properties"]["schedule_seconds"];
        assert_eq!(seconds["items"]["minimum"], json!(1));
    }

    #[test]
    fn parameters_and_headers_are_of_their_kind() {
        let document = document();
        let operation = &document["paths"]["/v1/things/{message}"]["post"];
        assert_eq!(
            operation["parameters"][0]["schema"]["pattern"],
            json!("^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$")
        );
        assert_eq!(operation["parameters"][1]["schema"]["type"], json!("string"));
        assert_eq!(
            operation["responses"]["201"]["headers"]["x"]["schema"]["type"],
            json!("boolean")
        );
    }
}
