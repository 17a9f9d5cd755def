use postrider_domain::{access::Permission, tenants::TenantState};

use crate::{
    Error, Result, Versioned,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::TenantViews,
};

/// Reads the caller's tenant.
#[derive(Debug)]
pub struct GetTenant;

impl Request for GetTenant {
    type Output = Versioned<TenantState>;
    type Access = OnTenant;
    const NAME: &'static str = "tenant.get";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::TenantRead)
    }
}

/// Serves [`GetTenant`].
pub struct GetTenantHandler<S> {
    views: S,
}

impl<S> GetTenantHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: TenantViews> Handles<GetTenant> for GetTenantHandler<S> {
    async fn handle(&self, scope: TenantScope, _: GetTenant) -> Result<Versioned<TenantState>, Error> {
        self.views
            .tenant(&scope)
            .await?
            .ok_or_else(|| Error::not_found("tenant"))
    }
}
