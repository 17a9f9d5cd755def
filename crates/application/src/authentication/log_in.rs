use std::{sync::Arc, time::Duration};

use postrider_domain::{
    SessionId, TenantId,
    users::{Email, Session},
};
use secrecy::SecretString;

use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{Public, PublicScope, TenantScope},
    mediator::{Handles, Request},
    ports::{
        AccessClaims, AccessTokens, Clock, Identities, Ids, PasswordHasher, Repository, Store,
        TenantMembership, UnitOfWork as _,
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

/// An access token and what it is good for.
#[derive(Clone)]
pub struct LoggedIn {
    /// The token, to be sent as `Authorization: Bearer`.
    pub access_token: String,
    /// How long it is good.
    pub expires_in: Duration,
    /// The tenant that was logged in to.
    pub tenant: TenantId,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoggedIn({}, …)", self.tenant)
    }
}

impl Request for LogIn {
    type Output = LoggedIn;
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
    passwords: Arc<dyn PasswordHasher>,
    tokens: Arc<dyn AccessTokens>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    session_lifetime: Duration,
    token_lifetime: Duration,
}

impl<S> LogInHandler<S> {
    pub(crate) fn new(store: S, ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store,
            identities: ports.identities.clone(),
            passwords: ports.passwords.clone(),
            tokens: ports.tokens.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            session_lifetime: settings.session_lifetime,
            token_lifetime: settings.access_token_lifetime,
        }
    }
}

impl<S: Store> Handles<LogIn> for LogInHandler<S>
where
    S::Tx: Repository<Session>,
{
    async fn handle(&self, _: PublicScope, request: LogIn) -> Result<LoggedIn, Error> {
        let user = self.identities.user_by_email(&request.email).await?;
        let hash = user
            .as_ref()
            .map(|user| postrider_domain::Aggregate::state(user).password.clone());
        // Unknown people take as long as wrong passwords, and are answered alike.
        let proved = self.passwords.verify(request.password, hash).await?;
        let Some(user) = user.filter(|_| proved) else {
            return Err(Error::new(
                ErrorCode::InvalidCredentials,
                "e-mail and password do not belong together",
            ));
        };
        let user = postrider_domain::Aggregate::state(&user).id;
        let membership = choose(self.identities.memberships(user).await?, request.tenant)?;
        let scope = TenantScope::of_login(&membership);

        let now = self.clock.now();
        let id = SessionId::from_uuid(self.ids.next());
        let mut session = Session::open(id, scope.tenant(), user, now, self.session_lifetime);
        let mut tx = self.store.begin(&scope).await?;
        tx.save(&scope, &mut session).await?;
        tx.commit().await?;

        let lifetime = self.token_lifetime.min(self.session_lifetime);
        let access_token = self.tokens.issue(&AccessClaims {
            user,
            tenant: scope.tenant(),
            session: id,
            issued_at: now,
            expires_at: now.plus(lifetime),
        })?;
        Ok(LoggedIn {
            access_token,
            expires_in: lifetime,
            tenant: scope.tenant(),
        })
    }
}

/// Told only after the password proved right.
fn choose(memberships: Vec<TenantMembership>, wanted: Option<TenantId>) -> Result<TenantMembership> {
    let several = memberships.len() > 1;
    let mut candidates = memberships
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
        let answer = world.send(&Caller::Anonymous, log_in(RIGHT, None)).await.unwrap();
        assert_eq!(answer.tenant, created.tenant);
        assert_eq!(answer.expires_in, Duration::from_mins(10));
    }

    #[tokio::test]
    async fn unknown_people_and_wrong_passwords_are_answered_alike() {
        let world = World::new();
        let unknown = world.refusal(&Caller::Anonymous, log_in(RIGHT, None)).await;
        world.tenant("ada@acme.example").await;
        let wrong = world
            .refusal(&Caller::Anonymous, log_in("wrong horse", None))
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
        let anonymous = Caller::Anonymous;
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
