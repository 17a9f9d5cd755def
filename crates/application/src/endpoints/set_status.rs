//! Enabling and disabling: one transition in two directions, so one file.

use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, Change,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{DisableReason, Endpoint, EndpointRef},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    change::version_after,
    mediator::{Handles, Request},
    ports::{ApplicationRepository, Clock, EndpointView, Repository, Store, UnitOfWork as _},
};

/// Sends an endpoint nothing from now on. What waits for it is cancelled when its turn comes. When this is answered, no
/// node begins an attempt any more; those that are under way end by themselves.
#[derive(Debug)]
pub struct DisableEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
}

/// Sends to an endpoint again.
#[derive(Debug)]
pub struct EnableEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
}

impl Request for DisableEndpoint {
    type Output = EndpointView;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.disable";
    const BARRIER: bool = true;

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

impl Request for EnableEndpoint {
    type Output = EndpointView;
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.enable";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`DisableEndpoint`].
pub struct DisableEndpointHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> DisableEndpointHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

/// Serves [`EnableEndpoint`].
pub struct EnableEndpointHandler<S> {
    store: S,
}

impl<S> EnableEndpointHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<DisableEndpoint> for DisableEndpointHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: DisableEndpoint) -> Result<EndpointView, Error> {
        let now = self.clock.now();
        change(&self.store, &scope, request.endpoint, |endpoint| {
            endpoint.disable(DisableReason::Manual, now)
        })
        .await
    }
}

impl<S: Store> Handles<EnableEndpoint> for EnableEndpointHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: EnableEndpoint) -> Result<EndpointView, Error> {
        change(&self.store, &scope, request.endpoint, Endpoint::enable).await
    }
}

async fn change<S: Store>(
    store: &S,
    scope: &ApplicationScope,
    reference: EndpointRef,
    transition: impl FnOnce(&mut Endpoint) -> Change + Send,
) -> Result<EndpointView>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    let mut tx = store.begin(scope.tenant_scope()).await?;
    // The application first and then the endpoint, as everybody does who changes both: nobody waits in a circle.
    tx.endpoints_changed(scope.tenant_scope(), scope.application())
        .await?;
    let key = (scope.application(), reference);
    let mut endpoint = tx
        .find(scope.tenant_scope(), &key)
        .await?
        .ok_or_else(|| Error::not_found("endpoint"))?;
    let change = transition(&mut endpoint);
    let view = EndpointView::of(endpoint.state(), version_after(endpoint.version(), change));
    if change == Change::Made {
        tx.save(scope.tenant_scope(), &mut endpoint).await?;
        tx.commit(scope.did(view.id).answering(scope, &view)).await?;
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::EventLog as _,
        testing::{World, create_endpoint},
    };
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn disabling_twice_is_one_event() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let created = world
            .send(&owner, create_endpoint(application, "https://a.example/"))
            .await
            .unwrap();
        let (application, endpoint): (ApplicationRef, EndpointRef) =
            (application.into(), created.endpoint.id.into());
        let before = world.store.head().await.unwrap();
        for _ in 0..2 {
            let request = DisableEndpoint {
                application: application.clone(),
                endpoint: endpoint.clone(),
            };
            assert!(world.send(&owner, request).await.unwrap().status.is_disabled());
        }
        let request = EnableEndpoint {
            application,
            endpoint,
        };
        assert!(!world.send(&owner, request).await.unwrap().status.is_disabled());
        let kinds: Vec<_> = world
            .store
            .after(before, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|e| e.kind)
            .collect();
        assert_eq!(kinds, ["endpoint.disabled", "endpoint.enabled"]);
        assert_eq!(
            world.barrier.count(),
            2,
            "each time it is disabled, all nodes are waited for"
        );
    }
}
