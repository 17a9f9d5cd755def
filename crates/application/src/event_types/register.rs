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
        let registered = event_type.state().clone();
        tx.commit(scope.did(&registered.name).answering(&scope, &registered))
            .await?;
        Ok(registered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, event_types::GetEventType, testing::World};
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn a_name_is_registered_once() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let name = EventTypeName::parse("invoice.paid").unwrap();
        let request = || RegisterEventType {
            name: name.clone(),
            description: Description::default(),
        };
        let registered = world.send(&owner, request()).await.unwrap();
        assert_eq!(world.refusal(&owner, request()).await, ErrorCode::EventTypeExists);
        let read = world
            .send(&owner, GetEventType { name: name.clone() })
            .await
            .unwrap();
        assert_eq!(read, registered);
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&other, GetEventType { name }).await,
            ErrorCode::NotFound
        );
    }
}
