//! Examples of lists and maps stand at the list or map: the generator puts them at what is in it.

use serde_json::Value;
use utoipa::openapi::{
    Components, RefOr, Schema,
    schema::{AdditionalProperties, ArrayItems},
};

/// Puts each example where it belongs.
pub(super) fn put_right(components: &mut Components) {
    for schema in components.schemas.values_mut() {
        if let RefOr::T(schema) = schema {
            put(schema);
        }
    }
}

fn put(schema: &mut Schema) {
    match schema {
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items
                && let RefOr::T(items) = &mut **items
            {
                array.examples.extend(take(items, Value::is_array));
                put(items);
            }
        }
        Schema::Object(object) => {
            for property in object.properties.values_mut() {
                if let RefOr::T(property) = property {
                    put(property);
                }
            }
            // A map's values, and its keys: both have the map's example, which is wanted once.
            let mut of_map = Vec::new();
            if let Some(values) = &mut object.additional_properties
                && let AdditionalProperties::RefOr(RefOr::T(values)) = &mut **values
            {
                of_map = take(values, Value::is_object);
                put(values);
            }
            if let Some(names) = &mut object.property_names {
                let _ = take(names, Value::is_object);
            }
            object.examples.extend(of_map);
        }
        Schema::AllOf(all) => {
            for item in &mut all.items {
                if let RefOr::T(item) = item {
                    put(item);
                }
            }
        }
        _ => {}
    }
}

/// Takes the examples that are not of the schema but of what holds it.
fn take(schema: &mut Schema, of_holder: impl Fn(&Value) -> bool) -> Vec<Value> {
    match schema {
        // A list of lists, a map of maps: its examples may be its own.
        Schema::Object(object) if object.properties.is_empty() => object
            .examples
            .extract_if(.., |example| of_holder(example))
            .collect(),
        _ => Vec::new(),
    }
}
