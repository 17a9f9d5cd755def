use std::sync::Arc;

use postrider_domain::{
    access::Permission,
    event_types::{EventType, EventTypeName, SchemaVersion},
};

use super::NewSchema;
use crate::{
    Error, Ports, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, Repository, SchemaRepository, Schemas, Store, UnitOfWork as _},
};

/// Adds a version of an event type's schema: payloads are held to it from now on, where the tenant asks for that.
#[derive(Debug)]
pub struct AddSchema {
    /// Of which event type.
    pub name: EventTypeName,
    /// The schema, with an example.
    pub schema: NewSchema,
}

impl Request for AddSchema {
    type Output = SchemaVersion;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.add_schema";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesWrite)
    }
}

/// Serves [`AddSchema`].
pub struct AddSchemaHandler<S> {
    store: S,
    schemas: Arc<dyn Schemas>,
    clock: Arc<dyn Clock>,
}

impl<S: Clone> AddSchemaHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            schemas: ports.schemas.clone(),
            clock: ports.clock.clone(),
        }
    }
}

impl<S: Store> Handles<AddSchema> for AddSchemaHandler<S>
where
    S::Tx: Repository<EventType, Key = EventTypeName> + SchemaRepository,
{
    async fn handle(&self, scope: TenantScope, request: AddSchema) -> Result<SchemaVersion, Error> {
        let AddSchema { name, schema } = request;
        schema.check(&*self.schemas, scope.tenant()).await?;
        let mut tx = self.store.begin(&scope).await?;
        let found = tx.find(&scope, &name).await?;
        let mut event_type = found.ok_or_else(|| Error::not_found("event type"))?;
        let version = schema.numbered(event_type.add_schema(), self.clock.now());
        tx.save(&scope, &mut event_type).await?;
        tx.add_schema(&scope, &name, &version).await?;
        tx.commit(scope.did(&name).answering(&scope, &version)).await?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        event_types::{
            GetEventTypeSchema,
            testing::{name, registered},
        },
        testing::World,
    };
    use postrider_domain::{
        access::{Grant, Role},
        event_types::{Example, SchemaText},
    };

    fn add(word: &str) -> AddSchema {
        AddSchema {
            name: name(),
            schema: NewSchema {
                schema: SchemaText::new(word).unwrap(),
                example: None,
            },
        }
    }

    #[tokio::test]
    async fn versions_count_up_and_can_be_read() {
        let (world, owner) = registered().await;
        for (number, word) in [(1, "one"), (2, "two")] {
            let added = world.send(&owner, add(word)).await.unwrap();
            assert_eq!((added.number, added.schema.as_str()), (number, word));
            let request = GetEventTypeSchema { name: name(), number };
            assert_eq!(world.send(&owner, request).await.unwrap(), added);
        }
        let missing = GetEventTypeSchema {
            name: name(),
            number: 3,
        };
        assert_eq!(world.refusal(&owner, missing).await, ErrorCode::NotFound);
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(world.refusal(&other, add("one")).await, ErrorCode::NotFound);
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&viewer, add("one")).await, ErrorCode::Forbidden);
    }

    #[tokio::test]
    async fn one_that_cannot_be_applied_or_does_not_allow_its_example_is_not_added() {
        let (world, owner) = registered().await;
        for (word, example, code) in [
            ("", "paid", ErrorCode::ValidationFailed),
            ("paid", "sent", ErrorCode::ValidationFailed),
            ("busy", "busy", ErrorCode::Unavailable),
        ] {
            let mut request = add(word);
            request.schema.example = Some(Example::new(example).unwrap());
            assert_eq!(world.refusal(&owner, request).await, code, "{word}");
        }
        let first = world.send(&owner, add("paid")).await.unwrap();
        assert_eq!(first.number, 1);
    }
}
