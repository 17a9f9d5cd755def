use std::sync::Arc;

use postrider_domain::{
    ApplicationId,
    access::Permission,
    applications::{Application, ApplicationRef},
};

use crate::{
    Error, Result,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request},
    ports::{Clock, Repository, Store, UnitOfWork as _},
};

/// Ends all portal tokens of an application.
#[derive(Debug)]
pub struct RevokePortalTokens {
    /// The application.
    pub application: ApplicationRef,
}

impl Request for RevokePortalTokens {
    type Output = ();
    type Access = OnApplication;
    const NAME: &'static str = "portal_token.revoke_all";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::PortalTokensIssue)
    }
}

/// Serves [`RevokePortalTokens`].
pub struct RevokePortalTokensHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> RevokePortalTokensHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<RevokePortalTokens> for RevokePortalTokensHandler<S>
where
    S::Tx: Repository<Application, Key = ApplicationId>,
{
    async fn handle(&self, scope: ApplicationScope, _: RevokePortalTokens) -> Result<(), Error> {
        let tenant = scope.tenant_scope();
        let mut tx = self.store.begin(tenant).await?;
        let mut application = tx
            .find(tenant, &scope.application())
            .await?
            .ok_or_else(|| Error::not_found("application"))?;
        application.revoke_portal_tokens(self.clock.now());
        tx.save(tenant, &mut application).await?;
        tx.commit(scope.did(scope.application())).await?;
        Ok(())
    }
}
