use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Description,
    access::Permission,
    event_types::{EventType, EventTypeName, Example, SchemaText, SchemaVersion},
};

use super::checked;
use crate::{
    Error, Ports, Result, Versioned,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, EventTypeView, Repository, SchemaRepository, Schemas, Store, UnitOfWork as _},
};

/// Registers an event type.
#[derive(Debug)]
pub struct RegisterEventType {
    /// Its name, the key.
    pub name: EventTypeName,
    /// What it means.
    pub description: Description,
    /// What its payloads are like, to begin with.
    pub schema: Option<NewSchema>,
}

/// A schema to be added to an event type.
#[derive(Debug, Clone)]
pub struct NewSchema {
    /// What payloads must be like.
    pub schema: SchemaText,
    /// A payload that is like that; it is held to the schema.
    pub example: Option<Example>,
}

impl Request for RegisterEventType {
    type Output = EventTypeView;
    type Access = OnTenant;
    const NAME: &'static str = "event_type.register";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::EventTypesWrite)
    }
}

/// Serves [`RegisterEventType`].
pub struct RegisterEventTypeHandler<S> {
    store: S,
    schemas: Arc<dyn Schemas>,
    clock: Arc<dyn Clock>,
}

impl<S: Clone> RegisterEventTypeHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            schemas: ports.schemas.clone(),
            clock: ports.clock.clone(),
        }
    }
}

impl<S: Store> Handles<RegisterEventType> for RegisterEventTypeHandler<S>
where
    S::Tx: Repository<EventType> + SchemaRepository,
{
    async fn handle(&self, scope: TenantScope, request: RegisterEventType) -> Result<EventTypeView, Error> {
        let now = self.clock.now();
        let mut event_type = EventType::register(scope.tenant(), request.name, request.description, now);
        let mut latest = None;
        if let Some(NewSchema { schema, example }) = request.schema {
            checked(
                self.schemas
                    .check(scope.tenant(), &schema, example.as_ref())
                    .await,
            )?;
            latest = Some(SchemaVersion {
                number: event_type.add_schema(),
                schema,
                example,
                created_at: now,
            });
        }
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut event_type).await?;
        if let Some(version) = &latest {
            tx.add_schema(&scope, &event_type.state().name, version).await?;
        }
        let registered = EventTypeView {
            schemas: latest
                .iter()
                .map(|version| (version.number, version.created_at))
                .collect(),
            event_type: Versioned {
                version: event_type.version().next(),
                value: event_type.state().clone(),
            },
            latest,
        };
        let record = scope.did(&event_type.state().name);
        tx.commit(record.answering(&scope, &registered)).await?;
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
            schema: None,
        };
        let registered = world.send(&owner, request()).await.unwrap();
        assert_eq!(world.refusal(&owner, request()).await, ErrorCode::EventTypeExists);
        let read = world
            .send(&owner, GetEventType { name: name.clone() })
            .await
            .unwrap();
        assert_eq!(read, registered);
        assert_eq!((read.latest, read.schemas), (None, Vec::new()));
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&other, GetEventType { name }).await,
            ErrorCode::NotFound
        );
    }

    #[tokio::test]
    async fn a_schema_may_come_along_if_it_can_be_applied() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let name = EventTypeName::parse("invoice.paid").unwrap();
        let request = |word: &str, example: &str| RegisterEventType {
            name: name.clone(),
            description: Description::default(),
            schema: Some(NewSchema {
                schema: SchemaText::new(word).unwrap(),
                example: Some(Example::new(example).unwrap()),
            }),
        };
        for (word, example, code) in [
            ("", "paid", ErrorCode::ValidationFailed),
            ("paid", "sent", ErrorCode::ValidationFailed),
            ("busy", "busy", ErrorCode::Unavailable),
        ] {
            assert_eq!(world.refusal(&owner, request(word, example)).await, code);
        }
        let registered = world.send(&owner, request("paid", "is paid")).await.unwrap();
        assert_eq!(registered.latest.as_ref().unwrap().number, 1);
        let read = world.send(&owner, GetEventType { name }).await.unwrap();
        assert_eq!(read, registered);
    }
}
