//! What the operator sees of tenants: that they are there, never what they send.

use postrider_domain::{TenantId, tenants::TenantState};

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{ErasureView, Page, PageRequest, TenantViews},
};

/// Lists all tenants, by id.
#[derive(Debug)]
pub struct ListTenants {
    /// Which piece of the list.
    pub page: PageRequest<TenantId>,
}

/// Shows one tenant, or that it was erased.
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

impl Request for ListTenants {
    type Output = Page<TenantState, TenantId>;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.list";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

impl Request for ShowTenant {
    type Output = FoundTenant;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.show";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`ListTenants`].
pub struct ListTenantsHandler<S> {
    views: S,
}

impl<S> ListTenantsHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
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

impl<S: TenantViews> Handles<ListTenants> for ListTenantsHandler<S> {
    async fn handle(
        &self,
        scope: OperatorScope,
        request: ListTenants,
    ) -> Result<Page<TenantState, TenantId>, Error> {
        Ok(self.views.tenants(&scope, request.page).await?)
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
