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
