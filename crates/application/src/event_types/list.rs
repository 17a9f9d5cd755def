use postrider_domain::{
    access::Permission,
    event_types::{EventTypeName, EventTypeState},
};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{EventTypeViews, Page, PageRequest},
};

/// Reads a part of the tenant's event types, by name.
#[derive(Debug)]
pub struct ListEventTypes {
    /// Whether those are shown too that were archived.
    pub archived: bool,
    /// Which part.
    pub page: PageRequest<EventTypeName>,
}

impl Request for ListEventTypes {
    type Output = Page<EventTypeState, EventTypeName>;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.list";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesRead)
    }
}

/// Serves [`ListEventTypes`].
pub struct ListEventTypesHandler<S> {
    views: S,
}

impl<S> ListEventTypesHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: EventTypeViews> Handles<ListEventTypes> for ListEventTypesHandler<S> {
    async fn handle(
        &self,
        scope: TenantScope,
        request: ListEventTypes,
    ) -> Result<Page<EventTypeState, EventTypeName>, Error> {
        let ListEventTypes { archived, page } = request;
        Ok(self.views.event_types(&scope, archived, page).await?)
    }
}
