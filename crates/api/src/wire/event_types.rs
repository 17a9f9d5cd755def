use postrider_application::{
    Error, IfMatch, Violation,
    event_types::{AddSchema, ListEventTypes, NewSchema, RegisterEventType, UpdateEventType},
    ports::EventTypeView,
};
use postrider_domain::{
    Description, InvalidValue, Rule,
    event_types::{EventTypeName, EventTypeState, Example, SchemaText, SchemaVersion},
};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checked, Checks, page, patch::Patched, path::EventTypePath, raw::present, time};
use crate::extract::EventTypeQuery;

/// An event type to be registered.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "name": "invoice.paid",
    "description": "An invoice was paid in full.",
    "schema": {"type": "object", "required": ["invoice"], "properties": {"invoice": {"type": "string"}}},
    "example": {"invoice": "in_123"}
})))]
pub(crate) struct NewEventType {
    /// Groups of letters, digits, `_` and `-`, joined by full stops.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
    )]
    name: String,
    /// What it means.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// What its payloads are like: version 1 of its schema.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<serde_json::Value>)]
    schema: Option<Box<RawValue>>,
    /// A payload that is like that; only with `schema`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<serde_json::Value>)]
    example: Option<Box<RawValue>>,
}

impl Body for NewEventType {}

/// JSON as it was stored, byte for byte.
struct Verbatim(String);

impl Serialize for Verbatim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What was stored was JSON.
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl NewEventType {
    /// The command.
    pub(crate) fn into_command(self) -> Result<RegisterEventType, Error> {
        let mut checks = Checks::of(&self);
        let name = checks.check("name", EventTypeName::parse(&self.name));
        let description = checks.check(
            "description",
            Description::parse(self.description.as_deref().unwrap_or_default()),
        );
        let schema = match (self.schema, self.example) {
            (Some(schema), example) => new_schema(&mut checks, schema, example).map(Some),
            (None, None) => Some(None),
            (None, Some(_)) => {
                checks.push(Violation {
                    field: "example".into(),
                    rule: "exclusive".into(),
                    message: "must not be given without schema".to_owned(),
                });
                None
            }
        };
        let (name, description, schema) = checks.all((name, description, schema))?;
        Ok(RegisterEventType {
            name,
            description,
            schema,
        })
    }
}

fn new_schema(
    checks: &mut Checks,
    schema: Box<RawValue>,
    example: Option<Box<RawValue>>,
) -> Checked<NewSchema> {
    let text = |raw: Box<RawValue>| -> Box<str> { raw.into() };
    let schema = checks.check("schema", SchemaText::new(text(schema)));
    let example = checks.optional("example", example, |raw| Example::new(text(raw)));
    Some(NewSchema {
        schema: schema?,
        example: example?,
    })
}

/// A new version of an event type's schema.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "schema": {"type": "object", "required": ["invoice"], "properties": {"invoice": {"type": "string"}}},
    "example": {"invoice": "in_123"}
})))]
pub(crate) struct NewSchemaVersion {
    /// A JSON Schema (2020-12), at most 64 KiB. References are JSON pointers into it and do not lead back to themselves;
    /// patterns have no look-around.
    #[schema(value_type = serde_json::Value)]
    schema: Box<RawValue>,
    /// A payload that is like that, at most 64 KiB.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<serde_json::Value>)]
    example: Option<Box<RawValue>>,
}

impl Body for NewSchemaVersion {}

impl NewSchemaVersion {
    /// The command.
    pub(crate) fn into_command(self, path: &EventTypePath) -> Result<AddSchema, Error> {
        let mut checks = Checks::of(&self);
        let name = path.name(&mut checks);
        let schema = new_schema(&mut checks, self.schema, self.example);
        let (name, schema) = checks.all((name, schema))?;
        Ok(AddSchema { name, schema })
    }
}

/// A change of an event type, as a JSON Merge Patch.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"description": "An invoice was paid in full."})))]
pub(crate) struct EventTypePatch {
    /// What it means; null for nothing.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Patched<String>,
}

impl Body for EventTypePatch {}

impl EventTypePatch {
    /// The command.
    pub(crate) fn into_command(
        self,
        path: &EventTypePath,
        if_match: IfMatch,
    ) -> Result<UpdateEventType, Error> {
        let mut checks = Checks::of(&self);
        let name = path.name(&mut checks);
        let description = self
            .description
            .parsed("description", &mut checks, |text| Description::parse(&text));
        let (name, description) = checks.all((name, description))?;
        Ok(UpdateEventType {
            name,
            description,
            if_match,
        })
    }
}

/// The query that a query string asks.
pub(crate) fn query(query: &EventTypeQuery) -> Result<ListEventTypes, Error> {
    let mut checks = Checks::default();
    let page = page::request(&query.page, &mut checks);
    let archived = checks.optional("include_archived", query.include_archived.as_deref(), |text| {
        text.parse::<bool>()
            .map_err(|_| InvalidValue::new(Rule::Unknown, "must be true or false"))
    });
    let (page, archived) = checks.all((page, archived))?;
    Ok(ListEventTypes {
        archived: archived.unwrap_or(false),
        page,
    })
}

/// What can happen in your product.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventType {
    /// Its name, the key.
    #[schema(examples("invoice.paid"))]
    name: String,
    /// What it means.
    #[schema(examples("An invoice was paid in full."))]
    description: String,
    /// The number of its latest schema; 0 if it has none.
    #[schema(examples(1))]
    latest_schema: u32,
    /// When it was registered.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// When it was archived.
    #[schema(required, format = "date-time")]
    archived_at: Option<String>,
}

impl From<EventTypeState> for EventType {
    fn from(state: EventTypeState) -> Self {
        Self {
            name: state.name.as_str().to_owned(),
            description: state.description.as_str().to_owned(),
            latest_schema: state.latest_schema,
            created_at: time::show(state.created_at),
            archived_at: state.archived_at.map(time::show),
        }
    }
}

/// An event type with its schemas.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypeWithSchemas {
    #[serde(flatten)]
    event_type: EventType,
    /// The latest schema; null if it has none.
    #[schema(required)]
    schema: Option<EventTypeSchema>,
    /// All versions that are kept, the oldest first.
    #[schema(max_items = 50)]
    schemas: Vec<SchemaNumber>,
}

impl From<EventTypeView> for EventTypeWithSchemas {
    fn from(view: EventTypeView) -> Self {
        let number = |(version, at)| SchemaNumber {
            version,
            created_at: time::show(at),
        };
        Self {
            event_type: view.event_type.value.into(),
            schema: view.latest.map(EventTypeSchema::from),
            schemas: view.schemas.into_iter().map(number).collect(),
        }
    }
}

/// A version of a schema, by its number.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaNumber {
    /// Its number, from 1.
    #[schema(examples(1))]
    version: u32,
    /// When it was added.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

/// A version of an event type's schema.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypeSchema {
    /// Its number, from 1.
    #[schema(examples(1))]
    version: u32,
    /// What payloads must be like: a JSON Schema (2020-12).
    #[schema(value_type = serde_json::Value, examples(json!({"type": "object"})))]
    schema: Verbatim,
    /// A payload that is like that.
    #[schema(required, value_type = Option<serde_json::Value>, examples(json!({"invoice": "in_123"})))]
    example: Option<Verbatim>,
    /// When it was added.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<SchemaVersion> for EventTypeSchema {
    fn from(version: SchemaVersion) -> Self {
        Self {
            version: version.number,
            schema: Verbatim(version.schema.as_str().to_owned()),
            example: version
                .example
                .map(|example| Verbatim(example.as_str().to_owned())),
            created_at: time::show(version.created_at),
        }
    }
}
