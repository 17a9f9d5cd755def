//! What a field of a name must be, and the words in which JSON Schema says so.

use postrider_domain::access::{Permission, Role};
use serde_json::{Value, json};

use super::Object;
use crate::openapi::forms;

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

/// The form of an id, if a field or parameter of that name is one.
pub(super) fn id(name: &str, schema: &mut Object) {
    if let Some((_, prefix)) = IDS.iter().find(|(known, _)| *known == name) {
        text(schema, &forms::id(prefix), 30, 30);
    }
}

/// An id with that prefix, or a uid, which does not begin like an id.
pub(super) fn reference(schema: &mut Object, prefix: &str) {
    text(schema, forms::UID_OR_ID, 1, 128);
    let begins_like_it = format!("^{prefix}_");
    let neither = json!({"type": "string", "anyOf": [
        {"pattern": forms::no_id(prefix)},
        {"pattern": begins_like_it, "not": {"pattern": forms::id(prefix)}},
    ]});
    add(schema, "not", neither);
}

/// What a field of a request must be.
pub(super) fn field(component: &str, name: &str, schema: &mut Object) {
    match name {
        "name" => text(schema, forms::TEXT, 1, 120),
        "uid" => {
            text(schema, forms::UID_OR_ID, 1, 128);
            add(schema, "not", json!({"type": "string", "pattern": forms::NO_UID}));
        }
        "event_id" => text(schema, forms::TEXT, 1, 256),
        "description" => text(schema, forms::OPTIONAL_TEXT, 0, 1_000),
        "event_type" => text(schema, forms::EVENT_TYPE, 1, 128),
        "event_types" => items(schema, true, |item| text(item, forms::EVENT_TYPE, 1, 128)),
        "channels" => items(schema, true, |item| text(item, forms::CHANNEL, 1, 128)),
        "permissions" => items(schema, true, |item| {
            let names = Permission::ALL.into_iter().filter(|p| p.in_portal());
            let names: Vec<_> = names.map(Permission::as_str).collect();
            add(item, "enum", json!(names));
        }),
        "grants" => items(schema, true, |_| {}),
        "role" => add(schema, "enum", json!(Role::ALL.map(Role::as_str))),
        "application" => reference(schema, "app"),
        "secret" => text(schema, &forms::secret(), 30, 134),
        "url" => text(schema, forms::URL, 10, 2_048),
        "email" => text(schema, forms::EMAIL, 5, 254),
        "raw" => text(schema, &forms::base64(), 0, 0),
        "content_type" => text(schema, forms::MEDIA_TYPE, 3, 128),
        "refresh_token" => text(schema, &forms::refresh_token(), 1, 256),
        "token" if component == "NewPasswordByToken" => text(schema, &forms::password_reset_token(), 1, 256),
        "token" => text(schema, &forms::invitation_token(), 1, 256),
        "schedule_seconds" => items(schema, false, |item| {
            item.insert("minimum".to_owned(), json!(1));
            add(item, "maximum", json!(86_400));
        }),
        // Anything else is no JSON Schema.
        "schema" => add(schema, "type", json!(["object", "boolean"])),
        "metadata" => metadata(schema),
        "headers" => headers(schema),
        "value" => header_value(schema),
        _ => id(name, schema),
    }
}

fn named(schema: &Object, name: &str) -> Object {
    schema
        .get(name)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn metadata(schema: &mut Object) {
    let mut values = named(schema, "additionalProperties");
    // A patch may name what goes besides.
    let is_patch = values.get("type").is_some_and(Value::is_array);
    add(schema, "maxProperties", json!(if is_patch { 100 } else { 50 }));
    let mut keys = named(schema, "propertyNames");
    add(&mut keys, "type", json!("string"));
    text(&mut keys, forms::TEXT, 1, 64);
    schema.insert("propertyNames".to_owned(), Value::Object(keys));
    text(&mut values, forms::OPTIONAL_TEXT, 0, 500);
    schema.insert("additionalProperties".to_owned(), Value::Object(values));
}

/// What a header of the tenant's own may say.
pub(super) fn header_value(schema: &mut Object) {
    text(schema, forms::HEADER_VALUE, 1, 1_024);
}

fn headers(schema: &mut Object) {
    let values = named(schema, "additionalProperties");
    let is_patch = values.contains_key("oneOf");
    add(schema, "maxProperties", json!(if is_patch { 100 } else { 20 }));
    let mut names = named(schema, "propertyNames");
    add(&mut names, "type", json!("string"));
    text(&mut names, forms::HEADER_NAME, 1, 64);
    add(&mut names, "not", json!({"pattern": forms::reserved_header()}));
    schema.insert("propertyNames".to_owned(), Value::Object(names));
}

/// Adds the rules of a text; what the schema says itself stays. No length of its own has what has `most` 0.
pub(super) fn text(schema: &mut Object, pattern: &str, least: u32, most: u32) {
    // A `$ref` or `oneOf` says it at its own place.
    let is_text = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.contains(&json!("string")),
        kind => kind.is_some_and(|kind| kind == "string"),
    };
    if !is_text {
        return;
    }
    add(schema, "pattern", json!(pattern));
    if least > 0 {
        add(schema, "minLength", json!(least));
    }
    if most > 0 {
        add(schema, "maxLength", json!(most));
    }
}

fn items(schema: &mut Object, unique: bool, rule: impl FnOnce(&mut Object)) {
    if unique {
        add(schema, "uniqueItems", json!(true));
    }
    if let Some(item) = schema.get_mut("items").and_then(Value::as_object_mut) {
        rule(item);
    }
}

/// Adds a rule, if the schema does not say it itself.
pub(super) fn add(schema: &mut Object, name: &str, value: Value) {
    schema.entry(name).or_insert(value);
}
