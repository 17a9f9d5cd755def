use postrider_domain::{TenantId, tenants::TenantState};

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{ErasureView, TenantViews},
};

/// Shows one tenant to the operator, or that it was erased.
#[derive(Debug)]
pub struct ShowTenant {
    /// Which.
    pub tenant: TenantId,
}

/// A tenant that is, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundTenant {
    /// It is there.
    Present(TenantState),
    /// It was erased.
    Erased(ErasureView),
}

impl Request for ShowTenant {
    type Output = FoundTenant;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.show";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`ShowTenant`].
pub struct ShowTenantHandler<S> {
    views: S,
}

impl<S> ShowTenantHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: TenantViews> Handles<ShowTenant> for ShowTenantHandler<S> {
    async fn handle(&self, scope: OperatorScope, request: ShowTenant) -> Result<FoundTenant, Error> {
        if let Some(tenant) = self.views.tenant_for_operator(&scope, request.tenant).await? {
            return Ok(FoundTenant::Present(tenant));
        }
        self.views
            .erasure(&scope, request.tenant)
            .await?
            .map(FoundTenant::Erased)
            .ok_or_else(|| Error::not_found("tenant"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ErrorCode,
        ports::{ErasureStep, Housekeeping as _},
        tenants::DeleteTenant,
        testing::{World, operator},
    };
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn one_is_shown_while_it_is_there_and_that_it_was_erased_afterwards() {
        let world = World::new();
        let tenant = world.tenant("ada@acme.example").await.tenant;
        let shown = world.send(&operator(), ShowTenant { tenant }).await.unwrap();
        let FoundTenant::Present(state) = shown else {
            panic!("it is there")
        };
        assert_eq!(state.id, tenant);

        world.send(&operator(), DeleteTenant { tenant }).await.unwrap();
        loop {
            match world.store.erase(100, Duration::ZERO).await.unwrap() {
                ErasureStep::Removed { .. } => {}
                ErasureStep::Erased { tenant: erased, .. } => break assert_eq!(erased, tenant),
                other => panic!("{other:?}"),
            }
        }
        let shown = world.send(&operator(), ShowTenant { tenant }).await.unwrap();
        let FoundTenant::Erased(erasure) = shown else {
            panic!("it is gone")
        };
        assert_eq!(erasure.tenant, tenant);
    }

    #[tokio::test]
    async fn one_that_never_was_is_not_found_and_nobody_else_looks() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(1));
        assert_eq!(
            world.refusal(&operator(), ShowTenant { tenant }).await,
            ErrorCode::NotFound
        );
        assert_eq!(
            world.refusal(&owner, ShowTenant { tenant }).await,
            ErrorCode::Forbidden
        );
    }
}
