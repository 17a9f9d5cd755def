use postrider_domain::{
    Aggregate as _, Change, Description,
    access::Permission,
    event_types::{EventType, EventTypeName, EventTypeState},
};

use crate::{
    Error, IfMatch, Patch, Result, Versioned,
    access::{OnTenant, TenantScope},
    change::version_after,
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
        let change = event_type.describe(description);
        if change == Change::Made {
            tx.save(&scope, &mut event_type).await?;
            tx.commit(scope.did(&request.name)).await?;
        }
        Ok(Versioned {
            value: event_type.state().clone(),
            version: version_after(event_type.version(), change),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        event_types::testing::{name, registered},
    };
    use postrider_domain::Version;

    #[tokio::test]
    async fn what_is_named_is_changed_once_and_at_the_version_that_is_meant() {
        let (world, owner) = registered().await;
        let describe = |text: &str, if_match| UpdateEventType {
            name: name(),
            description: Patch::Set(Description::parse(text).unwrap()),
            if_match,
        };
        let described = world.send(&owner, describe("Paid", IfMatch::Any)).await.unwrap();
        assert_eq!(described.version, Version(2));
        assert_eq!(described.value.description.as_str(), "Paid");
        let again = world
            .send(&owner, describe("Paid", IfMatch::Unsaid))
            .await
            .unwrap();
        assert_eq!(again, described, "the same again is no change");
        let stale = IfMatch::OneOf(vec![Version(1)]);
        assert_eq!(
            world.refusal(&owner, describe("x", stale)).await,
            ErrorCode::PreconditionFailed
        );
        let kinds = world.kinds().await;
        let told = kinds.iter().filter(|kind| *kind == "event_type.described");
        assert_eq!(told.count(), 1);
    }
}
