use postrider_domain::{
    Aggregate as _, ApplicationId,
    access::Permission,
    applications::ApplicationRef,
    endpoints::{Endpoint, EndpointRef},
};

use crate::{
    Error, IfMatch, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{ApplicationRepository, Repository, Store, UnitOfWork as _},
};

/// Deletes an endpoint. What waits for it is cancelled when its turn comes; its history stays.
#[derive(Debug)]
pub struct DeleteEndpoint {
    /// Its application.
    pub application: ApplicationRef,
    /// Which.
    pub endpoint: EndpointRef,
    /// What the caller presumes of it.
    pub if_match: IfMatch,
}

impl Request for DeleteEndpoint {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "endpoint.delete";
    const BARRIER: bool = true;

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::EndpointsWrite)
    }
}

/// Serves [`DeleteEndpoint`].
pub struct DeleteEndpointHandler<S> {
    store: S,
}

impl<S> DeleteEndpointHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<DeleteEndpoint> for DeleteEndpointHandler<S>
where
    S::Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository,
{
    async fn handle(&self, scope: ApplicationScope, request: DeleteEndpoint) -> Result<(), Error> {
        let (tenant, application) = (scope.tenant_scope(), scope.application());
        let mut tx = self.store.begin(tenant).await?;
        tx.endpoints_changed(tenant, application).await?;
        let found = tx.find(tenant, &(application, request.endpoint)).await?;
        let mut endpoint = found.ok_or_else(|| Error::not_found("endpoint"))?;
        request.if_match.check(Some(endpoint.version()))?;
        let id = endpoint.state().id;
        endpoint.delete();
        tx.delete(tenant, endpoint).await?;
        tx.commit(scope.did(id)).await?;
        Ok(())
    }
}
