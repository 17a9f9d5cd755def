//! Event types: what can happen, by name.

mod add_schema;
mod archive;
mod get;
mod get_schema;
mod list;
mod new_schema;
mod register;
mod update;

#[cfg(test)]
mod testing;

pub use add_schema::{AddSchema, AddSchemaHandler};
pub use archive::{ArchiveEventType, ArchiveEventTypeHandler};
pub use get::{GetEventType, GetEventTypeHandler};
pub use get_schema::{GetEventTypeSchema, GetEventTypeSchemaHandler};
pub use list::{ListEventTypes, ListEventTypesHandler};
pub use new_schema::NewSchema;
pub use register::{RegisterEventType, RegisterEventTypeHandler};
pub use update::{UpdateEventType, UpdateEventTypeHandler};
