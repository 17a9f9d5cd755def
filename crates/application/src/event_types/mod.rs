//! Event types: what can happen, by name.

mod add_schema;
mod archive;
mod get;
mod get_schema;
mod list;
mod register;
mod update;

pub use add_schema::{AddSchema, AddSchemaHandler};
pub use archive::{ArchiveEventType, ArchiveEventTypeHandler};
pub use get::{GetEventType, GetEventTypeHandler};
pub use get_schema::{GetEventTypeSchema, GetEventTypeSchemaHandler};
pub use list::{ListEventTypes, ListEventTypesHandler};
pub use register::{NewSchema, RegisterEventType, RegisterEventTypeHandler};
pub use update::{UpdateEventType, UpdateEventTypeHandler};

use crate::{Error, ErrorCode, Result, ports::SchemaError};

/// Nothing if nothing is wrong with a schema, else what the caller is told.
fn checked(found: Result<Vec<crate::Violation>, SchemaError>) -> Result<()> {
    match found {
        Ok(violations) if violations.is_empty() => Ok(()),
        Ok(violations) => Err(Error::invalid(violations)),
        Err(error @ SchemaError::Busy) => Err(Error::new(
            ErrorCode::Unavailable,
            "too many schemas are being looked at; try again in a moment",
        )
        .caused_by(error)),
        Err(error @ SchemaError::Internal(_)) => Err(Error::internal(error)),
    }
}
