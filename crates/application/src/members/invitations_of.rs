use postrider_domain::{InvitationId, users::Invitation};

use crate::{
    Result,
    access::TenantScope,
    ports::{MemberRepository, Repository},
};

/// Withdraws what somebody invited who may not any more, or who holds less than they gave: nobody comes back by their
/// own invitation.
pub(crate) async fn withdraw_invitations_of<T>(tx: &mut T, scope: &TenantScope, inviter: &str) -> Result<()>
where
    T: MemberRepository + Repository<Invitation, Key = InvitationId>,
{
    for mut invitation in tx.invitations_by(scope, inviter).await? {
        invitation.withdraw();
        tx.delete(scope, invitation).await?;
    }
    Ok(())
}
