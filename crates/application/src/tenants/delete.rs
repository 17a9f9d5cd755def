use std::sync::Arc;

use postrider_domain::{Change, TenantId, tenants::Tenant};

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{Clock, Repository, Store, UnitOfWork as _},
};

/// Orders that a tenant be erased. It does nothing from now on; its rows go in batches, and there is no way back.
#[derive(Debug)]
pub struct DeleteTenant {
    /// Which.
    pub tenant: TenantId,
}

impl Request for DeleteTenant {
    type Output = ();
    type Access = AsOperator;
    const NAME: &'static str = "tenant.delete";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`DeleteTenant`].
pub struct DeleteTenantHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> DeleteTenantHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<DeleteTenant> for DeleteTenantHandler<S>
where
    S::Tx: Repository<Tenant, Key = TenantId>,
{
    async fn handle(&self, operator: OperatorScope, request: DeleteTenant) -> Result<(), Error> {
        let scope = operator.in_tenant(request.tenant);
        let mut tx = self.store.begin_as_operator(&operator).await?;
        let mut tenant = tx
            .find(&scope, &request.tenant)
            .await?
            .ok_or_else(|| Error::not_found("tenant"))?;
        if tenant.order_deletion(self.clock.now()) == Change::Made {
            tx.save(&scope, &mut tenant).await?;
            // In the installation's own log: the tenant's goes with the tenant.
            tx.commit(operator.did(request.tenant)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        tenants::SuspendTenant,
        testing::{World, log_in, log_in_with, operator},
    };

    #[tokio::test]
    async fn a_deleted_tenant_lets_nobody_in_and_does_not_come_back() {
        let world = World::new();
        let tenant = world.tenant("ada@acme.example").await.tenant;
        let tokens = log_in(&world, "ada@acme.example").await;
        for _ in 0..2 {
            world.send(&operator(), DeleteTenant { tenant }).await.unwrap();
        }
        assert!(!world.is_known(&tokens.access_token).await);
        assert_eq!(
            log_in_with(&world, "ada@acme.example", "correct horse battery")
                .await
                .unwrap_err()
                .code(),
            ErrorCode::Forbidden
        );
        assert_eq!(
            world.refusal(&operator(), SuspendTenant { tenant }).await,
            ErrorCode::TenantDeleting
        );
    }
}
