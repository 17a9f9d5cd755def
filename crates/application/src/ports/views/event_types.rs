use postrider_domain::{
    Timestamp,
    event_types::{EventTypeName, EventTypeState, SchemaVersion},
};

use crate::{
    Versioned,
    access::TenantScope,
    ports::{Page, PageRequest, StoreError},
};

/// An event type with its schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeView {
    /// The event type, and its version.
    pub event_type: Versioned<EventTypeState>,
    /// The latest schema in full.
    pub latest: Option<SchemaVersion>,
    /// The numbers of all that are kept, and when each was added; the oldest first.
    pub schemas: Vec<(u32, Timestamp)>,
}

/// Event types, to look at.
pub trait EventTypeViews: Send + Sync {
    /// One event type, with its schemas.
    fn event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> impl Future<Output = Result<Option<EventTypeView>, StoreError>> + Send;

    /// All of the tenant, by name; with `archived` those too that were archived.
    fn event_types(
        &self,
        scope: &TenantScope,
        archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> impl Future<Output = Result<Page<EventTypeState, EventTypeName>, StoreError>> + Send;

    /// One version of an event type's schema, if it is kept.
    fn event_type_schema(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
        number: u32,
    ) -> impl Future<Output = Result<Option<SchemaVersion>, StoreError>> + Send;
}
