use std::{cmp::Reverse, fmt};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use postrider_application::ports::{Clock, SealError, Sealer, SigningKeyStore, StoreError, StoredSigningKey};
use thiserror::Error;
use tokio::task::JoinError;
use zeroize::Zeroizing;

/// The one algorithm of access tokens.
pub(crate) const ALGORITHM: Algorithm = Algorithm::RS256;

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
    /// The store answers no key although one was just added.
    #[error("the store holds no signing key after one was added")]
    Lost,
}

/// One key pair, and what it publishes.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) private: EncodingKey,
    pub(crate) public: DecodingKey,
    jwk: Jwk,
}

impl SigningKey {
    /// The key of a PKCS #8 document; nothing if it holds no RSA key.
    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        // The library takes PKCS #8 in PEM only.
        let body = Zeroizing::new(STANDARD.encode(pkcs8));
        let pem = Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            &*body
        ));
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).ok()?;
        let mut jwk = Jwk::from_encoding_key(&private, ALGORITHM).ok()?;
        // RFC 7638: the same key has the same id, wherever it is computed.
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self {
            kid,
            private,
            public,
            jwk,
        })
    }

    fn open(stored: &StoredSigningKey, sealer: &dyn Sealer) -> Result<Self, KeyRingError> {
        let kid = || stored.kid.clone();
        let pkcs8 = sealer
            .open(&context(&stored.kid), &stored.sealed_private_key)
            .map(Zeroizing::new)
            .map_err(|cause| KeyRingError::Sealed { kid: kid(), cause })?;
        Self::from_pkcs8(&pkcs8)
            .filter(|key| key.kid == stored.kid)
            .ok_or_else(|| KeyRingError::Malformed { kid: kid() })
    }
}

/// The keys of access tokens: the newest one signs, all of them verify.
pub struct KeyRing {
    /// Newest first; never empty.
    keys: Vec<SigningKey>,
    jwks: String,
}

impl KeyRing {
    /// The installation's keys. At the first start makes one: 2,048 bits of RSA, generated on a blocking thread
    /// by the provider's own generator, sealed, and added if no other node was faster.
    pub async fn load_or_create(
        store: &dyn SigningKeyStore,
        sealer: &dyn Sealer,
        clock: &dyn Clock,
    ) -> Result<Self, KeyRingError> {
        let mut stored = store.signing_keys().await?;
        if stored.is_empty() {
            let (kid, pkcs8) = generate().await?;
            let sealed_private_key = sealer.seal(&context(&kid), pkcs8.as_ref());
            let key = StoredSigningKey {
                kid,
                sealed_private_key,
                created_at: clock.now(),
            };
            store.add_first_signing_key(key).await?;
            // Read again: of several nodes that start at once, one wins, and all use its key.
            stored = store.signing_keys().await?;
        }
        stored.sort_by_key(|key| Reverse(key.created_at));
        let keys: Vec<_> = stored
            .iter()
            .map(|key| SigningKey::open(key, sealer))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(KeyRingError::Lost);
        }
        let set = JwkSet {
            keys: keys.iter().map(|key| key.jwk.clone()).collect(),
        };
        let jwks = serde_json::to_string(&set).map_err(KeyRingError::Unwritable)?;
        Ok(Self { keys, jwks })
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        // Not empty, by construction.
        &self.keys[0]
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The public keys as a JWK set (RFC 7517), in JSON.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.kid))
            .finish()
    }
}

fn context(kid: &str) -> Vec<u8> {
    format!("postrider:access-token-signing-key:{kid}").into_bytes()
}

async fn generate() -> Result<(String, Pkcs8V1Der<'static>), KeyRingError> {
    let failed = |cause: &'static str| KeyRingError::Generation(cause.into());
    tokio::task::spawn_blocking(move || {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("the provider refused"))?;
        let pkcs8: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| failed("it has no PKCS #8 form"))?;
        let key = SigningKey::from_pkcs8(pkcs8.as_ref()).ok_or_else(|| failed("it cannot be read back"))?;
        Ok((key.kid, pkcs8))
    })
    .await
    .map_err(|error: JoinError| KeyRingError::Generation(error.into()))?
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_support::{TestClock, sealer};
    use async_trait::async_trait;
    use postrider_domain::Timestamp;
    use std::sync::Mutex;
    use tokio::sync::Barrier;

    /// A store in which everybody who looks first finds nothing, `racers` of them.
    pub(crate) struct Keys {
        pub(crate) stored: Mutex<Vec<StoredSigningKey>>,
        offered: Mutex<Vec<String>>,
        before_adding: Barrier,
    }

    impl Keys {
        pub(crate) fn for_racers(racers: usize) -> Self {
            Self {
                stored: Mutex::default(),
                offered: Mutex::default(),
                before_adding: Barrier::new(racers),
            }
        }
    }

    #[async_trait]
    impl SigningKeyStore for Keys {
        async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
            Ok(self.stored.lock().unwrap().clone())
        }

        async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError> {
            self.before_adding.wait().await;
            self.offered.lock().unwrap().push(key.kid.clone());
            let mut stored = self.stored.lock().unwrap();
            if stored.is_empty() {
                stored.push(key);
            }
            Ok(())
        }
    }

    pub(crate) async fn load(store: &Keys) -> Result<KeyRing, KeyRingError> {
        KeyRing::load_or_create(store, &sealer(1), &TestClock::at_seconds(1_000)).await
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_found_again() {
        let store = Keys::for_racers(1);
        let first = load(&store).await.unwrap();
        let stored = store.stored.lock().unwrap().clone();
        assert_eq!(stored[0].created_at, Timestamp::from_micros(1_000_000_000));
        assert_eq!(load(&store).await.unwrap().jwks(), first.jwks());
        assert_eq!(store.offered.lock().unwrap().len(), 1);
        assert_eq!(format!("{first:?}"), format!("[{:?}]", stored[0].kid));
    }

    #[tokio::test]
    async fn two_nodes_that_start_at_once_use_one_key() {
        let store = Keys::for_racers(2);
        let (a, b) = tokio::join!(load(&store), load(&store));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.signing().kid, b.signing().kid);
        assert_eq!(a.jwks(), b.jwks());
        let offered = store.offered.lock().unwrap();
        assert_eq!(offered.len(), 2);
        assert_ne!(offered[0], offered[1], "both made a key, and one of them lost");
    }

    #[tokio::test]
    async fn the_key_set_publishes_the_public_half_only() {
        let ring = load(&Keys::for_racers(1)).await.unwrap();
        let set: serde_json::Value = serde_json::from_str(ring.jwks()).unwrap();
        let key = set["keys"][0].as_object().unwrap();
        let mut members: Vec<_> = key.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(
            (&key["kty"], &key["alg"], &key["use"], &key["e"]),
            (&"RSA".into(), &"RS256".into(), &"sig".into(), &"AQAB".into())
        );
        assert_eq!(key["kid"], ring.signing().kid);
        // 2,048 bits in base64url without padding.
        assert_eq!(key["n"].as_str().unwrap().len(), 342);
    }

    #[tokio::test]
    async fn the_newest_key_signs_and_all_are_published() {
        let (old, new) = (Keys::for_racers(1), Keys::for_racers(1));
        load(&old).await.unwrap();
        KeyRing::load_or_create(&new, &sealer(1), &TestClock::at_seconds(2_000))
            .await
            .unwrap();
        let (old, new) = (
            old.stored.lock().unwrap().remove(0),
            new.stored.lock().unwrap().remove(0),
        );
        for order in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
            let both = Keys::for_racers(1);
            both.stored.lock().unwrap().extend(order);
            let ring = load(&both).await.unwrap();
            assert_eq!(ring.signing().kid, new.kid);
            assert!(ring.find(&old.kid).is_some() && ring.find("other").is_none());
            assert!(ring.jwks().contains(&old.kid) && ring.jwks().contains(&new.kid));
        }
    }

    #[tokio::test]
    async fn a_key_that_was_moved_altered_or_sealed_otherwise_is_refused() {
        let store = Keys::for_racers(1);
        load(&store).await.unwrap();
        let good = store.stored.lock().unwrap().remove(0);
        let with = |key: StoredSigningKey| {
            let store = Keys::for_racers(1);
            store.stored.lock().unwrap().push(key);
            store
        };
        let mut altered = good.clone();
        altered.sealed_private_key[100] ^= 1;
        let renamed = StoredSigningKey {
            kid: "another".to_owned(),
            ..good.clone()
        };
        for bad in [altered, renamed] {
            assert!(matches!(load(&with(bad)).await, Err(KeyRingError::Sealed { .. })));
        }
        let other_master =
            KeyRing::load_or_create(&with(good.clone()), &sealer(2), &TestClock::at_seconds(1)).await;
        assert!(matches!(other_master, Err(KeyRingError::Sealed { .. })));
        let pkcs8 = sealer(1)
            .open(&context(&good.kid), &good.sealed_private_key)
            .unwrap();
        for (kid, plain) in [(good.kid.as_str(), b"no key".as_slice()), ("another", &pkcs8)] {
            let sealed_private_key = sealer(1).seal(&context(kid), plain);
            let bad = StoredSigningKey {
                kid: kid.to_owned(),
                sealed_private_key,
                created_at: good.created_at,
            };
            assert!(matches!(
                load(&with(bad)).await,
                Err(KeyRingError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn key_ids_are_the_thumbprints_of_rfc_7638() {
        // The example of RFC 7638, section 3.1.
        let jwk: Jwk = serde_json::from_str(
            r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#,
        )
        .unwrap();
        assert_eq!(
            jwk.thumbprint(ThumbprintHash::SHA256).unwrap(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
