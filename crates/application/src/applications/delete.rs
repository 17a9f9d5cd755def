use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId,
    access::Permission,
    applications::{Application, ApplicationRef},
};

use crate::{
    Error, IfMatch, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{ApplicationRepository, Clock, Repository, Store, UnitOfWork as _},
};

/// Deletes an application with its endpoints and portal tokens. What waits for it goes to nobody any more when its
/// turn comes; what was delivered stays in history as long as history does.
#[derive(Debug)]
pub struct DeleteApplication {
    /// Which.
    pub application: ApplicationRef,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

impl Request for DeleteApplication {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "application.delete";
    const BARRIER: bool = true;

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::ApplicationsWrite)
    }
}

/// Serves [`DeleteApplication`].
pub struct DeleteApplicationHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> DeleteApplicationHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<DeleteApplication> for DeleteApplicationHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId> + ApplicationRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: DeleteApplication) -> Result<(), Error> {
        let (tenant, id) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        let found = tx.find(tenant, &id).await?;
        let mut application = found.ok_or_else(|| Error::not_found("application"))?;
        tenant.may_rename(application.state().uid.as_ref(), None)?;
        request.if_match.check(Some(application.version()))?;
        // Raised first: nobody adds an endpoint meanwhile. It is also what makes engines look again, and see that
        // there are none any more.
        tx.endpoints_changed(tenant, id).await?;
        tx.delete_endpoints(tenant, id).await?;
        application.delete(self.clock.now());
        tx.save(tenant, &mut application).await?;
        tx.commit(scope.did(id)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        applications::{GetApplication, ListApplications, MintPortalToken},
        endpoints::GetEndpoint,
        ports::{DeliveryMaterial as _, PageRequest},
        testing::{World, create_endpoint, publish},
    };
    use postrider_domain::access::{Grant, Role};
    use std::time::Duration;

    fn delete(application: ApplicationId) -> DeleteApplication {
        DeleteApplication {
            application: application.into(),
            if_match: IfMatch::Unsaid,
        }
    }

    #[tokio::test]
    async fn its_endpoints_tokens_and_uid_go_with_it() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, Some("a")).await;
        let id = application.id;
        let endpoint = create_endpoint(id, "https://a.example/");
        let endpoint = world.send(&owner, endpoint).await.unwrap().endpoint.id;
        let mint = MintPortalToken {
            application: id.into(),
            permissions: vec![Permission::EndpointsRead],
            lifetime: Duration::from_mins(10),
        };
        let token = world.send(&owner, mint).await.unwrap().token;
        assert!(world.is_known(&token).await);
        let published = world.send(&owner, publish(id, "{}", None)).await.unwrap().id;

        world.send(&owner, delete(id)).await.unwrap();
        assert!(!world.is_known(&token).await);
        let get = GetApplication {
            application: id.into(),
        };
        assert_eq!(world.refusal(&owner, get).await, ErrorCode::NotFound);
        assert_eq!(world.refusal(&owner, delete(id)).await, ErrorCode::NotFound);
        let get = GetEndpoint {
            application: id.into(),
            endpoint: endpoint.into(),
        };
        assert_eq!(world.refusal(&owner, get).await, ErrorCode::NotFound);
        let page = PageRequest::first(10);
        let listed = world.send(&owner, ListApplications { page }).await.unwrap();
        assert!(listed.items.is_empty());
        let again = world.application(&owner, Some("a")).await;
        assert_ne!(again.id, id, "the uid is free");

        // What waits is known to be wanted by nobody, rather than not to be found.
        let [work] = world.due().await.try_into().unwrap();
        assert_eq!((work.message, work.application), (published, id));
        let sets = world.store.endpoints(&[(application.tenant, id)]).await.unwrap();
        assert!(sets[&id].endpoints.is_empty());
        assert_eq!(sets[&id].version, work.endpoints_version);
        let kinds = world.kinds().await;
        assert!(kinds.contains(&"application.deleted".to_owned()));
    }

    #[tokio::test]
    async fn it_takes_the_permission_to_write() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let id = world.application(&owner, None).await.id;
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(world.refusal(&viewer, delete(id)).await, ErrorCode::Forbidden);
        let stranger = world.caller("bob@beta.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(world.refusal(&stranger, delete(id)).await, ErrorCode::NotFound);
    }
}
