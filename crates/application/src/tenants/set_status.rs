//! Suspending and resuming: one transition in two directions, so one file.

use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, Change, TenantId,
    tenants::{BeingDeleted, Tenant, TenantState},
};

use crate::{
    Error, ErrorCode, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{Clock, Repository, Store, UnitOfWork as _},
};

/// Suspends a tenant: it reads, and neither changes nor publishes anything. What was published is still delivered.
#[derive(Debug)]
pub struct SuspendTenant {
    /// Which.
    pub tenant: TenantId,
}

/// Lets a suspended tenant go on.
#[derive(Debug)]
pub struct ResumeTenant {
    /// Which.
    pub tenant: TenantId,
}

impl Request for SuspendTenant {
    type Output = TenantState;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.suspend";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

impl Request for ResumeTenant {
    type Output = TenantState;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.resume";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`SuspendTenant`].
pub struct SuspendTenantHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> SuspendTenantHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

/// Serves [`ResumeTenant`].
pub struct ResumeTenantHandler<S> {
    store: S,
    clock: Arc<dyn Clock>,
}

impl<S> ResumeTenantHandler<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

impl<S: Store> Handles<SuspendTenant> for SuspendTenantHandler<S>
where
    S::Tx: Repository<Tenant, Key = TenantId>,
{
    async fn handle(&self, scope: OperatorScope, request: SuspendTenant) -> Result<TenantState, Error> {
        let now = self.clock.now();
        change(&self.store, &scope, request.tenant, |tenant| tenant.suspend(now)).await
    }
}

impl<S: Store> Handles<ResumeTenant> for ResumeTenantHandler<S>
where
    S::Tx: Repository<Tenant, Key = TenantId>,
{
    async fn handle(&self, scope: OperatorScope, request: ResumeTenant) -> Result<TenantState, Error> {
        let now = self.clock.now();
        change(&self.store, &scope, request.tenant, |tenant| tenant.resume(now)).await
    }
}

async fn change<S: Store>(
    store: &S,
    operator: &OperatorScope,
    id: TenantId,
    transition: impl FnOnce(&mut Tenant) -> Result<Change, BeingDeleted> + Send,
) -> Result<TenantState>
where
    S::Tx: Repository<Tenant, Key = TenantId>,
{
    let scope = operator.in_tenant(id);
    let mut tx = store.begin_as_operator(operator).await?;
    let mut tenant = tx
        .find(&scope, &id)
        .await?
        .ok_or_else(|| Error::not_found("tenant"))?;
    let changed =
        transition(&mut tenant).map_err(|why| Error::new(ErrorCode::TenantDeleting, why.to_string()))?;
    let state = tenant.state().clone();
    if changed == Change::Made {
        tx.save(&scope, &mut tenant).await?;
        // In the tenant's own log: its people see who suspended it, and when.
        tx.commit(scope.did(id).answering(operator, &state)).await?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, log_in, operator, publish};

    #[tokio::test]
    async fn a_suspended_tenant_reads_and_does_not_publish_until_it_is_resumed() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let tokens = log_in(&world, "ada@acme.example").await;
        let ada = world.known(&tokens.access_token).await;
        let application = world.application(&ada, None).await.id;
        let tenant = created.tenant;
        let suspended = world.send(&operator(), SuspendTenant { tenant }).await.unwrap();
        assert_eq!(suspended.status.as_str(), "suspended");
        let ada = world.known(&tokens.access_token).await;
        assert_eq!(
            world.refusal(&ada, publish(application, "{}", None)).await,
            ErrorCode::TenantSuspended
        );
        assert!(world.send(&ada, crate::tenants::GetTenant).await.is_ok());
        world.send(&operator(), ResumeTenant { tenant }).await.unwrap();
        let ada = world.known(&tokens.access_token).await;
        assert!(world.send(&ada, publish(application, "{}", None)).await.is_ok());
    }
}
