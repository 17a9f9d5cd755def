use postrider_domain::tenants::TenantState;

use crate::{
    Error, Result,
    access::{AsPrincipal, Principal, PrincipalScope},
    mediator::{Handles, Request},
    ports::TenantViews,
};

/// Reads who the caller is, in which tenant, and what they may do.
#[derive(Debug)]
pub struct GetMe;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The caller.
    pub principal: Principal,
    /// The tenant that they act in.
    pub tenant: TenantState,
}

impl Request for GetMe {
    type Output = Me;
    type Access = AsPrincipal;
    const NAME: &'static str = "me.get";

    fn access(&self) -> AsPrincipal {
        AsPrincipal
    }
}

/// Serves [`GetMe`].
pub struct GetMeHandler<S> {
    views: S,
}

impl<S> GetMeHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: TenantViews> Handles<GetMe> for GetMeHandler<S> {
    async fn handle(&self, scope: PrincipalScope, _: GetMe) -> Result<Me, Error> {
        let tenant = self
            .views
            .tenant(scope.tenant_scope())
            .await?
            .ok_or_else(|| Error::not_found("tenant"))?;
        Ok(Me {
            principal: scope.principal().clone(),
            tenant: tenant.value,
        })
    }
}
