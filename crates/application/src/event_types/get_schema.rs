use postrider_domain::{
    access::Permission,
    event_types::{EventTypeName, SchemaVersion},
};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::EventTypeViews,
};

/// Reads one version of an event type's schema.
#[derive(Debug)]
pub struct GetEventTypeSchema {
    /// Of which event type.
    pub name: EventTypeName,
    /// The version's number, from 1.
    pub number: u32,
}

impl Request for GetEventTypeSchema {
    type Output = SchemaVersion;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.get_schema";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesRead)
    }
}

/// Serves [`GetEventTypeSchema`].
pub struct GetEventTypeSchemaHandler<S> {
    views: S,
}

impl<S> GetEventTypeSchemaHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EventTypeViews> Handles<GetEventTypeSchema> for GetEventTypeSchemaHandler<S> {
    async fn handle(&self, scope: TenantScope, request: GetEventTypeSchema) -> Result<SchemaVersion, Error> {
        self.views
            .event_type_schema(&scope, &request.name, request.number)
            .await?
            .ok_or_else(|| Error::not_found("schema"))
    }
}
