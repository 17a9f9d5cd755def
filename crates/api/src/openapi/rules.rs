//! What the server enforces and derived schemas do not say: the rules of fields, by the fields' names.
//!
//! A name means the same wherever it stands, so its rule is said once, here; a client generator or a form then refuses
//! what the server would. What JSON Schema cannot say (an address that is not allowed, a time that is past) stays a
//! `422`.

use postrider_domain::access::{Permission, Role};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// No control characters; something besides white space.
const TEXT: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
/// No control characters; may be empty.
const OPTIONAL_TEXT: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const EVENT_TYPE: &str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";
const CHANNEL: &str = r"^[A-Za-z0-9._:/-]+$";
const UID_OR_ID: &str = r"^[A-Za-z0-9._:-]+$";
const SECRET: &str = r"^(whsec|whsk)_[A-Za-z0-9+/]+={0,2}$";

/// What a path parameter or a field of that name is an id of.
const IDS: [(&str, &str); 7] = [
    ("message", "msg"),
    ("member", "mem"),
    ("invitation", "inv"),
    ("tenant", "ten"),
    ("api_key", "key"),
    ("replay", "rpl"),
    ("user", "usr"),
];

fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")
}

/// Says the rules in the whole document.
pub(crate) fn say(document: &mut Value) {
    let mut requests = Vec::new();
    let components = document["components"]["schemas"].clone();
    for operation in operations(document) {
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.iter_mut().for_each(parameter);
        }
        if let Some(body) = operation.get("requestBody") {
            references(body, &components, &mut requests);
        }
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.values_mut().for_each(response_headers);
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas {
            if requests.contains(name) {
                request(schema);
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

fn parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let place = parameter["in"].as_str().unwrap_or_default().to_owned();
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else {
        return;
    };
    // A header that is there has a value.
    if place == "header" {
        not_null(schema);
    }
    match name.as_str() {
        "application" | "endpoint" => text(schema, UID_OR_ID, 1, 128),
        "name" | "event_type" => text(schema, EVENT_TYPE, 1, 128),
        "channel" => text(schema, CHANNEL, 1, 128),
        "cursor" => text(schema, "^[A-Za-z0-9_-]+$", 1, 512),
        "code" if place == "path" => text(schema, "^[a-z_]+$", 1, 64),
        "Idempotency-Key" => text(
            schema,
            r"^[\u0020-\u007e]*[\u0021-\u007e][\u0020-\u007e]*$",
            1,
            256,
        ),
        _ => id(&name, schema),
    }
}

fn id(name: &str, schema: &mut Object) {
    if let Some((_, prefix)) = IDS.iter().find(|(known, _)| *known == name) {
        text(schema, &id_pattern(prefix), 30, 30);
    }
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

/// The fields of a request's object.
fn request(schema: &mut Value) {
    // Indexing would put a null where nothing is.
    if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        parts.iter_mut().for_each(request);
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
            field(name, schema);
        }
    }
}

fn field(name: &str, schema: &mut Object) {
    match name {
        "name" => text(schema, TEXT, 1, 120),
        "event_id" => text(schema, TEXT, 1, 256),
        "description" => text(schema, OPTIONAL_TEXT, 0, 1_000),
        "event_type" => text(schema, EVENT_TYPE, 1, 128),
        "event_types" => items(schema, true, |item| text(item, EVENT_TYPE, 1, 128)),
        "channels" => items(schema, true, |item| text(item, CHANNEL, 1, 128)),
        "permissions" => items(schema, true, |item| {
            let names = Permission::ALL.into_iter().filter(|p| p.in_portal());
            let names: Vec<_> = names.map(Permission::as_str).collect();
            add(item, "enum", json!(names));
        }),
        "grants" => items(schema, true, |_| {}),
        "role" => add(schema, "enum", json!(Role::ALL.map(Role::as_str))),
        "application" => text(schema, &id_pattern("app"), 30, 30),
        "secret" => text(schema, SECRET, 30, 134),
        "url" => text(schema, "^[hH][tT][tT][pP][sS]?://", 10, 2_048),
        // The rest of a token's form is no promise.
        "refresh_token" => text(schema, "^prf_.+_.+$", 1, 256),
        "token" => text(schema, "^pr[a-z]_.+_.+$", 1, 256),
        "schedule_seconds" => items(schema, false, |item| {
            item.insert("minimum".to_owned(), json!(1));
            add(item, "maximum", json!(86_400));
        }),
        "metadata" => metadata(schema),
        _ => id(name, schema),
    }
}

fn metadata(schema: &mut Object) {
    add(schema, "maxProperties", json!(50));
    let named = |schema: &mut Object, name: &str| {
        schema
            .get(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut keys = named(schema, "propertyNames");
    add(&mut keys, "type", json!("string"));
    text(&mut keys, TEXT, 1, 64);
    schema.insert("propertyNames".to_owned(), Value::Object(keys));
    let mut values = named(schema, "additionalProperties");
    text(&mut values, OPTIONAL_TEXT, 0, 500);
    schema.insert("additionalProperties".to_owned(), Value::Object(values));
}

/// Adds the rules of a text; what the schema says itself stays.
fn text(schema: &mut Object, pattern: &str, least: u32, most: u32) {
    // A `$ref` or `oneOf` says it at its own place.
    if !schema.contains_key("type") {
        return;
    }
    add(schema, "pattern", json!(pattern));
    if least > 0 {
        add(schema, "minLength", json!(least));
    }
    add(schema, "maxLength", json!(most));
}

fn items(schema: &mut Object, unique: bool, rule: impl FnOnce(&mut Object)) {
    if unique {
        add(schema, "uniqueItems", json!(true));
    }
    if let Some(item) = schema.get_mut("items").and_then(Value::as_object_mut) {
        rule(item);
    }
}

fn add(schema: &mut Object, name: &str, value: Value) {
    schema.entry(name).or_insert(value);
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
        assert_eq!(new["properties"]["name"]["pattern"], json!(TEXT));
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
