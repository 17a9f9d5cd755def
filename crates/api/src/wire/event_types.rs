use postrider_application::{Error, event_types::RegisterEventType};
use postrider_domain::{
    Description,
    event_types::{EventTypeName, EventTypeState},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, time};

/// An event type to be registered.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "invoice.paid", "description": "An invoice was paid in full."})))]
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
}

impl Body for NewEventType {}

impl NewEventType {
    /// The command.
    pub(crate) fn into_command(self) -> Result<RegisterEventType, Error> {
        let mut checks = Checks::of(&self);
        let name = checks.check("name", EventTypeName::parse(&self.name));
        let description = checks.check(
            "description",
            Description::parse(self.description.as_deref().unwrap_or_default()),
        );
        let (name, description) = checks.all((name, description))?;
        Ok(RegisterEventType { name, description })
    }
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
    /// When it was registered.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<EventTypeState> for EventType {
    fn from(state: EventTypeState) -> Self {
        Self {
            name: state.name.as_str().to_owned(),
            description: state.description.as_str().to_owned(),
            created_at: time::show(state.created_at),
        }
    }
}
