use postrider_domain::{access::Permission, event_types::EventTypeName};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{EventTypeView, EventTypeViews},
};

/// Reads one event type, with its latest schema.
#[derive(Debug)]
pub struct GetEventType {
    /// Which.
    pub name: EventTypeName,
}

impl Request for GetEventType {
    type Output = EventTypeView;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.get";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesRead)
    }
}

/// Serves [`GetEventType`].
pub struct GetEventTypeHandler<S> {
    views: S,
}

impl<S> GetEventTypeHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EventTypeViews> Handles<GetEventType> for GetEventTypeHandler<S> {
    async fn handle(&self, scope: TenantScope, request: GetEventType) -> Result<EventTypeView, Error> {
        self.views
            .event_type(&scope, &request.name)
            .await?
            .ok_or_else(|| Error::not_found("event type"))
    }
}
