use std::sync::Arc;

use postrider_domain::api_keys::{ApiKeyToken, SecretHash};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorCode, Result,
    access::{Caller, Principal, PrincipalId},
    ports::{AccessTokens, Clock, Credentials},
};

/// Recognises whoever presents a bearer credential: an access token of a person, or an API key.
///
/// It is not a use case: it makes the [`Caller`] that use cases are asked by.
pub struct Authenticator {
    credentials: Arc<dyn Credentials>,
    tokens: Arc<dyn AccessTokens>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// An authenticator over these credentials and tokens.
    pub fn new(
        credentials: Arc<dyn Credentials>,
        tokens: Arc<dyn AccessTokens>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            credentials,
            tokens,
            clock,
        }
    }

    /// Who presents `bearer`. Whatever is wrong with it, the answer is the same; the reason goes to the trace.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        let principal = if bearer.starts_with(ApiKeyToken::PREFIX) {
            self.by_api_key(bearer).await?
        } else {
            self.by_access_token(bearer).await?
        };
        Ok(Caller::Principal(principal))
    }

    async fn by_api_key(&self, text: &str) -> Result<Principal> {
        let token = ApiKeyToken::parse(text).map_err(|_| refused("malformed API key"))?;
        let record = self
            .credentials
            .api_key(token.id())
            .await?
            .ok_or_else(|| refused("unknown API key"))?;
        let hash = SecretHash(Sha256::digest(token.secret()).into());
        // Comparing hashes needs no constant time: whoever can choose hashes can find none of a 256-bit secret.
        if record.secret_hash != hash {
            return Err(refused("wrong API key secret"));
        }
        if record.expires_at.is_some_and(|expiry| expiry <= self.clock.now()) {
            return Err(refused("API key has expired"));
        }
        Ok(Principal {
            id: PrincipalId::ApiKey(record.id),
            tenant: record.tenant,
            grants: record.grants,
            expires_at: record.expires_at,
        })
    }

    async fn by_access_token(&self, text: &str) -> Result<Principal> {
        let now = self.clock.now();
        let claims = self
            .tokens
            .verify(text, now)
            .map_err(|error| refused("access token refused").caused_by(error))?;
        let session = self
            .credentials
            .session(claims.session)
            .await?
            .ok_or_else(|| refused("session is gone"))?;
        if session.user != claims.user || session.tenant != claims.tenant {
            return Err(refused("token and session do not belong together"));
        }
        if session.expires_at <= now {
            return Err(refused("session has expired"));
        }
        Ok(Principal {
            id: PrincipalId::User(session.user, session.id),
            tenant: session.tenant,
            grants: session.grants,
            expires_at: None,
        })
    }
}

/// One answer for every reason; the reason is for the trace.
fn refused(reason: &'static str) -> Error {
    Error::new(
        ErrorCode::Unauthenticated,
        "the credential is not valid, or not any more",
    )
    .caused_by(reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        api_keys::{GrantRequest, MintApiKey},
        authentication::LogIn,
        testing::{PlainTokens, World, principal},
    };
    use postrider_domain::{
        Name,
        access::{Grant, Role},
        users::Email,
    };

    fn authenticator(world: &World) -> Authenticator {
        Authenticator::new(
            Arc::new(world.store.clone()),
            Arc::new(PlainTokens),
            world.clock.clone(),
        )
    }

    async fn code(world: &World, bearer: &str) -> Option<ErrorCode> {
        authenticator(world)
            .authenticate(bearer)
            .await
            .err()
            .map(|error| error.code())
    }

    #[tokio::test]
    async fn a_person_is_recognised_until_token_or_session_end() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let request = LogIn {
            email: Email::parse("ada@acme.example").unwrap(),
            password: "correct horse battery".into(),
            tenant: None,
        };
        let token = world
            .send(&Caller::Anonymous, request)
            .await
            .unwrap()
            .access_token;
        let Caller::Principal(principal) = authenticator(&world).authenticate(&token).await.unwrap() else {
            panic!("a principal")
        };
        assert_eq!(principal.tenant, created.tenant);
        assert_eq!(principal.grants, [Grant::tenant(Role::Owner)]);
        world.pass(Duration::from_mins(10));
        assert_eq!(code(&world, &token).await, Some(ErrorCode::Unauthenticated));
    }

    #[tokio::test]
    async fn a_token_of_a_session_that_is_not_stored_is_refused() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let now = world.now();
        let claims = crate::ports::AccessClaims {
            user: created.owner,
            tenant: created.tenant,
            session: postrider_domain::SessionId::from_uuid(created.owner.as_uuid()),
            issued_at: now,
            expires_at: now.plus(Duration::from_mins(1)),
        };
        let token = PlainTokens.issue(&claims).unwrap();
        assert_eq!(code(&world, &token).await, Some(ErrorCode::Unauthenticated));
    }

    #[tokio::test]
    async fn an_api_key_is_recognised_until_it_expires() {
        let world = World::new();
        let owner = principal(
            &world.tenant("ada@acme.example").await,
            Grant::tenant(Role::Owner),
        );
        let request = MintApiKey {
            name: Name::parse("ci").unwrap(),
            grants: vec![GrantRequest {
                role: Role::Publisher,
                application: None,
            }],
            expires_at: Some(world.now().plus(Duration::from_mins(1))),
        };
        let minted = world.send(&owner, request).await.unwrap();
        let token = minted.token.reveal();
        let Caller::Principal(found) = authenticator(&world).authenticate(&token).await.unwrap() else {
            panic!("a principal")
        };
        assert_eq!(found.id, PrincipalId::ApiKey(minted.id));
        assert_eq!(found.grants, [Grant::tenant(Role::Publisher)]);
        let last = if token.ends_with('0') { "1" } else { "0" };
        let wrong_secret = format!("{}{last}", &token[..token.len() - 1]);
        assert_eq!(
            code(&world, &wrong_secret).await,
            Some(ErrorCode::Unauthenticated)
        );
        assert_eq!(
            code(&world, "prk_nonsense").await,
            Some(ErrorCode::Unauthenticated)
        );
        world.pass(Duration::from_mins(1));
        assert_eq!(code(&world, &token).await, Some(ErrorCode::Unauthenticated));
    }
}
