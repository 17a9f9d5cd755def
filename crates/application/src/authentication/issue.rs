//! What logging in and refreshing have in common: the pair of tokens that a session is used with.

use std::{fmt, sync::Arc, time::Duration};

use postrider_domain::{SessionId, TenantId, Timestamp, UserId, tokens::RefreshToken, users::SessionState};

use crate::{
    Error, Settings,
    ports::{AccessClaims, AccessTokens, Subject},
};

/// The tokens of a session, and what they are good for.
#[derive(Clone)]
pub struct IssuedTokens {
    /// To be sent as `Authorization: Bearer`.
    pub access_token: String,
    /// How long it is good.
    pub expires_in: Duration,
    /// To be exchanged, once, for the next pair.
    pub refresh_token: RefreshToken,
    /// Until when it can be exchanged.
    pub refresh_expires_at: Timestamp,
    /// The person.
    pub user: UserId,
    /// The tenant that was logged in to.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedTokens({}, {}, …)", self.tenant, self.session)
    }
}

/// Issues access tokens for sessions.
pub(super) struct Issuer {
    tokens: Arc<dyn AccessTokens>,
    lifetime: Duration,
}

impl Issuer {
    pub(super) fn new(tokens: Arc<dyn AccessTokens>, settings: &Settings) -> Self {
        Self {
            tokens,
            lifetime: settings.access_token_lifetime,
        }
    }

    /// The pair for a session that was just opened or refreshed. The access token does not outlive the session.
    pub(super) fn issue(
        &self,
        session: &SessionState,
        refresh_token: RefreshToken,
        now: Timestamp,
    ) -> Result<IssuedTokens, Error> {
        let expires_in = self.lifetime.min(session.expires_at.since(now));
        let access_token = self.tokens.issue(&AccessClaims {
            subject: Subject::User(session.user, session.id),
            tenant: session.tenant,
            issued_at: now,
            expires_at: now.plus(expires_in),
        })?;
        Ok(IssuedTokens {
            access_token,
            expires_in,
            refresh_token,
            refresh_expires_at: session.refresh_expires_at,
            user: session.user,
            tenant: session.tenant,
            session: session.id,
        })
    }
}
