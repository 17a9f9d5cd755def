use postrider_domain::{
    Aggregate as _, Change, InvitationId, MembershipId,
    access::{Permission, check_grants},
    users::{Invitation, Membership},
};

use super::{GrantRequest, GrantResolver, confers_all, only_lasting, withdraw_invitations_of};
use crate::{
    Error, ErrorCode, Ports, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{MemberRepository, MemberView, PrincipalViews, Repository, Store, UnitOfWork as _},
};

/// Gives a member other grants instead of the ones held. Nobody confers what they do not hold, or manages those
/// above them; the last owner stays one.
#[derive(Debug)]
pub struct ChangeGrants {
    /// Who.
    pub member: MembershipId,
    /// What they may do from now on.
    pub grants: Vec<GrantRequest>,
}

impl Request for ChangeGrants {
    type Output = MemberView;
    type Access = OnTenant;
    const NAME: &'static str = "member.change_grants";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersManage)
    }
}

/// Serves [`ChangeGrants`].
pub struct ChangeGrantsHandler<S> {
    store: S,
    grants: GrantResolver,
}

impl<S: Clone> ChangeGrantsHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            grants: GrantResolver::new(ports.directory.clone()),
        }
    }
}

impl<S: Store + PrincipalViews> Handles<ChangeGrants> for ChangeGrantsHandler<S>
where
    S::Tx: Repository<Membership, Key = MembershipId>
        + Repository<Invitation, Key = InvitationId>
        + MemberRepository,
{
    async fn handle(&self, scope: TenantScope, request: ChangeGrants) -> Result<MemberView, Error> {
        only_lasting(&scope)?;
        let grants = self.grants.resolve(&scope, request.grants).await?;
        check_grants(&grants).map_err(|invalid| Error::invalid_field("grants", invalid))?;
        let mut tx = self.store.begin(&scope).await?;
        // Counted first: from then on nobody else changes who owns the tenant.
        let owners = tx.count_owners(&scope).await?;
        let mut member = Repository::<Membership>::find(&mut tx, &scope, &request.member)
            .await?
            .ok_or_else(|| Error::not_found("member"))?;
        if !confers_all(scope.authority(), &member.state().grants) {
            return Err(above_you());
        }
        let changed = member
            .change_grants(grants, owners)
            .map_err(|last| Error::new(ErrorCode::LastOwner, last.to_string()))?;
        if changed == Change::Made {
            withdraw_invitations_of(&mut tx, &scope, &member.state().user.to_string()).await?;
            tx.save(&scope, &mut member).await?;
            tx.commit(scope.did(request.member)).await?;
        } else {
            drop(tx);
        }
        self.store
            .member(&scope, request.member)
            .await?
            .ok_or_else(|| Error::not_found("member"))
    }
}

/// The member holds more than the caller.
pub(super) fn above_you() -> Error {
    Error::new(
        ErrorCode::Forbidden,
        "the member holds more than you do: somebody who holds as much must do this",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Caller, testing::World};
    use postrider_domain::access::{Grant, Role};

    fn change(member: MembershipId, role: Role) -> ChangeGrants {
        ChangeGrants {
            member,
            grants: vec![GrantRequest {
                role,
                application: None,
            }],
        }
    }

    async fn world() -> (World, Caller, MembershipId, MembershipId) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let bob = world.join(&owner, "bob@acme.example", Role::Viewer).await;
        let ada = world.member(&owner, "ada@acme.example").await;
        (world, owner, ada, bob)
    }

    #[tokio::test]
    async fn a_changed_grant_holds_at_once_in_sessions_that_are_open() {
        let (world, owner, _, bob) = world().await;
        let tokens = crate::testing::log_in_with(&world, "bob@acme.example", "bobs own password")
            .await
            .unwrap();
        world.send(&owner, change(bob, Role::Admin)).await.unwrap();
        let Caller {
            identity: crate::access::Identity::Principal(principal),
            ..
        } = world.known(&tokens.access_token).await
        else {
            panic!("a principal")
        };
        assert_eq!(principal.authority.grants(), [Grant::tenant(Role::Admin)]);
    }

    #[tokio::test]
    async fn the_last_owner_stays_one() {
        let (world, owner, ada, bob) = world().await;
        assert_eq!(
            world.refusal(&owner, change(ada, Role::Admin)).await,
            ErrorCode::LastOwner
        );
        world.send(&owner, change(bob, Role::Owner)).await.unwrap();
        let changed = world.send(&owner, change(ada, Role::Admin)).await.unwrap();
        assert_eq!(changed.grants, [Grant::tenant(Role::Admin)]);
    }

    #[tokio::test]
    async fn nobody_confers_what_they_do_not_hold_or_manages_those_above_them() {
        let (world, owner, ada, bob) = world().await;
        let admin = World::same_tenant(&owner, Grant::tenant(Role::Admin));
        let error = world.send(&admin, change(bob, Role::Owner)).await.unwrap_err();
        assert_eq!(error.violations()[0].rule, "not_held");
        assert_eq!(
            world.refusal(&admin, change(ada, Role::Viewer)).await,
            ErrorCode::Forbidden
        );
        assert!(world.send(&admin, change(bob, Role::Developer)).await.is_ok());
    }

    #[tokio::test]
    async fn somebody_elses_member_does_not_exist_and_some_grant_is_needed() {
        let (world, owner, _, bob) = world().await;
        let stranger = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world.refusal(&stranger, change(bob, Role::Viewer)).await,
            ErrorCode::NotFound
        );
        let nothing = ChangeGrants {
            member: bob,
            grants: Vec::new(),
        };
        assert_eq!(world.refusal(&owner, nothing).await, ErrorCode::ValidationFailed);
    }
}
