use postrider_domain::{InvitationId, access::Permission, users::Invitation};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{Repository, Store, UnitOfWork as _},
};

/// Withdraws an invitation: its token is good no more.
#[derive(Debug)]
pub struct WithdrawInvitation {
    /// Which.
    pub invitation: InvitationId,
}

impl Request for WithdrawInvitation {
    type Output = ();
    type Access = OnTenant;
    const NAME: &'static str = "invitation.withdraw";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersManage)
    }
}

/// Serves [`WithdrawInvitation`].
pub struct WithdrawInvitationHandler<S> {
    store: S,
}

impl<S> WithdrawInvitationHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<WithdrawInvitation> for WithdrawInvitationHandler<S>
where
    S::Tx: Repository<Invitation, Key = InvitationId>,
{
    async fn handle(&self, scope: TenantScope, request: WithdrawInvitation) -> Result<(), Error> {
        let mut tx = self.store.begin(&scope).await?;
        let mut invitation = tx
            .find(&scope, &request.invitation)
            .await?
            .ok_or_else(|| Error::not_found("invitation"))?;
        invitation.withdraw();
        tx.delete(&scope, invitation).await?;
        tx.commit(scope.did(request.invitation)).await?;
        Ok(())
    }
}
