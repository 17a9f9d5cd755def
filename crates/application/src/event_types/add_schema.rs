use std::sync::Arc;

use postrider_domain::{
    access::Permission,
    event_types::{EventType, EventTypeName, SchemaVersion},
};

use super::{NewSchema, checked};
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
        // Before the transaction: it may take a while.
        let NewSchema { schema, example } = schema;
        checked(
            self.schemas
                .check(scope.tenant(), &schema, example.as_ref())
                .await,
        )?;
        let mut tx = self.store.begin(&scope).await?;
        let found = tx.find(&scope, &name).await?;
        let mut event_type = found.ok_or_else(|| Error::not_found("event type"))?;
        let version = SchemaVersion {
            number: event_type.add_schema(),
            schema,
            example,
            created_at: self.clock.now(),
        };
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
        ErrorCode, IfMatch, Patch,
        event_types::{
            ArchiveEventType, GetEventTypeSchema, ListEventTypes, RegisterEventType, UpdateEventType,
        },
        ports::PageRequest,
        testing::World,
    };
    use postrider_domain::{
        Description,
        access::{Grant, Role},
        event_types::SchemaText,
    };

    fn name() -> EventTypeName {
        EventTypeName::parse("invoice.paid").unwrap()
    }

    fn add(word: &str) -> AddSchema {
        AddSchema {
            name: name(),
            schema: NewSchema {
                schema: SchemaText::new(word).unwrap(),
                example: None,
            },
        }
    }

    async fn world() -> (World, crate::access::Caller) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let request = RegisterEventType {
            name: name(),
            description: Description::default(),
            schema: None,
        };
        world.send(&owner, request).await.unwrap();
        (world, owner)
    }

    #[tokio::test]
    async fn versions_count_up_and_can_be_read() {
        let (world, owner) = world().await;
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
    async fn an_event_type_is_described_and_archived() {
        let (world, owner) = world().await;
        let describe = |text: &str, if_match| UpdateEventType {
            name: name(),
            description: Patch::Set(Description::parse(text).unwrap()),
            if_match,
        };
        let described = world.send(&owner, describe("Paid", IfMatch::Any)).await.unwrap();
        let stale = IfMatch::OneOf(vec![postrider_domain::Version(1)]);
        assert_eq!(
            world.refusal(&owner, describe("x", stale)).await,
            ErrorCode::PreconditionFailed
        );
        let archive = || ArchiveEventType { name: name() };
        let archived = world.send(&owner, archive()).await.unwrap();
        assert_eq!(archived.version, described.version.next());
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
        let told = |kind: &str| kinds.iter().filter(|told| *told == kind).count();
        assert_eq!(
            (told("event_type.described"), told("event_type.archived")),
            (1, 1)
        );
    }
}
