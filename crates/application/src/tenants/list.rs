use postrider_domain::{TenantId, tenants::TenantState};

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{Page, PageRequest, TenantViews},
};

/// Lists all tenants, by id. The operator sees that they are there, never what they send.
#[derive(Debug)]
pub struct ListTenants {
    /// Which piece of the list.
    pub page: PageRequest<TenantId>,
}

impl Request for ListTenants {
    type Output = Page<TenantState, TenantId>;
    type Access = AsOperator;
    const NAME: &'static str = "tenant.list";

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

impl<S: TenantViews> Handles<ListTenants> for ListTenantsHandler<S> {
    async fn handle(
        &self,
        scope: OperatorScope,
        request: ListTenants,
    ) -> Result<Page<TenantState, TenantId>, Error> {
        Ok(self.views.tenants(&scope, request.page).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        testing::{World, operator},
    };
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn all_are_listed_for_the_operator_alone() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let other = world.tenant("bob@beta.example").await.tenant;
        let list = || ListTenants {
            page: PageRequest::first(10),
        };
        let listed = world.send(&operator(), list()).await.unwrap().items;
        assert_eq!((listed.len(), listed[1].id), (2, other));
        assert_eq!(world.refusal(&owner, list()).await, ErrorCode::Forbidden);
    }
}
