//! The forms of texts, said once: what the server refuses by its characters, the document refuses too.
//!
//! By the name of a parameter or a property, in every schema that says nothing of its own. Lengths stand at the wire
//! types, beside what checks them.

use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    path::Operation,
    schema::{ArrayItems, Object, SchemaType, Type},
};

/// What identifies an application or an endpoint to the tenant: an id or a uid.
const REFERENCE: &str = "^[A-Za-z0-9._:-]+$";
/// The name of an event type.
const EVENT_TYPE: &str = "^[A-Za-z0-9._-]+$";
/// A channel.
const CHANNEL: &str = "^[A-Za-z0-9._:/-]+$";
/// Text without control characters.
const TEXT: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// The same, and not blank.
const FILLED: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
const ROLE: &str = "^(owner|admin|developer|viewer|publisher)$";

/// The prefix of the ids that a path parameter takes.
const IDS: [(&str, &str); 6] = [
    ("api_key", "key"),
    ("invitation", "inv"),
    ("member", "mem"),
    ("message", "msg"),
    ("replay", "rpl"),
    ("tenant", "ten"),
];

/// Adds them to all parameters of paths and queries, and to all properties of components.
pub(super) fn add(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let of_event_types = path.starts_with("/v1/event-types/");
        for operation in super::operations(item) {
            parameters(operation.1, of_event_types);
        }
    }
    let schemas = document.components.iter_mut().flat_map(|all| &mut all.schemas);
    for (name, schema) in schemas {
        if let RefOr::T(schema) = schema {
            properties(name, schema);
        }
    }
}

fn parameters(operation: &mut Operation, of_event_types: bool) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let pattern = match parameter.name.as_str() {
            "application" | "endpoint" => Some(REFERENCE.to_owned()),
            "name" if of_event_types => Some(EVENT_TYPE.to_owned()),
            "event_type" => Some(EVENT_TYPE.to_owned()),
            "channel" => Some(CHANNEL.to_owned()),
            "actor" | "target" | "action" => Some(FILLED.to_owned()),
            name => id(name),
        };
        if let (Some(RefOr::T(schema)), Some(pattern)) = (&mut parameter.schema, pattern) {
            form(schema, &pattern);
        }
    }
}

/// `^msg_…$` for what is called `message`: 26 digits of Crockford's base32, the first of which has three bits.
fn id(name: &str) -> Option<String> {
    let (_, prefix) = IDS.iter().find(|(known, _)| *known == name)?;
    Some(format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"))
}

fn properties(schema_name: &str, schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                if let (Some(pattern), RefOr::T(property)) = (property_form(schema_name, name), property) {
                    form(property, &pattern);
                }
            }
        }
        Schema::AllOf(all) => {
            for part in &mut all.items {
                if let RefOr::T(part) = part {
                    properties(schema_name, part);
                }
            }
        }
        _ => {}
    }
}

fn property_form(schema: &str, property: &str) -> Option<String> {
    let token = |prefix: &str, secret: usize| {
        Some(format!(
            "^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}_[0-9a-hjkmnp-tv-z]{{{secret}}}$"
        ))
    };
    let pattern = match (schema, property) {
        (_, "event_type" | "event_types") | ("NewEventType", "name") => EVENT_TYPE,
        (_, "channels") => CHANNEL,
        (_, "role") => ROLE,
        ("NewGrant", "application") => REFERENCE,
        ("Login", "tenant") => return id("tenant"),
        (_, "refresh_token") => return token("prf", 104),
        ("Acceptance", "token") => return token("pri", 52),
        ("NewPasswordByToken", "token") => return token("prw", 52),
        ("NewApplication" | "NewApiKey" | "NewTenant" | "NewOwner" | "Acceptance", "name") => FILLED,
        (_, "description") => TEXT,
        ("NewMessage", "event_id") => TEXT,
        _ => return None,
    };
    Some(pattern.to_owned())
}

/// Sets the pattern of a text, or of the texts of a list, unless it has one or names its values.
fn form(schema: &mut Schema, pattern: &str) {
    match schema {
        Schema::Object(object)
            if is_text(object) && object.pattern.is_none() && object.enum_values.is_none() =>
        {
            object.pattern = Some(pattern.to_owned());
        }
        Schema::Array(list) => {
            if let ArrayItems::RefOrSchema(items) = &mut list.items
                && let RefOr::T(items) = &mut **items
            {
                form(items, pattern);
            }
        }
        _ => {}
    }
}

fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::openapi::ObjectBuilder;

    #[test]
    fn a_text_gets_its_form_once() {
        let text = || Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
        let mut schema = text();
        form(&mut schema, REFERENCE);
        form(&mut schema, TEXT);
        let Schema::Object(object) = &schema else {
            panic!("an object")
        };
        assert_eq!(object.pattern.as_deref(), Some(REFERENCE));
        assert_eq!(id("message").unwrap(), "^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$");
        assert_eq!(id("code"), None);
    }

    #[test]
    fn ids_and_texts_of_the_document_have_their_forms() {
        let document = serde_json::to_value(super::super::document()).unwrap();
        let operation = &document["paths"]["/v1/applications/{application}/messages/{message}"]["get"];
        let patterns: Vec<_> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["schema"]["pattern"].as_str())
            .collect();
        assert_eq!(
            patterns,
            [Some(REFERENCE), Some("^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
        );
        let message = &document["components"]["schemas"]["NewMessage"]["properties"];
        assert_eq!(message["channels"]["items"]["pattern"], CHANNEL);
        assert_eq!(message["event_type"]["pattern"], EVENT_TYPE);
    }
}
