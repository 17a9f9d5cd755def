use postrider_domain::{InvitationId, access::Permission};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{InvitationView, Page, PageRequest, PrincipalViews},
};

/// Lists the pending invitations, expired ones too, by id.
#[derive(Debug)]
pub struct ListInvitations {
    /// Which piece of the list.
    pub page: PageRequest<InvitationId>,
}

impl Request for ListInvitations {
    type Output = Page<InvitationView, InvitationId>;
    type Access = OnTenant;
    const NAME: &'static str = "invitation.list";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersRead)
    }
}

/// Serves [`ListInvitations`].
pub struct ListInvitationsHandler<S> {
    views: S,
}

impl<S> ListInvitationsHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: PrincipalViews> Handles<ListInvitations> for ListInvitationsHandler<S> {
    async fn handle(
        &self,
        scope: TenantScope,
        request: ListInvitations,
    ) -> Result<Page<InvitationView, InvitationId>, Error> {
        Ok(self.views.invitations(&scope, request.page).await?)
    }
}
