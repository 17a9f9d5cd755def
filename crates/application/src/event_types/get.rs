use postrider_domain::{
    access::Permission,
    event_types::{EventTypeName, EventTypeState},
};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::EventTypeViews,
};

/// Reads one event type.
#[derive(Debug)]
pub struct GetEventType {
    /// Which.
    pub name: EventTypeName,
}

impl Request for GetEventType {
    type Output = EventTypeState;
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
    async fn handle(&self, scope: TenantScope, request: GetEventType) -> Result<EventTypeState, Error> {
        self.views
            .event_type(&scope, &request.name)
            .await?
            .ok_or_else(|| Error::not_found("event type"))
    }
}
