use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    digest::{self, SHA256},
};
use postrider_application::ports::{Randomness, SealError, Sealer};

use crate::MasterKey;

/// The first byte of everything sealed: the layout that follows.
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = 1 + KEY_ID_LEN;
/// Keeps the key id apart from any other hash of the key.
const KEY_ID_LABEL: &[u8] = b"postrider master key id v1";

/// Names a master key without telling anything of it: the beginning of a hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    fn of(key: &MasterKey) -> Self {
        let mut hash = digest::Context::new(&SHA256);
        hash.update(KEY_ID_LABEL);
        hash.update(key.as_bytes());
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&hash.finish().as_ref()[..KEY_ID_LEN]);
        Self(id)
    }

    /// Which key sealed these bytes, as far as they say: all zeros, if they are too short to.
    pub(crate) fn named_in(sealed: &[u8]) -> Self {
        let id = sealed.get(1..).and_then(<[u8]>::first_chunk).copied();
        Self(id.unwrap_or_default())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One master key, ready for work.
struct KnownKey {
    id: KeyId,
    key: LessSafeKey,
}

impl KnownKey {
    #[expect(
        clippy::expect_used,
        reason = "fails only for a key of another length than 32 bytes"
    )]
    fn new(key: &MasterKey) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("a key of 32 bytes");
        Self {
            id: KeyId::of(key),
            key: LessSafeKey::new(unbound),
        }
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.id.0;
        [VERSION, a, b, c, d]
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let header = self.header();
        let rest = sealed.strip_prefix(&header)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        let associated = Aad::from([header.as_slice(), context].concat());
        let mut body = body.to_vec();
        let plain_len = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), associated, &mut body)
            .ok()?
            .len();
        body.truncate(plain_len);
        Some(body)
    }
}

/// Seals with AES-256-GCM under the current master key, and opens what it or another known one sealed: while the
/// master key is being replaced, what is stored is sealed with either.
///
/// Sealed bytes are: a version byte (1), the key's id (4 bytes), the nonce (12), the ciphertext, the tag (16).
/// Version, key id and context are authenticated. Nonces are random, so one key is good for some 2^32 sealings:
/// secrets are few, payloads must not be sealed with it.
pub struct AeadSealer {
    current: KnownKey,
    others: Vec<KnownKey>,
    randomness: Arc<dyn Randomness>,
}

impl AeadSealer {
    /// How many bytes longer than the plain bytes the sealed ones are.
    const OVERHEAD_BYTES: usize = HEADER_LEN + NONCE_LEN + MAX_TAG_LEN;

    /// Seals and opens with `key`.
    pub fn new(key: &MasterKey, randomness: Arc<dyn Randomness>) -> Self {
        Self::with_known(key, &[], randomness)
    }

    /// Seals with `current`; opens with it and with `others`, in whatever number: the keys that came before it, or
    /// the one that is to come after it.
    pub fn with_known(current: &MasterKey, others: &[MasterKey], randomness: Arc<dyn Randomness>) -> Self {
        Self {
            current: KnownKey::new(current),
            others: others.iter().map(KnownKey::new).collect(),
            randomness,
        }
    }

    /// Which key seals.
    pub const fn key_id(&self) -> KeyId {
        self.current.id
    }

    fn known(&self) -> impl Iterator<Item = &KnownKey> {
        std::iter::once(&self.current).chain(&self.others)
    }
}

impl Sealer for AeadSealer {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let header = self.current.header();
        let nonce = self.randomness.bytes::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(plain.len() + Self::OVERHEAD_BYTES);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        let mut body = Vec::with_capacity(plain.len() + MAX_TAG_LEN);
        body.extend_from_slice(plain);
        let associated = Aad::from([header.as_slice(), context].concat());
        #[expect(clippy::expect_used, reason = "fails only beyond 64 GiB, which no secret has")]
        self.current
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut body)
            .expect("a secret is shorter than 64 GiB");
        sealed.append(&mut body);
        sealed
    }

    /// The key id in the header only says which keys to try; what decides is the tag.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.known()
            .find_map(|key| key.open(context, sealed))
            .ok_or(SealError)
    }

    /// By the key id in the header, without opening. (Of two random keys, one pair in 2^32 has the same id.)
    fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.current.header())
    }

    fn key_id(&self) -> String {
        self.current.id.to_string()
    }
}

impl fmt::Debug for AeadSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<_> = self.others.iter().map(|key| key.id).collect();
        f.debug_struct("AeadSealer")
            .field("current", &self.current.id)
            .field("others", &others)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "sealer_tests.rs"]
mod tests;
