use std::{sync::Arc, time::Duration};

use postrider_domain::{
    Aggregate as _, InvitationId, Timestamp,
    access::Permission,
    tokens::InvitationToken,
    users::{Email, Invitation, NewInvitation},
};

use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{OnTenant, TenantScope},
    authentication::hash_secret,
    mediator::{Handles, Request},
    members::{GrantRequest, GrantResolver, only_lasting},
    ports::{Clock, Ids, MemberRepository, Randomness, Repository, Store, UnitOfWork as _},
};

/// Invites a person into the tenant. Nobody confers what they do not hold.
#[derive(Debug)]
pub struct Invite {
    /// Who.
    pub email: Email,
    /// What they will hold.
    pub grants: Vec<GrantRequest>,
}

/// An invitation, and its token, which is shown this once.
#[derive(Debug, Clone)]
pub struct Invited {
    /// The invitation.
    pub id: InvitationId,
    /// What the invited person presents.
    pub token: InvitationToken,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

impl Request for Invite {
    type Output = Invited;
    type Access = OnTenant;
    const NAME: &'static str = "invitation.issue";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::MembersManage)
    }
}

/// Serves [`Invite`].
pub struct InviteHandler<S> {
    store: S,
    grants: GrantResolver,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
    lifetime: Duration,
}

impl<S: Clone> InviteHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            grants: GrantResolver::new(ports.directory.clone()),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            randomness: ports.randomness.clone(),
            lifetime: settings.invitation_lifetime,
        }
    }
}

impl<S: Store> Handles<Invite> for InviteHandler<S>
where
    S::Tx: Repository<Invitation, Key = InvitationId> + MemberRepository,
{
    async fn handle(&self, scope: TenantScope, request: Invite) -> Result<Invited, Error> {
        only_lasting(&scope)?;
        let grants = self.grants.resolve(&scope, request.grants).await?;
        let now = self.clock.now();
        let id = InvitationId::from_uuid(self.ids.next());
        let token = InvitationToken::new(id, self.randomness.bytes());
        let new = NewInvitation {
            email: request.email,
            grants,
            token_hash: hash_secret(token.secret()),
            invited_by: scope.actor().id.as_ref().to_owned(),
        };
        let mut invitation = Invitation::issue(id, scope.tenant(), new, now, self.lifetime)
            .map_err(|invalid| Error::invalid_field("grants", invalid))?;
        let expires_at = invitation.state().expires_at;

        let mut tx = self.store.begin(&scope).await?;
        let email = invitation.state().email.clone();
        if tx.find_member(&scope, &email).await?.is_some() {
            return Err(Error::new(
                ErrorCode::MemberExists,
                "the person is a member of this tenant",
            ));
        }
        if let Some(mut earlier) = tx.find_invitation(&scope, &email).await? {
            if !earlier.has_expired(now) {
                return Err(Error::new(
                    ErrorCode::InvitationPending,
                    "withdraw the pending invitation to this address first",
                ));
            }
            earlier.replace();
            tx.delete(&scope, earlier).await?;
        }
        tx.save(&scope, &mut invitation).await?;
        let invited = Invited {
            id,
            token,
            expires_at,
        };
        tx.commit(scope.did(id).answering(&scope, &invited)).await?;
        Ok(invited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, invite};
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn one_is_pending_an_address_until_it_expires() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let bob = || invite("bob@acme.example", Role::Viewer);
        world.send(&owner, bob()).await.unwrap();
        assert_eq!(world.refusal(&owner, bob()).await, ErrorCode::InvitationPending);
        world.pass(Duration::from_hours(7 * 24));
        assert!(world.send(&owner, bob()).await.is_ok());
    }

    #[tokio::test]
    async fn members_are_not_invited_and_nobody_confers_more_than_they_hold() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(
            world
                .refusal(&owner, invite("ADA@acme.example", Role::Viewer))
                .await,
            ErrorCode::MemberExists
        );
        let admin = World::same_tenant(&owner, Grant::tenant(Role::Admin));
        let error = world
            .send(&admin, invite("bob@acme.example", Role::Owner))
            .await
            .unwrap_err();
        assert_eq!(error.violations()[0].rule, "not_held");
        let developer = World::same_tenant(&owner, Grant::tenant(Role::Developer));
        assert_eq!(
            world
                .refusal(&developer, invite("bob@acme.example", Role::Viewer))
                .await,
            ErrorCode::Forbidden
        );
    }
}
