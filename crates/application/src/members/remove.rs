use postrider_domain::{
    Aggregate as _, InvitationId, MembershipId,
    access::Permission,
    users::{Invitation, Membership, SessionEnd},
};

use super::{change_grants::above_you, confers_all, withdraw_invitations_of};
use crate::{
    Error, ErrorCode, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{MemberRepository, Repository, Store, UnitOfWork as _},
};

/// Removes a member from the tenant and ends their sessions there. The person stays, with their other memberships.
#[derive(Debug)]
pub struct RemoveMember {
    /// Who.
    pub member: MembershipId,
}

impl Request for RemoveMember {
    type Output = ();
    type Access = OnTenant;
    const NAME: &'static str = "member.remove";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersManage)
    }
}

/// Serves [`RemoveMember`].
pub struct RemoveMemberHandler<S> {
    store: S,
}

impl<S> RemoveMemberHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<RemoveMember> for RemoveMemberHandler<S>
where
    S::Tx: Repository<Membership, Key = MembershipId>
        + Repository<Invitation, Key = InvitationId>
        + MemberRepository,
{
    async fn handle(&self, scope: TenantScope, request: RemoveMember) -> Result<(), Error> {
        let mut tx = self.store.begin(&scope).await?;
        // Counted first: from then on nobody else changes who owns the tenant.
        let owners = tx.count_owners(&scope).await?;
        let mut member = Repository::<Membership>::find(&mut tx, &scope, &request.member)
            .await?
            .ok_or_else(|| Error::not_found("member"))?;
        if !confers_all(scope.authority(), &member.state().grants) {
            return Err(above_you());
        }
        member
            .remove(owners)
            .map_err(|last| Error::new(ErrorCode::LastOwner, last.to_string()))?;
        tx.end_sessions_of(&scope, &member, SessionEnd::MemberRemoved)
            .await?;
        withdraw_invitations_of(&mut tx, &scope, &member.state().user.to_string()).await?;
        tx.delete(&scope, member).await?;
        tx.commit(scope.did(request.member)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, log_in_with};
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn ends_membership_and_sessions() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let bob = world.join(&owner, "bob@acme.example", Role::Viewer).await;
        let tokens = log_in_with(&world, "bob@acme.example", "bobs own password")
            .await
            .unwrap();
        world.send(&owner, RemoveMember { member: bob }).await.unwrap();
        assert!(!world.is_known(&tokens.access_token).await);
        assert_eq!(
            log_in_with(&world, "bob@acme.example", "bobs own password")
                .await
                .unwrap_err()
                .code(),
            ErrorCode::Forbidden
        );
        assert_eq!(
            world.refusal(&owner, RemoveMember { member: bob }).await,
            ErrorCode::NotFound
        );
    }

    #[tokio::test]
    async fn the_last_owner_and_those_above_stay() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let ada = world.member(&owner, "ada@acme.example").await;
        assert_eq!(
            world.refusal(&owner, RemoveMember { member: ada }).await,
            ErrorCode::LastOwner
        );
        let admin = World::same_tenant(&owner, Grant::tenant(Role::Admin));
        assert_eq!(
            world.refusal(&admin, RemoveMember { member: ada }).await,
            ErrorCode::Forbidden
        );
    }
}
