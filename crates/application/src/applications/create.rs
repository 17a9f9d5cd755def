use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, Metadata, Name, Uid,
    access::Permission,
    applications::{Application, ApplicationState},
};

use crate::{
    Error, Result, Versioned,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Clock, Ids, Repository, Store, UnitOfWork as _},
};

/// Creates an application.
#[derive(Debug)]
pub struct CreateApplication {
    /// The tenant's own name for it.
    pub uid: Option<Uid>,
    /// Display name.
    pub name: Name,
    /// The tenant's notes.
    pub metadata: Metadata,
}

impl Request for CreateApplication {
    type Output = Versioned<ApplicationState>;
    type Access = OnTenant;
    const NAME: &'static str = "application.create";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::ApplicationsWrite)
    }
}

/// Serves [`CreateApplication`].
pub struct CreateApplicationHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<S> CreateApplicationHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids }
    }
}

impl<S: Store> Handles<CreateApplication> for CreateApplicationHandler<S>
where
    S::Tx: Repository<Application>,
{
    async fn handle(
        &self,
        scope: TenantScope,
        request: CreateApplication,
    ) -> Result<Versioned<ApplicationState>, Error> {
        scope.may_rename(None, request.uid.as_ref())?;
        let id = ApplicationId::from_uuid(self.ids.next());
        let mut application = Application::create(
            id,
            scope.tenant(),
            request.uid,
            request.name,
            request.metadata,
            self.clock.now(),
        );
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut application).await?;
        let created = Versioned {
            value: application.state().clone(),
            version: application.version().next(),
        };
        tx.commit(scope.did(id).answering(&scope, &created)).await?;
        Ok(created)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ErrorCode,
        applications::{CreateApplication, GetApplication},
        testing::World,
    };
    use postrider_domain::{
        Metadata, Name, Uid, Version,
        access::{Grant, Role},
        applications::ApplicationRef,
    };

    #[tokio::test]
    async fn is_found_by_id_and_by_uid() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let created = world.application(&owner, Some("customer-1")).await;
        for application in [
            ApplicationRef::Id(created.id),
            ApplicationRef::Uid(Uid::parse("customer-1").unwrap()),
        ] {
            let found = world.send(&owner, GetApplication { application }).await.unwrap();
            assert_eq!((found.value, found.version), (created.clone(), Version(1)));
        }
    }

    #[tokio::test]
    async fn a_uid_is_taken_once_per_tenant() {
        let world = World::new();
        let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let bob = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        let request = || CreateApplication {
            uid: Some(Uid::parse("customer-1").unwrap()),
            name: Name::parse("Customer").unwrap(),
            metadata: Metadata::default(),
        };
        world.send(&ada, request()).await.unwrap();
        assert_eq!(world.refusal(&ada, request()).await, ErrorCode::UidTaken);
        assert!(world.send(&bob, request()).await.is_ok());
    }

    #[tokio::test]
    async fn another_tenants_application_does_not_exist() {
        let world = World::new();
        let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let bob = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&ada, None).await.id.into();
        assert_eq!(
            world.refusal(&bob, GetApplication { application }).await,
            ErrorCode::NotFound
        );
    }
}
