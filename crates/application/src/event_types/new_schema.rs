use postrider_domain::{
    TenantId, Timestamp,
    event_types::{Example, SchemaText, SchemaVersion},
};

use crate::{
    Error, ErrorCode, Result,
    ports::{SchemaError, Schemas},
};

/// A schema to be added to an event type.
#[derive(Debug, Clone)]
pub struct NewSchema {
    /// What payloads must be like.
    pub schema: SchemaText,
    /// A payload that is like that; it is held to the schema.
    pub example: Option<Example>,
}

impl NewSchema {
    /// Refuses a schema that cannot be applied, or does not allow its own example. It may take a while: never within a
    /// transaction.
    pub(super) async fn check(&self, schemas: &dyn Schemas, tenant: TenantId) -> Result<()> {
        match schemas.check(tenant, &self.schema, self.example.as_ref()).await {
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

    /// The version of that number.
    pub(super) fn numbered(self, number: u32, created_at: Timestamp) -> SchemaVersion {
        SchemaVersion {
            number,
            schema: self.schema,
            example: self.example,
            created_at,
        }
    }
}
