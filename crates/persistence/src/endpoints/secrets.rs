use std::{collections::BTreeMap, fmt, sync::Arc};

use postrider_application::ports::{SealError, Sealer, StoreError};
use postrider_domain::{
    EndpointId, TenantId,
    endpoints::{
        CustomHeaders, Ed25519Key, EndpointSecret, HeaderName, HeaderValue, HeldSecret, SecretRing,
        SecretType, SigningSecret,
    },
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{codec::timestamp, error::corrupt};

/// What is sealed of an endpoint, each under a purpose of its own: what is put in another's place does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The current secret, if it is symmetric.
    Secret,
    /// The current secret, if it is a key pair.
    KeyPair,
    /// Secrets of before.
    OldSecrets,
    /// Values of headers.
    Headers,
}

impl Purpose {
    /// Part of what is authenticated, so it never changes.
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Secret => b"postrider endpoint secret v1",
            Self::KeyPair => b"postrider endpoint key pair v1",
            Self::OldSecrets => b"postrider endpoint old secrets v1",
            Self::Headers => b"postrider endpoint headers v1",
        }
    }

    /// Of a current secret of that kind, as it is stored.
    pub(crate) fn of_secret(kind: Option<&str>) -> Self {
        if kind == Some(SecretType::Ed25519.as_str()) {
            Self::KeyPair
        } else {
            Self::Secret
        }
    }
}

/// Seals and opens what endpoints keep secret.
#[derive(Clone)]
pub(crate) struct EndpointSecrets(Arc<dyn Sealer>);

/// Why a stored secret is of no use. Says nothing of it.
#[derive(Debug, Clone, Copy, Error)]
#[error("what is stored secretly of an endpoint does not open: wrong master key, or altered")]
pub(crate) struct Unreadable;

impl From<SealError> for Unreadable {
    fn from(_: SealError) -> Self {
        Self
    }
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Internal(Box::new(unreadable))
    }
}

/// A secret of before as it is sealed.
#[derive(Serialize, Deserialize)]
struct StoredOld {
    kind: String,
    key: Vec<u8>,
    /// Microseconds since the Unix epoch.
    until: i64,
}

/// The current secret of an endpoint, and those of before, as they are stored.
pub(super) struct SealedRing {
    pub(super) kind: Option<String>,
    pub(super) current: Vec<u8>,
    pub(super) old: Option<Vec<u8>>,
}

impl EndpointSecrets {
    pub(crate) fn sealed_with(sealer: Arc<dyn Sealer>) -> Self {
        Self(sealer)
    }

    /// What seals everything that is stored secretly.
    pub(crate) fn sealer(&self) -> &dyn Sealer {
        &*self.0
    }

    /// The context under which something of that endpoint is sealed: purpose, tenant, endpoint. The ids have a fixed
    /// length, so that no two contexts are the same bytes. It opens for this endpoint of this tenant only: a row that
    /// is copied elsewhere is useless there.
    pub(crate) fn context(purpose: Purpose, tenant: TenantId, endpoint: EndpointId) -> Vec<u8> {
        [
            purpose.as_bytes(),
            tenant.as_uuid().as_bytes(),
            endpoint.as_uuid().as_bytes(),
        ]
        .concat()
    }

    /// The secrets as they are stored.
    pub(super) fn seal(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        ring: &SecretRing,
    ) -> Result<SealedRing, StoreError> {
        let kind = ring.current().kind();
        let purpose = Purpose::of_secret(Some(kind.as_str()));
        let old = if ring.old().is_empty() {
            None
        } else {
            let context = Self::context(Purpose::OldSecrets, tenant, endpoint);
            Some(self.0.seal(&context, &write_old(ring.old())?))
        };
        let context = Self::context(purpose, tenant, endpoint);
        Ok(SealedRing {
            // None means symmetric: rows of releases that knew no other kind say nothing.
            kind: (kind != SecretType::Hmac).then(|| kind.as_str().to_owned()),
            current: self.0.seal(&context, &key_bytes(ring.current())),
            old,
        })
    }

    /// The secrets that were stored.
    pub(super) fn open(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        kind: Option<&str>,
        current: &[u8],
        old: Option<&[u8]>,
    ) -> Result<SecretRing, Unreadable> {
        let purpose = Purpose::of_secret(kind);
        let opened = self.0.open(&Self::context(purpose, tenant, endpoint), current)?;
        let current = read_key(purpose == Purpose::KeyPair, &Zeroizing::new(opened))?;
        let old = match old {
            None => Vec::new(),
            Some(sealed) => {
                let context = Self::context(Purpose::OldSecrets, tenant, endpoint);
                read_old(&Zeroizing::new(self.0.open(&context, sealed)?))?
            }
        };
        Ok(SecretRing::restore(current, old))
    }

    /// The values that are never shown, as they are stored; none if there are none.
    pub(super) fn seal_headers(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        headers: &CustomHeaders,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let secret = headers.all().iter().filter(|(_, value)| value.is_secret());
        let secret: BTreeMap<&str, &str> = secret
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        if secret.is_empty() {
            return Ok(None);
        }
        let json = serde_json::to_vec(&secret).map_err(|why| corrupt("headers", why))?;
        let context = Self::context(Purpose::Headers, tenant, endpoint);
        Ok(Some(self.0.seal(&context, &Zeroizing::new(json))))
    }

    /// The headers, from what may be shown of them and what may not.
    pub(super) fn open_headers(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        shown: BTreeMap<HeaderName, Option<String>>,
        sealed: Option<&[u8]>,
    ) -> Result<CustomHeaders, Unreadable> {
        let mut secret: BTreeMap<String, String> = match sealed {
            None => BTreeMap::new(),
            Some(sealed) => {
                let context = Self::context(Purpose::Headers, tenant, endpoint);
                let json = Zeroizing::new(self.0.open(&context, sealed)?);
                serde_json::from_slice(&json).map_err(|_| Unreadable)?
            }
        };
        let mut headers = BTreeMap::new();
        for (name, shown) in shown {
            let (text, is_secret) = match shown {
                Some(text) => (text, false),
                None => (secret.remove(name.as_str()).ok_or(Unreadable)?, true),
            };
            let value = HeaderValue::parse(&text, is_secret).map_err(|_| Unreadable)?;
            headers.insert(name, value);
        }
        CustomHeaders::new(headers).map_err(|_| Unreadable)
    }
}

/// The bytes of a secret: of a key pair, the seed and the public half.
fn key_bytes(secret: &EndpointSecret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match secret {
        EndpointSecret::Hmac(secret) => secret.as_bytes().to_vec(),
        EndpointSecret::Ed25519(key) => [*key.seed(), *key.public()].concat(),
    })
}

fn read_key(is_pair: bool, bytes: &Zeroizing<Vec<u8>>) -> Result<EndpointSecret, Unreadable> {
    if is_pair {
        let (&[seed, public], []) = bytes.as_chunks() else {
            return Err(Unreadable);
        };
        return Ok(Ed25519Key::of_pair(seed, public).into());
    }
    let secret = SigningSecret::from_bytes(bytes.to_vec()).map_err(|_| Unreadable)?;
    Ok(secret.into())
}

fn write_old(old: &[HeldSecret]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let stored = |held: &HeldSecret| {
        let until = held
            .until
            .ok_or_else(|| corrupt("secret", "one of before has an end"))?;
        Ok(StoredOld {
            kind: held.secret.kind().as_str().to_owned(),
            key: key_bytes(&held.secret).to_vec(),
            until: until.as_micros(),
        })
    };
    let stored: Vec<_> = old.iter().map(stored).collect::<Result<_, StoreError>>()?;
    let json = serde_json::to_vec(&stored).map_err(|why| corrupt("secrets", why))?;
    Ok(Zeroizing::new(json))
}

fn read_old(json: &[u8]) -> Result<Vec<HeldSecret>, Unreadable> {
    let stored: Vec<StoredOld> = serde_json::from_slice(json).map_err(|_| Unreadable)?;
    let held = |stored: StoredOld| {
        let kind = SecretType::parse(&stored.kind).map_err(|_| Unreadable)?;
        let secret = read_key(kind == SecretType::Ed25519, &Zeroizing::new(stored.key))?;
        Ok(HeldSecret {
            secret,
            until: Some(timestamp(stored.until)),
        })
    };
    stored.into_iter().map(held).collect()
}

impl fmt::Debug for EndpointSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecrets(…)")
    }
}
