use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::{Expiry, sync::Cache};
use postrider_application::{
    Error,
    ports::{AccessClaims, AccessTokens, TokenError},
};
use postrider_domain::Timestamp;
use sha2::{Digest as _, Sha256};

/// A token's SHA-256: the tokens themselves are not kept.
type TokenHash = [u8; 32];

/// [`AccessTokens`], of which each is verified once: what it says is kept by its hash until it expires.
///
/// What a signature says of a token never changes, so an entry needs no invalidation. That goes for keys that are
/// removed, too: a key is removed only after all tokens that it signed have expired, and whether a token has expired
/// is judged by the caller's `now` each time. What does change (sessions, tenants, revoked portal tokens) is not in
/// here: whoever verifies a token looks that up afterwards.
///
/// Refusals are not kept: a token of a key that is not known yet may be good a moment later, and no stranger can fill
/// the cache.
pub struct CachedAccessTokens<T: ?Sized = dyn AccessTokens> {
    inner: Arc<T>,
    verified: Cache<TokenHash, Verified>,
}

#[derive(Clone)]
struct Verified {
    claims: AccessClaims,
    /// How long it was still good when it was verified.
    lifetime: Duration,
}

/// An entry goes with its token, by moka's own clock. That frees the memory; what is answered is judged by `now`.
struct WithTheToken;

impl Expiry<TokenHash, Verified> for WithTheToken {
    fn expire_after_create(&self, _: &TokenHash, verified: &Verified, _: Instant) -> Option<Duration> {
        Some(verified.lifetime)
    }
}

impl<T: ?Sized> CachedAccessTokens<T> {
    /// How many tokens are kept by default. An entry takes some 250 bytes.
    pub const DEFAULT_MAX_ENTRIES: u64 = 100_000;

    /// Keeps what `inner` verified, [`Self::DEFAULT_MAX_ENTRIES`] of them.
    pub fn new(inner: Arc<T>) -> Self {
        Self::with_max_entries(inner, Self::DEFAULT_MAX_ENTRIES)
    }

    /// Keeps what `inner` verified, at most `max_entries` of them; the least used go first.
    pub fn with_max_entries(inner: Arc<T>, max_entries: u64) -> Self {
        let verified = Cache::builder()
            .max_capacity(max_entries)
            .expire_after(WithTheToken)
            .build();
        Self { inner, verified }
    }
}

#[async_trait]
impl<T: AccessTokens + ?Sized> AccessTokens for CachedAccessTokens<T> {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error> {
        self.inner.issue(claims)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let hash: TokenHash = Sha256::digest(token).into();
        if let Some(Verified { claims, .. }) = self.verified.get(&hash) {
            return if claims.expires_at <= now {
                Err(TokenError::Expired)
            } else {
                Ok(claims)
            };
        }
        let claims = self.inner.verify(token, now)?;
        let lifetime = claims.expires_at.since(now);
        let verified = Verified {
            claims: claims.clone(),
            lifetime,
        };
        self.verified.insert(hash, verified);
        Ok(claims)
    }

    async fn refresh_keys(&self) -> Result<(), Error> {
        self.inner.refresh_keys().await
    }

    fn jwks(&self) -> String {
        self.inner.jwks()
    }
}

impl<T: ?Sized> fmt::Debug for CachedAccessTokens<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedAccessTokens").finish_non_exhaustive()
    }
}
