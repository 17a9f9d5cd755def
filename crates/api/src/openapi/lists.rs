//! Lists refer to what they are lists of, where the generator would write it out again.

use utoipa::openapi::{Components, Ref, RefOr, Schema, schema::ArrayItems};

/// What the generator calls a list of something begins with it.
const LIST: &str = "List_";

/// Lets the items of each list be the component of their name.
pub(super) fn refer_to_items(components: &mut Components) {
    let known: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let Some(item) = name
            .strip_prefix(LIST)
            .filter(|item| known.iter().any(|known| known == item))
        else {
            continue;
        };
        if let RefOr::T(Schema::Object(list)) = schema
            && let Some(RefOr::T(Schema::Array(data))) = list.properties.get_mut("data")
        {
            let item = RefOr::Ref(Ref::from_schema_name(item));
            data.items = ArrayItems::RefOrSchema(Box::new(item));
        }
    }
}
