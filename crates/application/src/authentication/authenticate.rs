use std::sync::Arc;

use postrider_domain::{
    PortalTokenId, SessionId, Timestamp, UserId,
    access::{Authority, PortalAccess},
    tenants::TenantStatus,
    tokens::ApiKeyToken,
};

use super::secrets::hash_secret;
use crate::{
    Error, ErrorCode, Result,
    access::{Identity, Principal, PrincipalId},
    ports::{AccessClaims, AccessTokens, Clock, Credentials, KeyUses, Subject, TokenError},
};

/// Recognises whoever presents a bearer credential: an access token of a person, a portal token, or an API key.
///
/// It is not a use case: it makes the caller that use cases are asked by.
pub struct Authenticator {
    credentials: Arc<dyn Credentials>,
    tokens: Arc<dyn AccessTokens>,
    key_uses: Arc<dyn KeyUses>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// An authenticator over these credentials and tokens.
    pub fn new(
        credentials: Arc<dyn Credentials>,
        tokens: Arc<dyn AccessTokens>,
        key_uses: Arc<dyn KeyUses>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            credentials,
            tokens,
            key_uses,
            clock,
        }
    }

    /// Who presents `bearer`. Whatever is wrong with it, the answer is the same; the reason goes to the trace.
    pub async fn authenticate(&self, bearer: &str) -> Result<Identity> {
        let principal = if bearer.starts_with(ApiKeyToken::PREFIX) {
            self.by_api_key(bearer).await?
        } else {
            self.by_access_token(bearer).await?
        };
        if principal.tenant_status == TenantStatus::Deleting {
            return Err(refused("the tenant is being deleted"));
        }
        Ok(Identity::Principal(Arc::new(principal)))
    }

    async fn by_api_key(&self, text: &str) -> Result<Principal> {
        let token = ApiKeyToken::parse(text).map_err(|_| refused("malformed API key"))?;
        let record = self
            .credentials
            .api_key(token.id())
            .await?
            .ok_or_else(|| refused("unknown API key"))?;
        if record.secret_hash != hash_secret(token.secret()) {
            return Err(refused("wrong API key secret"));
        }
        let now = self.clock.now();
        if record.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(refused("API key has expired"));
        }
        self.key_uses.used(record.tenant, record.id, now);
        Ok(Principal {
            id: PrincipalId::ApiKey(record.id),
            tenant: record.tenant,
            tenant_status: record.tenant_status,
            tenant_settings: record.tenant_settings,
            authority: Authority::Grants(record.grants),
            expires_at: record.expires_at,
        })
    }

    async fn by_access_token(&self, text: &str) -> Result<Principal> {
        let now = self.clock.now();
        let claims = match self.tokens.verify(text, now) {
            Err(TokenError::UnknownKey) => {
                self.tokens.refresh_keys().await?;
                self.tokens.verify(text, now)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| refused("access token refused").caused_by(error))?;
        match claims.subject.clone() {
            Subject::User(user, session) => self.by_session(&claims, user, session, now).await,
            Subject::Portal(id, access, generation) => self.by_portal(&claims, id, access, generation).await,
        }
    }

    async fn by_session(
        &self,
        claims: &AccessClaims,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Principal> {
        let session = self
            .credentials
            .session(session)
            .await?
            .ok_or_else(|| refused("session is gone"))?;
        if session.user != user || session.tenant != claims.tenant {
            return Err(refused("token and session do not belong together"));
        }
        if session.expires_at <= now {
            return Err(refused("session has expired"));
        }
        Ok(Principal {
            id: PrincipalId::User(session.user, session.id),
            tenant: session.tenant,
            tenant_status: session.tenant_status,
            tenant_settings: session.tenant_settings,
            authority: Authority::Grants(session.grants),
            expires_at: None,
        })
    }

    async fn by_portal(
        &self,
        claims: &AccessClaims,
        id: PortalTokenId,
        access: PortalAccess,
        generation: Option<Timestamp>,
    ) -> Result<Principal> {
        let record = self
            .credentials
            .portal(claims.tenant, access.application)
            .await?
            .ok_or_else(|| refused("the portal token's application is gone"))?;
        // Compared, not ordered: clocks that differ, and revocations within a second, revoke all the same.
        if record.tokens_valid_after != generation {
            return Err(refused("portal token was revoked"));
        }
        Ok(Principal {
            id: PrincipalId::Portal(id),
            tenant: claims.tenant,
            tenant_status: record.tenant_status,
            tenant_settings: record.tenant_settings,
            authority: Authority::Portal(access),
            expires_at: Some(claims.expires_at),
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
        access::Caller,
        api_keys::MintApiKey,
        authentication::LogIn,
        members::GrantRequest,
        testing::{PlainTokens, World, principal},
    };
    use postrider_domain::{
        Name,
        access::{Grant, Role},
        users::Email,
    };

    fn authenticator(world: &World) -> Authenticator {
        world.authenticator()
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
            .send(&Caller::anonymous(), request)
            .await
            .unwrap()
            .access_token;
        let Identity::Principal(principal) = authenticator(&world).authenticate(&token).await.unwrap() else {
            panic!("a principal")
        };
        assert_eq!(principal.tenant, created.tenant);
        assert_eq!(principal.authority.grants(), [Grant::tenant(Role::Owner)]);
        world.pass(Duration::from_mins(10));
        assert_eq!(code(&world, &token).await, Some(ErrorCode::Unauthenticated));
    }

    #[tokio::test]
    async fn a_token_of_a_session_that_is_not_stored_is_refused() {
        let world = World::new();
        let created = world.tenant("ada@acme.example").await;
        let now = world.now();
        let claims = crate::ports::AccessClaims {
            subject: Subject::User(
                created.owner,
                postrider_domain::SessionId::from_uuid(created.owner.as_uuid()),
            ),
            tenant: created.tenant,
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
        let Identity::Principal(found) = authenticator(&world).authenticate(&token).await.unwrap() else {
            panic!("a principal")
        };
        assert_eq!(found.id, PrincipalId::ApiKey(minted.id));
        assert_eq!(found.authority.grants(), [Grant::tenant(Role::Publisher)]);
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
