use std::sync::Arc;

use postrider_domain::{
    Aggregate as _, SessionId, TenantId,
    tenants::TenantStatus,
    tokens::RefreshToken,
    users::{Email, Session, SessionLifetime},
};
use secrecy::SecretString;

use super::{
    issue::{IssuedTokens, Issuer},
    prove::{PasswordProof, still_proved},
    secrets::hash_refresh,
};
use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{Public, PublicScope},
    mediator::{Handles, Request},
    ports::{
        Clock, Identities, Ids, PersonRepository, Randomness, Repository, Store, TenantMembership,
        UnitOfWork as _,
    },
};

/// Logs a person in to one of their tenants. A single membership is chosen by itself.
#[derive(Debug)]
pub struct LogIn {
    /// The person's address.
    pub email: Email,
    /// Their password.
    pub password: SecretString,
    /// Which tenant, if they are a member of several.
    pub tenant: Option<TenantId>,
}

impl Request for LogIn {
    type Output = IssuedTokens;
    type Access = Public;
    const NAME: &'static str = "session.open";

    fn access(&self) -> Public {
        Public
    }
}

/// Serves [`LogIn`].
pub struct LogInHandler<S> {
    store: S,
    identities: Arc<dyn Identities>,
    proof: PasswordProof,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
    lifetime: SessionLifetime,
}

impl<S: Clone> LogInHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            identities: ports.identities.clone(),
            proof: PasswordProof::new(ports.passwords.clone(), ports.throttle.clone()),
            issuer: Issuer::new(ports.tokens.clone(), settings),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            randomness: ports.randomness.clone(),
            lifetime: settings.session_lifetime,
        }
    }
}

impl<S: Store> Handles<LogIn> for LogInHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId> + PersonRepository,
{
    async fn handle(&self, scope: PublicScope, request: LogIn) -> Result<IssuedTokens, Error> {
        let address = scope.origin().address;
        self.proof.attempt(&request.email, address)?;
        let known = self.identities.user_by_email(&request.email).await?;
        let (proved, rehashed) = self
            .proof
            .prove(&request.email, address, known, request.password)
            .await?;
        let user = proved.state().id;
        let membership = choose(self.identities.memberships(user).await?, request.tenant)?;
        let person = scope.proved(user, Some(membership.tenant));
        let tenant = person
            .tenant_scope()
            .ok_or_else(|| Error::internal("a person without the tenant just given"))?;

        let now = self.clock.now();
        let id = SessionId::from_uuid(self.ids.next());
        let token = RefreshToken::first(id, self.randomness.bytes(), self.randomness.bytes());
        let hashes = hash_refresh(&token);
        let mut session = Session::open(id, membership.tenant, user, hashes, now, self.lifetime);
        let mut tx = self.store.begin_as_person(&person).await?;
        let mut stored = still_proved(&proved, tx.find_me(&person).await?)?;
        if let Some(password) = rehashed {
            stored.rehash_password(password);
            tx.save_me(&person, &mut stored).await?;
        }
        tx.save(&tenant, &mut session).await?;
        tx.commit(person.did(id)).await?;
        self.issuer.issue(session.state(), token, now)
    }
}

/// Told only after the password proved right.
fn choose(memberships: Vec<TenantMembership>, wanted: Option<TenantId>) -> Result<TenantMembership> {
    let living: Vec<_> = memberships
        .into_iter()
        .filter(|m| m.tenant_status != TenantStatus::Deleting)
        .collect();
    let several = living.len() > 1;
    let mut candidates = living
        .into_iter()
        .filter(|m| wanted.is_none_or(|tenant| m.tenant == tenant));
    match candidates.next() {
        Some(_) if several && wanted.is_none() => Err(Error::new(
            ErrorCode::TenantRequired,
            "you are a member of several tenants: name one as `tenant`",
        )),
        Some(membership) => Ok(membership),
        None => Err(Error::new(
            ErrorCode::Forbidden,
            "you are not a member of this tenant",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::{access::Caller, testing::World};

    fn log_in(password: &str, tenant: Option<TenantId>) -> LogIn {
        LogIn {
            email: Email::parse("ada@acme.example").unwrap(),
            password: password.into(),
            tenant,
        }
    }

    const RIGHT: &str = "correct horse battery";

    #[tokio::test]
    async fn a_single_membership_is_chosen_by_itself() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let answer = world
            .send(&Caller::anonymous(), log_in(RIGHT, None))
            .await
            .unwrap();
        assert_eq!(answer.tenant, created.tenant);
        assert_eq!(answer.expires_in, Duration::from_mins(10));
    }

    #[tokio::test]
    async fn unknown_people_and_wrong_passwords_are_answered_alike() {
        let world = World::new();
        let unknown = world.refusal(&Caller::anonymous(), log_in(RIGHT, None)).await;
        world.tenant("ada@acme.example").await;
        let wrong = world
            .refusal(&Caller::anonymous(), log_in("wrong horse", None))
            .await;
        assert_eq!(
            (unknown, wrong),
            (ErrorCode::InvalidCredentials, ErrorCode::InvalidCredentials)
        );
    }

    #[tokio::test]
    async fn several_memberships_need_a_tenant_and_only_the_right_password_learns_it() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let second = world.tenant("ada@acme.example").await;
        let anonymous = Caller::anonymous();
        assert_eq!(
            world.refusal(&anonymous, log_in(RIGHT, None)).await,
            ErrorCode::TenantRequired
        );
        assert_eq!(
            world.refusal(&anonymous, log_in("wrong horse", None)).await,
            ErrorCode::InvalidCredentials
        );
        let answer = world
            .send(&anonymous, log_in(RIGHT, Some(second.tenant)))
            .await
            .unwrap();
        assert_eq!(answer.tenant, second.tenant);
        let stranger = world.tenant("eve@evil.example").await;
        assert_eq!(
            world
                .refusal(&anonymous, log_in(RIGHT, Some(stranger.tenant)))
                .await,
            ErrorCode::Forbidden
        );
    }
}
