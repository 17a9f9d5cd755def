use postrider_domain::{MembershipId, access::Permission};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{MemberView, Page, PageRequest, PrincipalViews},
};

/// Lists the tenant's members, by id.
#[derive(Debug)]
pub struct ListMembers {
    /// Which piece of the list.
    pub page: PageRequest<MembershipId>,
}

impl Request for ListMembers {
    type Output = Page<MemberView, MembershipId>;
    type Access = OnTenant;
    const NAME: &'static str = "member.list";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersRead)
    }
}

/// Serves [`ListMembers`].
pub struct ListMembersHandler<S> {
    views: S,
}

impl<S> ListMembersHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: PrincipalViews> Handles<ListMembers> for ListMembersHandler<S> {
    async fn handle(
        &self,
        scope: TenantScope,
        request: ListMembers,
    ) -> Result<Page<MemberView, MembershipId>, Error> {
        Ok(self.views.members(&scope, request.page).await?)
    }
}
