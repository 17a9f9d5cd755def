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
    pub const OVERHEAD_BYTES: usize = HEADER_LEN + NONCE_LEN + MAX_TAG_LEN;

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

/// Why a node must not start with these master keys.
#[derive(Debug, Error)]
pub enum MasterKeyCheckError {
    /// The data was sealed with another key, or the check value was altered.
    #[error(
        "the configured master key (id {configured}) is not the one that this installation's secrets are sealed \
         with (id {stored}), and no other known key is; configure that one, or the secrets cannot be read"
    )]
    WrongMasterKey {
        /// Which key is configured as the current one.
        configured: KeyId,
        /// Which key sealed the stored check value, as far as it says.
        stored: KeyId,
    },
    /// The check value cannot be read or stored.
    #[error("the master key cannot be checked against the database")]
    Store(#[from] StoreError),
}

/// Holds the known master keys against the installation's: stores a check value, sealed with the current key, at the
/// first start, and opens it at every later one. If no known key opens it, that is
/// [`MasterKeyCheckError::WrongMasterKey`].
///
/// Any known key will do, as while the master key is being replaced the check value is still sealed with the old one,
/// and for nodes that were not told of the new one as their current one, it is afterwards sealed with another.
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
                configured: sealer.key_id(),
                stored: KeyId(id),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{CountingRandomness, sealer};
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
        sealed[..HEADER_LEN].copy_from_slice(&ours.current.header());
        assert_eq!(ours.open(CONTEXT, &sealed), Err(SealError));
    }

    #[test]
    fn known_keys_open_and_only_the_current_one_seals() {
        let (old, new, both) = (sealer(1), sealer(2), knowing(2, &[1, 3]));
        let (by_old, by_both) = (old.seal(CONTEXT, b"old"), both.seal(CONTEXT, b"new"));
        assert_eq!(both.open(CONTEXT, &by_old).unwrap(), b"old");
        assert_eq!(new.open(CONTEXT, &by_both).unwrap(), b"new");
        assert_eq!(old.open(CONTEXT, &by_both), Err(SealError));
        assert!(both.is_current(&by_both) && new.is_current(&by_both));
        assert!(!both.is_current(&by_old) && old.is_current(&by_old));
        // A key that nobody knows, another context, and what was altered stay closed.
        assert_eq!(
            both.open(CONTEXT, &sealer(4).seal(CONTEXT, b"x")),
            Err(SealError)
        );
        assert_eq!(both.open(b"another", &by_old), Err(SealError));
        for position in 0..by_old.len() {
            let mut altered = by_old.clone();
            altered[position] ^= 1;
            assert_eq!(both.open(CONTEXT, &altered), Err(SealError), "byte {position}");
        }
        // A known key's id on what another known key sealed.
        let mut relabelled = by_old.clone();
        relabelled[..HEADER_LEN].copy_from_slice(&both.current.header());
        assert_eq!(both.open(CONTEXT, &relabelled), Err(SealError));
    }

    #[test]
    fn nothing_that_was_never_sealed_is_current() {
        let ours = sealer(1);
        let header = ours.current.header();
        for bytes in [b"".as_slice(), &header[..4], &[0; 40]] {
            assert!(!ours.is_current(bytes));
        }
        let mut of_another_layout = ours.seal(CONTEXT, b"x");
        of_another_layout[0] = 2;
        assert!(!ours.is_current(&of_another_layout));
    }

    #[test]
    fn a_key_that_is_known_twice_does_no_harm() {
        let twice = knowing(1, &[1, 1]);
        let sealed = twice.seal(CONTEXT, b"x");
        assert!(twice.is_current(&sealed));
        assert_eq!(twice.open(CONTEXT, &sealed).unwrap(), b"x");
    }

    #[test]
    fn debug_shows_ids_only() {
        let shown = format!("{:?}", knowing(1, &[2]));
        assert!(shown.contains(&sealer(1).key_id().to_string()) && shown.contains(&sealer(2).key_id().to_string()));
        assert!(!shown.contains("0101") && !shown.contains("1, 1"), "{shown}");
    }

    fn knowing(current: u8, others: &[u8]) -> AeadSealer {
        let others: Vec<_> = others.iter().map(|byte| MasterKey::from_bytes([*byte; 32])).collect();
        AeadSealer::with_known(
            &MasterKey::from_bytes([current; 32]),
            &others,
            Arc::new(CountingRandomness::default()),
        )
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

    /// The nodes of an installation, one after the other, through the replacement of key 1 by key 2.
    #[tokio::test]
    async fn the_check_passes_throughout_a_rotation_and_refuses_whom_it_left_behind() {
        let facts = Facts::default();
        verify_master_key(&facts, &sealer(1)).await.unwrap();
        // Every node learns of the new key first, then seals with it.
        verify_master_key(&facts, &knowing(1, &[2])).await.unwrap();
        verify_master_key(&facts, &knowing(2, &[1])).await.unwrap();
        // Who does not know the old one yet needs it.
        assert!(verify_master_key(&facts, &sealer(2)).await.is_err());
        // Everything is re-encrypted, the check value last.
        let resealed = sealer(2).seal(CHECK_CONTEXT, CHECK_VALUE);
        facts.0.lock().unwrap().insert(CHECK_NAME.to_owned(), resealed);
        for known in [knowing(2, &[1]), knowing(1, &[2]), sealer(2)] {
            verify_master_key(&facts, &known).await.unwrap();
        }
        let left_behind = verify_master_key(&facts, &knowing(1, &[3])).await.unwrap_err();
        assert!(matches!(
            left_behind,
            MasterKeyCheckError::WrongMasterKey { configured, stored }
                if configured == sealer(1).key_id() && stored == sealer(2).key_id()
        ));
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
