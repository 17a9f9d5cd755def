use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Description,
    access::Permission,
    event_types::{EventType, EventTypeName, EventTypeState},
};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, Repository, Store, UnitOfWork as _},
};

/// Registers an event type.
#[derive(Debug)]
pub struct RegisterEventType {
    /// Its name, the key.
    pub name: EventTypeName,
    /// What it means.
    pub description: Description,
}

impl Request for RegisterEventType {
    type Output = EventTypeState;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.register";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesWrite)
    }
}

/// Serves [`RegisterEventType`].
pub struct RegisterEventTypeHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> RegisterEventTypeHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<RegisterEventType> for RegisterEventTypeHandler<S>
where
    S::Tx: Repository<EventType>,
{
    async fn handle(&self, scope: TenantScope, request: RegisterEventType) -> Result<EventTypeState, Error> {
        let mut event_type = EventType::register(
            scope.tenant(),
            request.name,
            request.description,
            self.clock.now(),
        );
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut event_type).await?;
        tx.commit().await?;
        Ok(event_type.state().clone())
    }
}
