//! What all commands have in common that may be repeated: the key, what a repeated request is answered, and that a
//! secret is not shown twice.

use utoipa::openapi::{
    Components, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, Type,
    path::{Operation, ParameterBuilder, ParameterIn},
    schema::AllOf,
};

use crate::answer::{ALREADY_SHOWN, IDEMPOTENCY_KEY};

/// Names the field of an operation's answer that is shown once.
const SHOWN_ONCE: &str = "x-shown-once";
/// The header as the document writes it.
const REPLAYED: &str = "Idempotent-Replayed";

/// The parts that operations refer to.
pub(super) fn add_components(components: &mut Components) {
    let key = ParameterBuilder::new()
        .name(IDEMPOTENCY_KEY)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Makes a repeated request recognisable: it is done once, and answered the same. 1 to 256 visible characters \
             of your choosing, best a UUID. It is yours alone and good for a day; for another path or another body it \
             is a conflict.",
        ))
        .schema(Some(text().min_length(Some(1)).max_length(Some(256)).build()))
        .example(Some("8e03978e-40d5-43e8-bc93-6894a57f9324".into()))
        .build();
    components.parameters.insert(name(), key.into());
    let replayed = HeaderBuilder::new()
        .description(Some(
            "`true` if the answer of an earlier request with this key is repeated.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean).build()))
        .build();
    components.headers.insert(REPLAYED.to_owned(), replayed.into());
}

fn name() -> String {
    IDEMPOTENCY_KEY.to_owned()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Says of a command that it may be repeated, unless it says so in its own words.
pub(super) fn add(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    let says_so = |parameter: &RefOr<_>| match parameter {
        RefOr::T(parameter) => {
            let parameter: &utoipa::openapi::path::Parameter = parameter;
            parameter.name == IDEMPOTENCY_KEY
        }
        RefOr::Ref(reference) => reference.ref_location.ends_with(IDEMPOTENCY_KEY),
    };
    if parameters.iter().any(says_so) {
        return;
    }
    parameters.push(RefOr::Ref(Ref::new(format!(
        "#/components/parameters/{IDEMPOTENCY_KEY}"
    ))));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        match status.as_str() {
            "409" => {
                let more = "`idempotency_conflict`: the key was used for another request.";
                response.description = format!("{} Or {more}", response.description.trim_end_matches('.'));
            }
            status if status.starts_with('2') => {
                let header = Ref::new(format!("#/components/headers/{REPLAYED}"));
                response.headers.insert(REPLAYED.to_owned(), RefOr::Ref(header));
            }
            _ => {}
        }
    }
}

/// What a command is answered whose key was used for something else.
pub(super) const CONFLICT: (&str, &str) = (
    "409",
    "`idempotency_conflict`: the key was used for another request.",
);

/// Says of the answer of a command that a repeated request is not shown the secret again.
pub(super) fn hide_secret(operation: &mut Operation, components: &mut Components) {
    // Taken out: several extensions of one operation are written in another order each time.
    let named = operation
        .extensions
        .as_mut()
        .and_then(|all| all.remove(SHOWN_ONCE));
    let Some(secret) = named.and_then(|name| name.as_str().map(ToOwned::to_owned)) else {
        return;
    };
    let answers = operation.responses.responses.iter();
    for (_, response) in answers.filter(|(status, _)| status.starts_with('2')) {
        let RefOr::T(response) = response else { continue };
        for content in response.content.values() {
            if let RefOr::T(content) = content
                && let Some(RefOr::Ref(reference)) = &content.schema
                && let Some((_, name)) = reference.ref_location.rsplit_once('/')
                && let Some(RefOr::T(schema)) = components.schemas.get_mut(name)
            {
                hide(schema, &secret);
            }
        }
    }
}

fn hide(schema: &mut Schema, secret: &str) {
    match schema {
        Schema::Object(object) => hide_in(object, secret),
        Schema::AllOf(AllOf { items, .. }) => {
            for item in items {
                if let RefOr::T(schema) = item {
                    hide(schema, secret);
                }
            }
        }
        _ => {}
    }
}

fn hide_in(object: &mut Object, secret: &str) {
    if !object.properties.contains_key(secret) {
        return;
    }
    object.required.retain(|name| name != secret);
    let shown = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some(format!(
            "`true`, and no `{secret}`, if an earlier request of the same `{IDEMPOTENCY_KEY}` is answered: it was shown then."
        )))
        .build();
    object.properties.insert(ALREADY_SHOWN.to_owned(), shown.into());
}
