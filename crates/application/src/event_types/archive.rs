use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Change,
    access::Permission,
    event_types::{EventType, EventTypeName, EventTypeState},
};

use crate::{
    Error, Result, Versioned,
    access::{OnTenant, TenantScope},
    change::version_after,
    mediator::{Handles, Request},
    ports::{Clock, Repository, Store, UnitOfWork as _},
};

/// Archives an event type: where the tenant rejects unregistered ones it cannot be published any more. Again is as
/// good as once.
#[derive(Debug)]
pub struct ArchiveEventType {
    /// Which.
    pub name: EventTypeName,
}

impl Request for ArchiveEventType {
    type Output = Versioned<EventTypeState>;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.archive";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesWrite)
    }
}

/// Serves [`ArchiveEventType`].
pub struct ArchiveEventTypeHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> ArchiveEventTypeHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<ArchiveEventType> for ArchiveEventTypeHandler<S>
where
    S::Tx: Repository<EventType, Key = EventTypeName>,
{
    async fn handle(
        &self,
        scope: TenantScope,
        request: ArchiveEventType,
    ) -> Result<Versioned<EventTypeState>, Error> {
        let mut tx = self.store.begin(&scope).await?;
        let found = tx.find(&scope, &request.name).await?;
        let mut event_type = found.ok_or_else(|| Error::not_found("event type"))?;
        let change = event_type.archive(self.clock.now());
        let archived = Versioned {
            value: event_type.state().clone(),
            version: version_after(event_type.version(), change),
        };
        if change == Change::Made {
            tx.save(&scope, &mut event_type).await?;
            tx.commit(scope.did(&request.name).answering(&scope, &archived))
                .await?;
        }
        Ok(archived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_types::{
            GetEventType, ListEventTypes,
            testing::{name, registered},
        },
        ports::PageRequest,
    };

    #[tokio::test]
    async fn an_archived_one_is_listed_if_asked_for_and_archived_once() {
        let (world, owner) = registered().await;
        let before = world.send(&owner, GetEventType { name: name() }).await.unwrap();
        let archive = || ArchiveEventType { name: name() };
        let archived = world.send(&owner, archive()).await.unwrap();
        assert_eq!(archived.version, before.event_type.version.next());
        assert_eq!(world.send(&owner, archive()).await.unwrap(), archived);
        for (archived, count) in [(true, 1), (false, 0)] {
            let page = PageRequest::first(10);
            let list = world
                .send(&owner, ListEventTypes { archived, page })
                .await
                .unwrap();
            assert_eq!(list.items.len(), count);
        }
        let kinds = world.kinds().await;
        let told = kinds.iter().filter(|kind| *kind == "event_type.archived");
        assert_eq!(told.count(), 1);
    }
}
