use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Description,
    access::Permission,
    event_types::{EventType, EventTypeName},
};

use super::NewSchema;
use crate::{
    Error, ErrorCode, Ports, Result, Settings, Versioned,
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
    max_event_types: u32,
}

impl<S: Clone> RegisterEventTypeHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            schemas: ports.schemas.clone(),
            clock: ports.clock.clone(),
            max_event_types: settings.max_event_types_per_tenant,
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
        if let Some(schema) = request.schema {
            schema.check(&*self.schemas, scope.tenant()).await?;
            latest = Some(schema.numbered(event_type.add_schema(), now));
        }
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut event_type).await?;
        // After it is saved: who registers one again is told that it exists. Who registers several at the same time
        // may pass the limit by as many; it bounds, and is no quota.
        if tx.count_event_types(&scope).await? > self.max_event_types {
            let detail = format!("a tenant may have {} event types", self.max_event_types);
            return Err(Error::new(ErrorCode::EventTypeLimitReached, detail));
        }
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
    use crate::{event_types::GetEventType, testing::World};
    use postrider_domain::{
        access::{Grant, Role},
        event_types::{Example, SchemaText},
    };

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
    async fn a_tenant_has_so_many_and_no_more() {
        let settings = Settings {
            max_event_types_per_tenant: 2,
            ..Settings::default()
        };
        let world = World::new().with_settings_of_installation(&settings);
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let request = |name: &str| RegisterEventType {
            name: EventTypeName::parse(name).unwrap(),
            description: Description::default(),
            schema: None,
        };
        for name in ["a", "b"] {
            world.send(&owner, request(name)).await.unwrap();
        }
        let refused = world.refusal(&owner, request("c")).await;
        assert_eq!(refused, ErrorCode::EventTypeLimitReached);
        assert_eq!(
            world.refusal(&owner, request("a")).await,
            ErrorCode::EventTypeExists
        );
        let name = EventTypeName::parse("c").unwrap();
        let read = world.refusal(&owner, GetEventType { name }).await;
        assert_eq!(read, ErrorCode::NotFound, "nothing was registered");
        let other = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        world.send(&other, request("c")).await.unwrap();
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
