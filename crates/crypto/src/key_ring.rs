use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jsonwebtoken::jwk::JwkSet;
use postrider_application::{
    Error, ErrorCode,
    applications::MAX_PORTAL_TOKEN_LIFETIME,
    audit::Record,
    ports::{
        Clock, OldKeys, RetiredKeys, RotatedSigningKey, SealError, Sealer, SigningKeyStore, SigningKeys,
        StoreError, StoredSigningKey,
    },
};
use postrider_domain::Timestamp;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::signing_key::SigningKey;

/// How far apart loads begin at least, as anybody can ask for one by a token with an unknown key.
const LOADS_APART: Duration = Duration::from_secs(1);

/// How long a replaced key is kept: as long as any token is good that it signed, and another hour, as nodes go on
/// signing with it until they have heard of the new one, and clocks differ.
const KEPT_AFTER_REPLACED: Duration = MAX_PORTAL_TOKEN_LIFETIME.saturating_add(Duration::from_hours(1));

/// Why there are no keys to sign access tokens with.
#[derive(Debug, Error)]
pub enum KeyRingError {
    /// The keys cannot be read or stored.
    #[error("the signing keys of access tokens cannot be read or stored")]
    Store(#[from] StoreError),
    /// A stored key does not open.
    #[error("signing key {kid} does not open")]
    Sealed {
        /// The key.
        kid: String,
        /// Why.
        #[source]
        cause: SealError,
    },
    /// What was stored as a key is none, or not the one that its id says.
    #[error("signing key {kid} opens, but is not the RSA key of that id")]
    Malformed {
        /// The key.
        kid: String,
    },
    /// A new key pair could not be made.
    #[error("an RSA key pair could not be generated")]
    Generation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The public halves cannot be written as a JWK set.
    #[error("the public keys cannot be written as a JWK set")]
    Unwritable(#[source] serde_json::Error),
    /// The store answers no key although there was one.
    #[error("the store holds no signing key any more")]
    Lost,
}

impl KeyRingError {
    /// What callers are answered: several of them may have waited for the same load.
    pub(crate) fn answer(self: Arc<Self>) -> Error {
        match &*self {
            Self::Store(StoreError::Unavailable(_)) => {
                Error::new(ErrorCode::Unavailable, "the signing keys cannot be read just now").caused_by(self)
            }
            _ => Error::internal(self),
        }
    }
}

/// The keys of access tokens: the newest one signs, all of them verify and are published.
///
/// A new key signs **at once**, on each node from the moment at which the node has heard of it. A node that has not
/// heard of it yet asks the store when it is shown a token of an unknown key ([`Self::refresh`]), before it answers;
/// so no token is refused, and nobody needs to agree on a time at which to change over. Nodes that are shown no such
/// token hear of the key by [`crate::KeyRingRefresher`]; until then only their published key set is behind.
pub struct KeyRing {
    store: Arc<dyn SigningKeyStore>,
    sealer: Arc<dyn Sealer>,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<Keys>>,
    /// How many loads have begun.
    begun: AtomicU64,
    /// How often keys were found removed.
    removals: AtomicU64,
    /// Held while loading.
    last: Mutex<LastLoad>,
}

struct LastLoad {
    /// When the last one began, by the clock's monotonic time.
    began_at: Duration,
    /// Which load was the last that ended, in the count of those that have begun.
    ended: u64,
    outcome: Result<(), Arc<KeyRingError>>,
}

/// What one load found.
struct Keys {
    /// Newest first; never empty, unless unreadable ones were left out.
    ring: Vec<Arc<SigningKey>>,
    /// When each of them was made, in the same order.
    made_at: Vec<Timestamp>,
    jwks: String,
}

impl KeyRing {
    /// How many keys there are, all of which open; 0: none was made yet. Changes nothing.
    pub async fn examine(store: &dyn SigningKeyStore, sealer: &dyn Sealer) -> Result<usize, KeyRingError> {
        let stored = store.signing_keys().await?;
        if stored.is_empty() {
            return Ok(0);
        }
        Ok(Keys::open(stored, &[], sealer)?.ring.len())
    }

    /// The installation's keys. At the first start makes one and adds it, if no other node was faster.
    pub async fn load_or_create(
        store: Arc<dyn SigningKeyStore>,
        sealer: Arc<dyn Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyRingError> {
        let began_at = clock.monotonic();
        let mut stored = store.signing_keys().await?;
        if stored.is_empty() {
            let key = SigningKey::generate(&*sealer, clock.now()).await?;
            store.add_first_signing_key(key).await?;
            // Read again: of several nodes that start at once, one wins, and all use its key.
            stored = store.signing_keys().await?;
        }
        let keys = Keys::open(stored, &[], &*sealer)?;
        Ok(Self::of(keys, (store, sealer, clock), began_at))
    }

    /// The installation's keys but for those that do not open: for whoever is about to discard them. There may be none,
    /// and until then nothing is signed.
    pub async fn load_readable(
        store: Arc<dyn SigningKeyStore>,
        sealer: Arc<dyn Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyRingError> {
        let began_at = clock.monotonic();
        let mut stored = store.signing_keys().await?;
        stored.retain(|key| SigningKey::open(key, &*sealer).is_ok());
        let keys = Keys::of(stored, &[], &*sealer)?;
        Ok(Self::of(keys, (store, sealer, clock), began_at))
    }

    fn of(
        keys: Keys,
        (store, sealer, clock): (Arc<dyn SigningKeyStore>, Arc<dyn Sealer>, Arc<dyn Clock>),
        began_at: Duration,
    ) -> Self {
        Self {
            store,
            sealer,
            clock,
            keys: RwLock::new(Arc::new(keys)),
            begun: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            last: Mutex::new(LastLoad {
                began_at,
                ended: 0,
                outcome: Ok(()),
            }),
        }
    }

    /// Reads the stored keys anew: when it answers, all keys are here that were stored when it was called.
    ///
    /// Loads begin at most once a second, and all callers who wait share the next one: whoever floods us with tokens
    /// of made-up keys waits with them, a second or two, and costs one read a second. If a load fails, the keys stay
    /// as they were.
    pub async fn refresh(&self) -> Result<(), Arc<KeyRingError>> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.ended > asked {
            // It began after we had asked.
            return last.outcome.clone();
        }
        let next = last.began_at.saturating_add(LOADS_APART);
        let wait = next.saturating_sub(self.clock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.load(&mut last).await
    }

    async fn load(&self, last: &mut LastLoad) -> Result<(), Arc<KeyRingError>> {
        last.began_at = self.clock.monotonic();
        // Counted before it reads: whoever asks from now on may ask for what it does not see.
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let read = self.read().await;
        // From here on nothing waits: a load that its caller abandons has not ended, and the next one loads itself.
        last.ended = number;
        last.outcome = read.map(|keys| self.replace(keys)).map_err(Arc::new);
        last.outcome.clone()
    }

    async fn read(&self) -> Result<Keys, KeyRingError> {
        let stored = self.store.signing_keys().await?;
        Keys::open(stored, &self.current().ring, &*self.sealer)
    }

    fn replace(&self, keys: Keys) {
        let keys = Arc::new(keys);
        let signing = keys.signing().map(|key| key.kid.clone());
        let before = std::mem::replace(
            &mut *self.keys.write().unwrap_or_else(PoisonError::into_inner),
            Arc::clone(&keys),
        );
        if before.ring.iter().any(|key| keys.position(&key.kid).is_none()) {
            self.removals.fetch_add(1, Ordering::SeqCst);
        }
        if before.signing().map(|key| key.kid.clone()) != signing {
            tracing::info!(
                kid = signing,
                "access tokens are signed with another key from now on"
            );
        }
    }

    fn current(&self) -> Arc<Keys> {
        // Whoever panicked holding it had replaced the keys or not: either way they are whole.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key that signs, if there is one.
    pub(crate) fn signing(&self) -> Option<Arc<SigningKey>> {
        self.current().signing().map(Arc::clone)
    }

    /// The key of that id, and when another took its place, if one did.
    pub(crate) fn find(&self, kid: &str) -> Option<(Arc<SigningKey>, Option<Timestamp>)> {
        let current = self.current();
        let at = current.position(kid)?;
        let replaced_at = at.checked_sub(1).map(|newer| current.made_at[newer]);
        Some((Arc::clone(&current.ring[at]), replaced_at))
    }

    /// How often keys were removed: what an earlier key proved may be good no more.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// The public keys as a JWK set (RFC 7517), in JSON.
    pub fn jwks(&self) -> String {
        self.current().jwks.clone()
    }

    /// Adds a key, and answers its id and which ones were removed.
    async fn add(&self, record: Record, old: OldKeys) -> Result<RotatedSigningKey, KeyRingError> {
        let now = self.clock.now();
        let stored = self.store.signing_keys().await?;
        let newest = stored.iter().map(|key| key.created_at).max();
        // The newest signs: it must be that also if the clock of the node that made the last one is ahead of ours.
        let created_at = newest.map_or(now, |newest| now.max(newest.plus(Duration::from_micros(1))));
        let key = SigningKey::generate(&*self.sealer, created_at).await?;
        let kid = key.kid.clone();
        let mut unreadable = match old {
            OldKeys::DiscardUnreadable => self.unreadable(&stored),
            OldKeys::Verify | OldKeys::DiscardAll => Vec::new(),
        };
        let retired = RetiredKeys {
            replaced_before: match old {
                OldKeys::DiscardAll => Timestamp::from_micros(i64::MAX),
                OldKeys::Verify | OldKeys::DiscardUnreadable => now.minus(KEPT_AFTER_REPLACED),
            },
            named: unreadable.clone(),
        };
        let mut removed = self.store.add_signing_key(key, retired, record).await?;
        // Of several who discard them at once, one does.
        unreadable.retain(|kid| removed.contains(kid));
        removed.retain(|kid| !unreadable.contains(kid));
        Ok(RotatedSigningKey {
            kid,
            removed,
            unreadable,
        })
    }

    /// Those that do not open, whatever is known of them here.
    fn unreadable(&self, stored: &[StoredSigningKey]) -> Vec<String> {
        let sealed = stored
            .iter()
            .filter(|key| SigningKey::open(key, &*self.sealer).is_err());
        sealed.map(|key| key.kid.clone()).collect()
    }
}

#[async_trait]
impl SigningKeys for KeyRing {
    async fn rotate(&self, record: Record, old: OldKeys) -> Result<RotatedSigningKey, Error> {
        let rotated = self
            .add(record, old)
            .await
            .map_err(|error| Arc::new(error).answer())?;
        let loaded = self.load(&mut *self.last.lock().await).await;
        if let Err(error) = loaded {
            // The key is stored, and that is what was asked; this node hears of it like the others.
            let chain = error.answer().chain();
            tracing::warn!(
                error = chain,
                "a new signing key is stored and could not be read back yet"
            );
        }
        Ok(rotated)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.current().ring.iter().map(|key| &key.kid))
            .finish()
    }
}

impl Keys {
    /// Opens what is stored, but for the keys that are open already. There must be one.
    fn open(
        stored: Vec<StoredSigningKey>,
        known: &[Arc<SigningKey>],
        sealer: &dyn Sealer,
    ) -> Result<Self, KeyRingError> {
        let keys = Self::of(stored, known, sealer)?;
        if keys.ring.is_empty() {
            return Err(KeyRingError::Lost);
        }
        Ok(keys)
    }

    fn of(
        mut stored: Vec<StoredSigningKey>,
        known: &[Arc<SigningKey>],
        sealer: &dyn Sealer,
    ) -> Result<Self, KeyRingError> {
        // All nodes must agree on the newest, also if two were made at the same moment.
        stored.sort_by(|a, b| (b.created_at, &b.kid).cmp(&(a.created_at, &a.kid)));
        let keys: Vec<_> = stored
            .iter()
            .map(|stored| match known.iter().find(|key| key.kid == stored.kid) {
                Some(key) => Ok(Arc::clone(key)),
                None => SigningKey::open(stored, sealer).map(Arc::new),
            })
            .collect::<Result<_, _>>()?;
        let set = JwkSet {
            keys: keys.iter().map(|key| key.jwk.clone()).collect(),
        };
        let jwks = serde_json::to_string(&set).map_err(KeyRingError::Unwritable)?;
        let made_at = stored.iter().map(|key| key.created_at).collect();
        Ok(Self {
            ring: keys,
            made_at,
            jwks,
        })
    }

    fn position(&self, kid: &str) -> Option<usize> {
        self.ring.iter().position(|key| key.kid == kid)
    }

    fn signing(&self) -> Option<&Arc<SigningKey>> {
        self.ring.first()
    }
}

#[cfg(test)]
#[path = "key_ring_tests.rs"]
pub(crate) mod tests;
