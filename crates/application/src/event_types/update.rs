use postrider_domain::{
    Aggregate as _, Change, Description,
    access::Permission,
    event_types::{EventType, EventTypeName, EventTypeState},
};

use crate::{
    Error, IfMatch, Patch, Result, Versioned,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Repository, Store, UnitOfWork as _},
};

/// Changes an event type: what is not named stays as it is.
#[derive(Debug)]
pub struct UpdateEventType {
    /// Which.
    pub name: EventTypeName,
    /// What it means.
    pub description: Patch<Description>,
    /// Which version is meant.
    pub if_match: IfMatch,
}

impl Request for UpdateEventType {
    type Output = Versioned<EventTypeState>;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.update";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesWrite)
    }
}

/// Serves [`UpdateEventType`].
pub struct UpdateEventTypeHandler<S> {
    store: S,
}

impl<S> UpdateEventTypeHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<UpdateEventType> for UpdateEventTypeHandler<S>
where
    S::Tx: Repository<EventType, Key = EventTypeName>,
{
    async fn handle(
        &self,
        scope: TenantScope,
        request: UpdateEventType,
    ) -> Result<Versioned<EventTypeState>, Error> {
        let mut tx = self.store.begin(&scope).await?;
        let found = tx.find(&scope, &request.name).await?;
        let mut event_type = found.ok_or_else(|| Error::not_found("event type"))?;
        request.if_match.check(Some(event_type.version()))?;
        let mut description = event_type.state().description.clone();
        request.description.apply_or_default(&mut description);
        let mut version = event_type.version();
        if event_type.describe(description) == Change::Made {
            tx.save(&scope, &mut event_type).await?;
            tx.commit(scope.did(&request.name)).await?;
            version = version.next();
        }
        Ok(Versioned {
            version,
            value: event_type.state().clone(),
        })
    }
}
