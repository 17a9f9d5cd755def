use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Change,
    access::Permission,
    event_types::{EventType, EventTypeName, EventTypeState},
};

use crate::{
    Error, Result, Versioned,
    access::{OnTenant, TenantScope},
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
        let mut version = event_type.version();
        if event_type.archive(self.clock.now()) == Change::Made {
            tx.save(&scope, &mut event_type).await?;
            version = version.next();
            let archived = Versioned {
                version,
                value: event_type.state().clone(),
            };
            tx.commit(scope.did(&request.name).answering(&scope, &archived))
                .await?;
            return Ok(archived);
        }
        Ok(Versioned {
            version,
            value: event_type.state().clone(),
        })
    }
}
