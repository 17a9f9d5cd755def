use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, InvitationId, MembershipId, Name, TenantId, UserId,
    access::Authority,
    tenants::TenantStatus,
    tokens::InvitationToken,
    users::{Invitation, InvitationState, Membership, User},
};
use secrecy::SecretString;

use crate::{
    Error, ErrorCode, Ports, Result,
    access::{PersonScope, Public, PublicScope},
    authentication::{PasswordProof, check_new_password, hash_secret, still_proved},
    mediator::{Handles, Request},
    members::confers_all,
    ports::{Clock, Identities, Ids, PasswordHasher, PersonRepository, Repository, Store, UnitOfWork as _},
};

/// Accepts an invitation, once. A new person sets a name and a password; a known one proves theirs.
#[derive(Debug)]
pub struct AcceptInvitation {
    /// The token.
    pub token: InvitationToken,
    /// The new person's password, or the known one's.
    pub password: SecretString,
    /// The new person's name; not used for a known one, whose is asked for all the same: nobody learns from the
    /// rules who is known.
    pub name: Name,
}

/// A membership that came of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedInvitation {
    /// The tenant.
    pub tenant: TenantId,
    /// The person's place in it.
    pub member: MembershipId,
    /// The person.
    pub user: UserId,
}

impl Request for AcceptInvitation {
    type Output = AcceptedInvitation;
    type Access = Public;
    const NAME: &'static str = "invitation.accept";

    fn access(&self) -> Public {
        Public
    }

    fn validate(&self) -> Result<()> {
        check_new_password(&self.password).map_err(|invalid| Error::invalid_field("password", invalid))
    }
}

/// Serves [`AcceptInvitation`].
pub struct AcceptInvitationHandler<S> {
    store: S,
    identities: Arc<dyn Identities>,
    passwords: Arc<dyn PasswordHasher>,
    proof: PasswordProof,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// Who accepts.
enum Person {
    Known(Box<User>),
    New(Box<User>),
}

impl<S: Clone> AcceptInvitationHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            identities: ports.identities.clone(),
            passwords: ports.passwords.clone(),
            proof: PasswordProof::new(ports.passwords.clone(), ports.throttle.clone()),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
        }
    }
}

impl<S> AcceptInvitationHandler<S> {
    /// The known person, proved, or a new one, not yet stored.
    async fn person(
        &self,
        scope: &PublicScope,
        invitation: &Invitation,
        request: AcceptInvitation,
    ) -> Result<Person> {
        let email = &invitation.state().email;
        let address = scope.origin().address;
        self.proof.attempt(email, address)?;
        let known = self.identities.user_by_email(email).await?;
        if known.is_some() {
            let (user, _) = self.proof.prove(email, address, known, request.password).await?;
            return Ok(Person::Known(Box::new(user)));
        }
        let password = self.passwords.hash(request.password).await?;
        let id = UserId::from_uuid(self.ids.next());
        let user = User::register(id, email.clone(), request.name, password, self.clock.now());
        Ok(Person::New(Box::new(user)))
    }
}

impl<S: Store> AcceptInvitationHandler<S>
where
    S::Tx: Repository<Invitation, Key = InvitationId>
        + Repository<Membership, Key = MembershipId>
        + PersonRepository,
{
    async fn join(
        &self,
        scope: &PersonScope,
        token: &InvitationToken,
        person: Person,
    ) -> Result<MembershipId> {
        let tenant = scope
            .tenant_scope()
            .ok_or_else(|| Error::internal("an invitation without a tenant"))?;
        let now = self.clock.now();
        let mut tx = self.store.begin_as_person(scope).await?;
        // Read again, inside: of two who accept at once, one finds it gone.
        let mut invitation = Repository::<Invitation>::find(&mut tx, &tenant, &token.id())
            .await?
            .ok_or_else(|| refused("used at the same moment"))?;
        invitation
            .accept(hash_secret(token.secret()), now)
            .map_err(|why| refused("not acceptable").caused_by(why))?;
        match person {
            Person::New(mut user) => tx.save_me(scope, &mut user).await?,
            Person::Known(proved) => {
                still_proved(&proved, tx.find_me(scope).await?)?;
                if tx.am_member(scope).await? {
                    return Err(Error::new(
                        ErrorCode::MemberExists,
                        "you are a member of this tenant",
                    ));
                }
            }
        }
        let id = MembershipId::from_uuid(self.ids.next());
        let grants = invitation.state().grants.clone();
        let mut membership = Membership::join(id, tenant.tenant(), scope.user(), grants, now);
        tx.delete(&tenant, invitation).await?;
        tx.save(&tenant, &mut membership).await?;
        tx.commit(scope.did(id)).await?;
        Ok(id)
    }
}

impl<S: Store> Handles<AcceptInvitation> for AcceptInvitationHandler<S>
where
    S::Tx: Repository<Invitation, Key = InvitationId>
        + Repository<Membership, Key = MembershipId>
        + PersonRepository,
{
    async fn handle(
        &self,
        scope: PublicScope,
        request: AcceptInvitation,
    ) -> Result<AcceptedInvitation, Error> {
        let token = request.token.clone();
        let found = self
            .identities
            .invitation(token.id())
            .await?
            .ok_or_else(|| refused("unknown"))?;
        // Tried on a copy, so that nobody proves passwords with a token that is not good.
        found
            .invitation
            .clone()
            .accept(hash_secret(token.secret()), self.clock.now())
            .map_err(|why| refused("not acceptable").caused_by(why))?;
        if found.tenant_status != TenantStatus::Active {
            return Err(refused("the tenant is not active"));
        }
        let InvitationState {
            tenant,
            email,
            grants,
            invited_by,
            ..
        } = found.invitation.state();
        // Whoever invited must still hold what they gave: caches may have let them in a moment too long.
        let inviter = self.identities.grants_of(*tenant, invited_by).await?;
        if !confers_all(&Authority::Grants(inviter), grants) {
            return Err(refused("the inviter does not hold as much any more"));
        }
        let tenant = *tenant;
        let person = self.person(&scope, &found.invitation, request).await?;
        let user = match &person {
            Person::Known(user) | Person::New(user) => user.state().id,
        };
        let themselves = scope.proved(user, Some(tenant));
        let member = self.join(&themselves, &token, person).await?;
        // Whoever holds the token guessed nothing.
        self.proof.succeeded(email, scope.origin().address);
        Ok(AcceptedInvitation { tenant, member, user })
    }
}

/// One answer for every reason; the reason is for the trace.
fn refused(reason: &'static str) -> Error {
    Error::new(
        ErrorCode::InvalidToken,
        "the invitation is not good, or not any more: ask for another",
    )
    .caused_by(reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::Caller,
        invitations::WithdrawInvitation,
        testing::{World, invite, log_in_with},
    };
    use postrider_domain::access::{Grant, Role};

    fn accept(token: &InvitationToken, password: &str) -> AcceptInvitation {
        AcceptInvitation {
            token: token.clone(),
            password: password.into(),
            name: Name::parse("Bob").unwrap(),
        }
    }

    async fn invited(world: &World, owner: &Caller, email: &str) -> InvitationToken {
        world
            .send(owner, invite(email, Role::Viewer))
            .await
            .unwrap()
            .token
    }

    #[tokio::test]
    async fn a_new_person_sets_a_password_and_comes_in_once() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let token = invited(&world, &owner, "bob@acme.example").await;
        let anyone = Caller::anonymous();
        let request = || accept(&token, "bobs own password");
        let weak = world.send(&anyone, accept(&token, "short")).await.unwrap_err();
        assert_eq!(weak.violations()[0].field, "password");
        world.send(&anyone, request()).await.unwrap();
        assert!(
            log_in_with(&world, "bob@acme.example", "bobs own password")
                .await
                .is_ok()
        );
        assert_eq!(world.refusal(&anyone, request()).await, ErrorCode::InvalidToken);
    }

    #[tokio::test]
    async fn a_known_person_proves_their_password() {
        let world = World::new();
        world.tenant("bob@beta.example").await;
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let token = invited(&world, &owner, "bob@beta.example").await;
        let anyone = Caller::anonymous();
        assert_eq!(
            world
                .refusal(&anyone, accept(&token, "a password of the thief"))
                .await,
            ErrorCode::InvalidCredentials
        );
        let accepted = world
            .send(&anyone, accept(&token, "correct horse battery"))
            .await
            .unwrap();
        assert_eq!(world.store.memberships(accepted.user).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_wrong_a_late_and_a_withdrawn_token_are_refused_alike() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let anyone = Caller::anonymous();
        let token = invited(&world, &owner, "bob@acme.example").await;
        let wrong = InvitationToken::new(token.id(), [9; 32]);
        let unknown = InvitationToken::new(InvitationId::from_uuid(uuid::Uuid::nil()), [9; 32]);
        let late = invited(&world, &owner, "cyd@acme.example").await;
        let request = WithdrawInvitation {
            invitation: token.id(),
        };
        for bad in [&wrong, &unknown] {
            assert_eq!(
                world.refusal(&anyone, accept(bad, "bobs own password")).await,
                ErrorCode::InvalidToken
            );
        }
        world.send(&owner, request).await.unwrap();
        world.pass(Duration::from_hours(7 * 24));
        for bad in [&token, &late] {
            assert_eq!(
                world.refusal(&anyone, accept(bad, "bobs own password")).await,
                ErrorCode::InvalidToken
            );
        }
    }
}
