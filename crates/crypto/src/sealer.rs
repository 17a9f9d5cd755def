use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    digest::{self, SHA256},
};
use postrider_application::ports::{InstallationFacts, Randomness, SealError, Sealer, StoreError};
use thiserror::Error;

use crate::MasterKey;

/// The first byte of everything sealed: the layout that follows.
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = 1 + KEY_ID_LEN;
/// Keeps the key id apart from any other hash of the key.
const KEY_ID_LABEL: &[u8] = b"postrider master key id v1";

const CHECK_NAME: &str = "master_key_check";
const CHECK_CONTEXT: &[u8] = b"postrider:installation:master_key_check";
const CHECK_VALUE: &[u8] = b"postrider";

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

/// Seals with AES-256-GCM under the master key.
///
/// Sealed bytes are: a version byte (1), the key's id (4 bytes), the nonce (12), the ciphertext, the tag (16).
/// Version, key id and context are authenticated. Nonces are random, so one key is good for some 2^32 sealings:
/// secrets are few, payloads must not be sealed with it.
pub struct AeadSealer {
    key: LessSafeKey,
    key_id: KeyId,
    randomness: Arc<dyn Randomness>,
}

impl AeadSealer {
    /// How many bytes longer than the plain bytes the sealed ones are.
    pub const OVERHEAD_BYTES: usize = HEADER_LEN + NONCE_LEN + MAX_TAG_LEN;

    /// Seals with `key`.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "fails only for a key of another length than 32 bytes"
    )]
    pub fn new(key: &MasterKey, randomness: Arc<dyn Randomness>) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("a key of 32 bytes");
        Self {
            key: LessSafeKey::new(unbound),
            key_id: KeyId::of(key),
            randomness,
        }
    }

    /// Which key this is.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.key_id.0;
        [VERSION, a, b, c, d]
    }
}

impl Sealer for AeadSealer {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let header = self.header();
        let nonce = self.randomness.bytes::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(plain.len() + Self::OVERHEAD_BYTES);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        let mut body = Vec::with_capacity(plain.len() + MAX_TAG_LEN);
        body.extend_from_slice(plain);
        let associated = Aad::from([header.as_slice(), context].concat());
        #[expect(clippy::expect_used, reason = "fails only beyond 64 GiB, which no secret has")]
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut body)
            .expect("a secret is shorter than 64 GiB");
        sealed.append(&mut body);
        sealed
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let header = self.header();
        let rest = sealed.strip_prefix(&header).ok_or(SealError)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError)?;
        let associated = Aad::from([header.as_slice(), context].concat());
        let mut body = body.to_vec();
        let plain_len = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), associated, &mut body)
            .map_err(|_| SealError)?
            .len();
        body.truncate(plain_len);
        Ok(body)
    }
}

impl fmt::Debug for AeadSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AeadSealer")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Why a node must not start with this master key.
#[derive(Debug, Error)]
pub enum MasterKeyCheckError {
    /// The data was sealed with another key, or the check value was altered.
    #[error(
        "the configured master key (id {configured}) is not the one that this installation's secrets are sealed \
         with (id {stored}); configure that one, or the secrets cannot be read"
    )]
    WrongMasterKey {
        /// Which key is configured.
        configured: KeyId,
        /// Which key sealed the stored check value, as far as it says.
        stored: KeyId,
    },
    /// The check value cannot be read or stored.
    #[error("the master key cannot be checked against the database")]
    Store(#[from] StoreError),
}

/// Holds the configured master key against the installation's: stores a sealed check value at the first start,
/// and opens it at every later one. A key that does not open it is [`MasterKeyCheckError::WrongMasterKey`].
pub async fn verify_master_key(
    facts: &dyn InstallationFacts,
    sealer: &AeadSealer,
) -> Result<(), MasterKeyCheckError> {
    let stored = facts
        .get_or_insert(CHECK_NAME, sealer.seal(CHECK_CONTEXT, CHECK_VALUE))
        .await?;
    match sealer.open(CHECK_CONTEXT, &stored) {
        Ok(value) if value == CHECK_VALUE => Ok(()),
        _ => {
            let id = stored
                .get(1..)
                .and_then(<[u8]>::first_chunk)
                .copied()
                .unwrap_or_default();
            Err(MasterKeyCheckError::WrongMasterKey {
                configured: sealer.key_id,
                stored: KeyId(id),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::sealer;
    use async_trait::async_trait;
    use std::{collections::HashMap, sync::Mutex};

    const CONTEXT: &[u8] = b"endpoint-secret:ten_1:ep_1";

    #[test]
    fn what_was_sealed_opens_under_its_context_only() {
        let ours = sealer(7);
        for plain in [b"".as_slice(), b"x", &[0; 32], &[0xff; 5_000]] {
            let sealed = ours.seal(CONTEXT, plain);
            assert_eq!(sealed.len(), plain.len() + AeadSealer::OVERHEAD_BYTES);
            assert_eq!(ours.open(CONTEXT, &sealed).unwrap(), plain);
            for context in [
                b"".as_slice(),
                b"endpoint-secret:ten_2:ep_1",
                b"endpoint-secret:ten_1:ep_11",
                b"x",
            ] {
                assert_eq!(ours.open(context, &sealed), Err(SealError));
            }
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let ours = sealer(7);
        let sealed = ours.seal(CONTEXT, b"whsec of somebody");
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut altered = sealed.clone();
                altered[position] ^= 1 << bit;
                assert_eq!(
                    ours.open(CONTEXT, &altered),
                    Err(SealError),
                    "byte {position} bit {bit}"
                );
            }
            assert_eq!(
                ours.open(CONTEXT, &sealed[..position]),
                Err(SealError),
                "cut at {position}"
            );
        }
        assert_eq!(
            ours.open(CONTEXT, &[sealed.as_slice(), &[0]].concat()),
            Err(SealError)
        );
    }

    #[test]
    fn another_key_does_not_open_it_and_nonces_differ() {
        let sealed = sealer(7).seal(CONTEXT, b"secret");
        assert_eq!(sealer(8).open(CONTEXT, &sealed), Err(SealError));
        let ours = sealer(7);
        assert_ne!(ours.seal(CONTEXT, b"secret"), ours.seal(CONTEXT, b"secret"));
    }

    #[test]
    fn a_body_under_another_key_with_our_header_does_not_open() {
        // The key id is only a hint: what decides is the tag.
        let (ours, theirs) = (sealer(7), sealer(8));
        let mut sealed = theirs.seal(CONTEXT, b"secret");
        sealed[..HEADER_LEN].copy_from_slice(&ours.header());
        assert_eq!(ours.open(CONTEXT, &sealed), Err(SealError));
    }

    #[derive(Default)]
    struct Facts(Mutex<HashMap<String, Vec<u8>>>);

    #[async_trait]
    impl InstallationFacts for Facts {
        async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
            Ok(self
                .0
                .lock()
                .unwrap()
                .entry(name.to_owned())
                .or_insert(value)
                .clone())
        }
    }

    #[tokio::test]
    async fn the_first_key_is_the_only_one_that_is_accepted_afterwards() {
        let facts = Facts::default();
        let (right, wrong) = (sealer(1), sealer(2));
        verify_master_key(&facts, &right).await.unwrap();
        verify_master_key(&facts, &right).await.unwrap();
        let error = verify_master_key(&facts, &wrong).await.unwrap_err();
        assert!(matches!(
            &error,
            MasterKeyCheckError::WrongMasterKey { configured, stored }
                if *configured == wrong.key_id() && *stored == right.key_id()
        ));
        assert!(error.to_string().contains(&right.key_id().to_string()));
        verify_master_key(&facts, &right).await.unwrap();
    }

    #[tokio::test]
    async fn an_altered_or_empty_check_value_is_no_panic() {
        for stored in [vec![], vec![1], vec![1, 2, 3], vec![0; 200]] {
            let facts = Facts(Mutex::new(HashMap::from([(CHECK_NAME.to_owned(), stored)])));
            let checked = verify_master_key(&facts, &sealer(1)).await;
            assert!(matches!(checked, Err(MasterKeyCheckError::WrongMasterKey { .. })));
        }
    }
}
