use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, ApplicationId, Metadata, Name, Uid,
    access::Permission,
    applications::{Application, ApplicationState},
};

use crate::{
    Error, Result,
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
    type Output = ApplicationState;
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
    ) -> Result<ApplicationState, Error> {
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
        tx.commit().await?;
        Ok(application.state().clone())
    }
}
