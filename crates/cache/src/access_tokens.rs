use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::{Expiry, sync::Cache};
use postrider_application::{
    Error,
    applications::MAX_PORTAL_TOKEN_LIFETIME,
    ports::{AccessClaims, AccessTokens, TokenError},
};
use postrider_domain::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::look_ups::LookUps;

/// A token's SHA-256: the tokens themselves are not kept.
type TokenHash = [u8; 32];

/// [`AccessTokens`], of which each is verified once: what it says is kept by its hash until it expires.
///
/// What a signature says of a token never changes while its key is there. When keys are removed, as they are at once if
/// one is compromised, everything is verified again. Whether a token has expired is judged by the caller's `now` each
/// time. What does change (sessions, tenants, revoked portal tokens) is not in here: whoever verifies a token looks that
/// up afterwards.
///
/// Refusals are not kept: a token of a key that is not known yet may be good a moment later, and no stranger can fill
/// the cache.
pub struct CachedAccessTokens<T: ?Sized = dyn AccessTokens> {
    inner: Arc<T>,
    verified: Cache<TokenHash, Verified>,
    look_ups: Arc<LookUps>,
}

/// The longest that a token is kept without being verified again: as long as the longest-lived are good.
const KEPT_AT_MOST: Duration = MAX_PORTAL_TOKEN_LIFETIME;

#[derive(Clone)]
struct Verified {
    claims: AccessClaims,
    /// How long it is kept.
    lifetime: Duration,
    /// How often keys had been removed.
    removed_keys: u64,
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
    pub(crate) fn with_max_entries(inner: Arc<T>, max_entries: u64) -> Self {
        let verified = Cache::builder()
            .max_capacity(max_entries)
            .expire_after(WithTheToken)
            .build();
        let counted = verified.clone();
        Self {
            look_ups: LookUps::shown("access_tokens", move || counted.entry_count()),
            inner,
            verified,
        }
    }
}

#[async_trait]
impl<T: AccessTokens + ?Sized> AccessTokens for CachedAccessTokens<T> {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Error> {
        self.inner.issue(claims)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let hash: TokenHash = Sha256::digest(token).into();
        // Asked before it is verified: a removal in between makes the entry worthless, not wrong.
        let removed_keys = self.inner.removed_keys();
        if let Some(known) = self.verified.get(&hash)
            && known.removed_keys == removed_keys
        {
            self.look_ups.note(true);
            let claims = known.claims;
            return if claims.expires_at <= now {
                Err(TokenError::Expired)
            } else {
                Ok(claims)
            };
        }
        self.look_ups.note(false);
        let claims = self.inner.verify(token, now)?;
        let lifetime = claims.expires_at.since(now).min(KEPT_AT_MOST);
        let verified = Verified {
            claims: claims.clone(),
            lifetime,
            removed_keys,
        };
        self.verified.insert(hash, verified);
        Ok(claims)
    }

    async fn refresh_keys(&self) -> Result<(), Error> {
        self.inner.refresh_keys().await
    }

    fn removed_keys(&self) -> u64 {
        self.inner.removed_keys()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{application, session, tenant};
    use postrider_application::ports::Subject;
    use postrider_domain::{
        PortalTokenId,
        access::{Permission, PortalAccess},
    };
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    };
    use uuid::Uuid;

    const NOW: i64 = 1_000;
    const EXPIRY: i64 = NOW + 600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn person() -> AccessClaims {
        AccessClaims {
            subject: Subject::User(session(1).user, session(1).id),
            tenant: tenant(1),
            issued_at: at(NOW),
            expires_at: at(EXPIRY),
        }
    }

    fn portal() -> AccessClaims {
        let access = PortalAccess {
            application: application(1),
            permissions: vec![Permission::EndpointsRead],
        };
        AccessClaims {
            subject: Subject::Portal(PortalTokenId::from_uuid(Uuid::from_u128(1)), access, None),
            ..person()
        }
    }

    /// Counts what it is asked; answers what the test says, by the token's text.
    #[derive(Default)]
    struct Counting {
        good: Mutex<Vec<(&'static str, AccessClaims)>>,
        refusal: Mutex<Option<TokenError>>,
        verified: AtomicU32,
        refreshed: AtomicU32,
        removals: AtomicU64,
    }

    #[async_trait]
    impl AccessTokens for Counting {
        fn issue(&self, _: &AccessClaims) -> Result<String, Error> {
            Ok("issued".to_owned())
        }

        fn verify(&self, token: &str, _: Timestamp) -> Result<AccessClaims, TokenError> {
            self.verified.fetch_add(1, Ordering::SeqCst);
            let good = self.good.lock().unwrap();
            let found = good.iter().find(|(text, _)| *text == token);
            found
                .map(|(_, claims)| claims.clone())
                .ok_or_else(|| self.refusal.lock().unwrap().unwrap_or(TokenError::Malformed))
        }

        async fn refresh_keys(&self) -> Result<(), Error> {
            self.refreshed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        fn removed_keys(&self) -> u64 {
            self.removals.load(Ordering::SeqCst)
        }

        fn jwks(&self) -> String {
            format!("keys after {} refreshs", self.refreshed.load(Ordering::SeqCst))
        }
    }

    fn cached() -> (CachedAccessTokens<Counting>, Arc<Counting>) {
        let inner = Arc::new(Counting::default());
        inner
            .good
            .lock()
            .unwrap()
            .extend([("a", person()), ("b", portal())]);
        (CachedAccessTokens::new(inner.clone()), inner)
    }

    fn asked(inner: &Counting) -> u32 {
        inner.verified.load(Ordering::SeqCst)
    }

    #[test]
    fn many_requests_are_one_verification() {
        let (cached, inner) = cached();
        for _ in 0..1_000 {
            assert_eq!(cached.verify("a", at(NOW)), Ok(person()));
        }
        assert_eq!(asked(&inner), 1);
        for _ in 0..1_000 {
            assert_eq!(cached.verify("b", at(NOW)), Ok(portal()));
        }
        assert_eq!(asked(&inner), 2);
        // Nearly the same is not the same.
        assert_eq!(cached.verify("a ", at(NOW)), Err(TokenError::Malformed));
    }

    #[test]
    fn everything_is_verified_again_when_keys_are_removed() {
        let (cached, inner) = cached();
        assert_eq!(cached.verify("a", at(NOW)), Ok(person()));
        inner.removals.store(1, Ordering::SeqCst);
        inner.good.lock().unwrap().clear();
        assert_eq!(cached.verify("a", at(NOW)), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_that_expires_in_the_cache_is_expired() {
        let (cached, _) = cached();
        let last = Timestamp::from_micros(EXPIRY * 1_000_000 - 1);
        assert_eq!(cached.verify("a", at(NOW)), Ok(person()));
        assert_eq!(cached.verify("a", last), Ok(person()));
        assert_eq!(cached.verify("a", at(EXPIRY)), Err(TokenError::Expired));
        assert_eq!(
            cached.verify("a", at(EXPIRY + 1_000_000)),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn an_entry_lives_no_longer_than_its_token() {
        let lifetime = |lifetime| {
            let verified = Verified {
                claims: person(),
                lifetime,
                removed_keys: 0,
            };
            // Of what moka is told; its clock is not ours to move.
            WithTheToken.expire_after_create(&[0; 32], &verified, moment())
        };
        assert_eq!(lifetime(Duration::from_secs(7)), Some(Duration::from_secs(7)));
        let (cached, _) = cached();
        cached.verify("a", at(EXPIRY - 7)).unwrap();
        let kept = cached.verified.iter().next().unwrap().1;
        assert_eq!(kept.lifetime, Duration::from_secs(7));
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "moka hands its own in; which one does not matter here"
    )]
    fn moment() -> Instant {
        Instant::now()
    }

    #[test]
    fn refusals_are_not_kept() {
        for refusal in [
            TokenError::Malformed,
            TokenError::UnknownKey,
            TokenError::Forged,
            TokenError::Expired,
        ] {
            let (cached, inner) = cached();
            *inner.refusal.lock().unwrap() = Some(refusal);
            assert_eq!(cached.verify("c", at(NOW)), Err(refusal));
            assert_eq!(cached.verify("c", at(NOW)), Err(refusal));
            assert_eq!(asked(&inner), 2);
            // Its key has become known.
            inner.good.lock().unwrap().push(("c", person()));
            assert_eq!(cached.verify("c", at(NOW)), Ok(person()));
            cached.verified.run_pending_tasks();
            assert_eq!(cached.verified.entry_count(), 1);
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let inner = Arc::new(Counting::default());
        let texts: Vec<&'static str> = (0..1_000).map(|n| &*format!("{n}").leak()).collect();
        inner
            .good
            .lock()
            .unwrap()
            .extend(texts.iter().map(|text| (*text, person())));
        let cached = CachedAccessTokens::with_max_entries(inner, 10);
        for text in texts {
            cached.verify(text, at(NOW)).unwrap();
        }
        cached.verified.run_pending_tasks();
        assert!(cached.verified.entry_count() <= 10);
    }

    #[tokio::test]
    async fn everything_else_passes_through() {
        let (_, inner) = cached();
        let cached: CachedAccessTokens = CachedAccessTokens::new(inner);
        assert_eq!(cached.issue(&person()).unwrap(), "issued");
        assert_eq!(cached.jwks(), "keys after 0 refreshs");
        cached.refresh_keys().await.unwrap();
        assert_eq!(cached.jwks(), "keys after 1 refreshs");
    }
}
