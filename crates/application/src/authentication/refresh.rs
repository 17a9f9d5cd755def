use std::{sync::Arc, time::Duration};

use postrider_domain::{
    Aggregate as _, SessionId,
    tenants::TenantStatus,
    tokens::RefreshToken,
    users::{Refresh, Session},
};

use super::{
    issue::{IssuedTokens, Issuer},
    secrets::{hash_refresh, hash_secret},
};
use crate::{
    Error, ErrorCode, Ports, Result, Settings,
    access::{PersonScope, Public, PublicScope},
    mediator::{Handles, Request},
    ports::{Clock, Identities, Randomness, Repository, Store, StoreError, UnitOfWork as _},
};

/// Exchanges a refresh token, once, for the next pair of tokens. One that was used before ends its session: of the
/// two who used it, one is a thief.
#[derive(Debug)]
pub struct RefreshSession {
    /// The token.
    pub token: RefreshToken,
}

impl Request for RefreshSession {
    type Output = IssuedTokens;
    type Access = Public;
    const NAME: &'static str = "session.refresh";

    fn access(&self) -> Public {
        Public
    }
}

/// Serves [`RefreshSession`].
pub struct RefreshSessionHandler<S> {
    store: S,
    identities: Arc<dyn Identities>,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    idle: Duration,
}

impl<S: Clone> RefreshSessionHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            store: ports.store.clone(),
            identities: ports.identities.clone(),
            issuer: Issuer::new(ports.tokens.clone(), settings),
            clock: ports.clock.clone(),
            randomness: ports.randomness.clone(),
            idle: settings.session_lifetime.idle,
        }
    }
}

impl<S: Store> RefreshSessionHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId>,
{
    async fn exchange(&self, person: &PersonScope, token: &RefreshToken) -> Result<IssuedTokens> {
        let scope = person
            .tenant_scope()
            .ok_or_else(|| Error::internal("a session without a tenant"))?;
        let now = self.clock.now();
        let next = token.rotate(self.randomness.bytes());
        let mut tx = self.store.begin_as_person(person).await?;
        let mut session = tx
            .find(&scope, &token.session())
            .await?
            .ok_or_else(|| refused("session is gone"))?;
        let presented = hash_refresh(token);
        match session.refresh(presented, hash_secret(next.current()), now, self.idle) {
            Refresh::Rotated => {
                tx.save(&scope, &mut session).await?;
                tx.commit(person.did(token.session())).await?;
                self.issuer.issue(session.state(), next, now)
            }
            Refresh::Reused => {
                tx.delete(&scope, session).await?;
                tx.commit(person.did_instead("session.end_reused", token.session()))
                    .await?;
                tracing::warn!(session = %token.session(), "a refresh token was used twice: its session was ended");
                Err(refused("refresh token was used before"))
            }
            Refresh::Refused => Err(refused("wrong refresh token, or too late")),
        }
    }
}

impl<S: Store> Handles<RefreshSession> for RefreshSessionHandler<S>
where
    S::Tx: Repository<Session, Key = SessionId>,
{
    async fn handle(&self, scope: PublicScope, request: RefreshSession) -> Result<IssuedTokens, Error> {
        let token = request.token;
        let session = self
            .identities
            .session_now(token.session())
            .await?
            .filter(|session| session.tenant_status != TenantStatus::Deleting)
            .ok_or_else(|| refused("session is gone, or its membership or tenant"))?;
        let person = scope.proved(session.user, Some(session.tenant));
        match self.exchange(&person, &token).await {
            // Somebody used the token at the same moment. The second look sees that it was used, and ends it.
            Err(error) if error.code() == ErrorCode::StaleVersion => {
                match self.exchange(&person, &token).await {
                    Err(error) if error.code() == ErrorCode::StaleVersion => {
                        Err(refused("refresh token was used before").caused_by(StoreError::Stale))
                    }
                    answer => answer,
                }
            }
            answer => answer,
        }
    }
}

/// One answer for every reason; the reason is for the trace.
fn refused(reason: &'static str) -> Error {
    Error::new(ErrorCode::InvalidToken, "log in again").caused_by(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Caller,
        testing::{World, log_in},
    };

    async fn refresh(world: &World, token: &RefreshToken) -> Result<IssuedTokens> {
        let request = RefreshSession { token: token.clone() };
        world.send(&Caller::anonymous(), request).await
    }

    #[tokio::test]
    async fn each_token_is_good_once_and_the_second_use_ends_the_family() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let first = log_in(&world, "ada@acme.example").await;
        let second = refresh(&world, &first.refresh_token).await.unwrap();
        assert!(world.is_known(&first.access_token).await && world.is_known(&second.access_token).await);
        let third = refresh(&world, &second.refresh_token).await.unwrap();
        let replayed = refresh(&world, &first.refresh_token).await.unwrap_err();
        assert_eq!(replayed.code(), ErrorCode::InvalidToken);
        let after = refresh(&world, &third.refresh_token).await.unwrap_err();
        assert_eq!(after.code(), ErrorCode::InvalidToken, "the family is gone");
        assert!(!world.is_known(&third.access_token).await);
        assert!(world.kinds().await.contains(&"session.ended".to_owned()));
    }

    #[tokio::test]
    async fn a_guess_ends_nothing() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let tokens = log_in(&world, "ada@acme.example").await;
        let guess = RefreshToken::first(tokens.session, [1; 32], [2; 32]);
        assert!(refresh(&world, &guess).await.is_err());
        assert!(refresh(&world, &tokens.refresh_token).await.is_ok());
    }

    #[tokio::test]
    async fn idleness_ends_it_and_use_keeps_it_alive() {
        let world = World::new();
        world.tenant("ada@acme.example").await;
        let mut tokens = log_in(&world, "ada@acme.example").await;
        for _ in 0..3 {
            world.pass(Duration::from_hours(23));
            tokens = refresh(&world, &tokens.refresh_token).await.unwrap();
        }
        world.pass(Duration::from_hours(24));
        let late = refresh(&world, &tokens.refresh_token).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::InvalidToken);
    }
}
