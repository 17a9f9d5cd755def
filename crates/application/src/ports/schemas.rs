use async_trait::async_trait;
use postrider_domain::{
    TenantId,
    event_types::{EventTypeName, Example, SchemaText},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::StoreError;
use crate::{Violation, access::TenantScope};

/// A schema as payloads are held to it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSchema {
    text: SchemaText,
    digest: [u8; 32],
}

impl KnownSchema {
    /// The schema of that text.
    pub fn new(text: SchemaText) -> Self {
        let digest = Sha256::digest(text.as_str()).into();
        Self { text, digest }
    }

    /// The text.
    pub const fn text(&self) -> &SchemaText {
        &self.text
    }

    /// The text's SHA-256, to know it by.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// An event type as whoever publishes needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventType {
    /// Whether it is not to be published any more.
    pub archived: bool,
    /// Its latest schema, if it has one.
    pub schema: Option<KnownSchema>,
}

/// What is known of an event type. Decorated by a cache.
#[async_trait]
pub trait EventTypeDirectory: Send + Sync {
    /// The event type of that name, if the tenant has registered it.
    async fn known_event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<KnownEventType>, StoreError>;
}

/// Why a schema was not applied.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// As many schemas are being compiled and applied as may; later there is room.
    #[error("too many schemas are being applied")]
    Busy,
    /// A fault of ours.
    #[error("the schema cannot be applied")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Applies JSON Schemas (2020-12) in bounded time and memory. Never fetches anything.
#[async_trait]
pub trait Schemas: Send + Sync {
    /// What is wrong with a schema that is to be registered, and with its example: fields `schema` and `example` and
    /// what is below them. Nothing: payloads can be held to it.
    async fn check(
        &self,
        tenant: TenantId,
        schema: &SchemaText,
        example: Option<&Example>,
    ) -> Result<Vec<Violation>, SchemaError>;

    /// Where a payload is not as the schema says: fields are `field` and what is below it, as in
    /// `payload.items[2].price`, rules the schema's keywords. A bounded number of them.
    async fn validate(
        &self,
        tenant: TenantId,
        schema: &KnownSchema,
        field: &'static str,
        payload: &std::sync::Arc<[u8]>,
    ) -> Result<Vec<Violation>, SchemaError>;
}
