use std::{fmt, sync::Arc};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
};
use postrider_application::ports::Randomness;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// A text that is not the hash of an operator token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an operator token's hash is its SHA-256: 64 hexadecimal digits")]
pub struct MalformedHash;

/// The tokens by which the installation's operator is known: `pro_` and 32 random bytes in hexadecimal. Only their
/// SHA-256 is configured; since the tokens have 256 random bits, a fast hash is enough.
#[derive(Clone)]
pub struct OperatorTokens {
    known: Vec<Known>,
}

/// A token that is accepted, by its hash.
#[derive(Clone)]
struct Known {
    hash: [u8; SHA256_OUTPUT_LEN],
    name: Arc<str>,
}

impl OperatorTokens {
    /// The prefix by which secret scanners find leaked tokens.
    pub const PREFIX: &'static str = "pro_";
    const RANDOM_BYTES: usize = 32;
    /// How much of a token's hash names it.
    const NAME_BYTES: usize = 4;
    const LEN: usize = Self::PREFIX.len() + 2 * Self::RANDOM_BYTES;

    /// Accepts the tokens of these hashes; nobody, if there are none.
    pub fn new(hashes: Vec<[u8; SHA256_OUTPUT_LEN]>) -> Self {
        let known = hashes
            .into_iter()
            .map(|hash| Known {
                hash,
                name: hex::encode(&hash[..Self::NAME_BYTES]).into(),
            })
            .collect();
        Self { known }
    }

    /// A new token, to be shown once, and its hash for the configuration, in hexadecimal.
    pub fn generate(randomness: &dyn Randomness) -> (SecretString, String) {
        let token = format!(
            "{}{}",
            Self::PREFIX,
            hex::encode(randomness.bytes::<{ Self::RANDOM_BYTES }>())
        );
        let hash = hex::encode(hash(&token));
        (token.into(), hash)
    }

    /// The hash of a token, in hexadecimal, as it is configured.
    pub fn hash_hex(token: &SecretString) -> String {
        hex::encode(hash(token.expose_secret()))
    }

    /// Parses a configured hash.
    pub fn parse_hash(text: &str) -> Result<[u8; SHA256_OUTPUT_LEN], MalformedHash> {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hex::decode_to_slice(text.trim(), &mut hash).map_err(|_| MalformedHash)?;
        Ok(hash)
    }

    /// The name of the token that this text is: the first 8 hexadecimal digits of its hash, for the audit log. None
    /// if it is no token that is accepted. Takes the same time whichever token it is, or nearly is.
    pub fn recognise(&self, bearer: &str) -> Option<Arc<str>> {
        // What a token looks like is no secret; refusing the rest early bounds the work.
        if bearer.len() != Self::LEN || !bearer.starts_with(Self::PREFIX) {
            return None;
        }
        let presented = hash(bearer);
        // No early exit: all are compared.
        let found = self.known.iter().fold(None, |found, known| {
            let fits = verify_slices_are_equal(&known.hash, &presented).is_ok();
            if fits { Some(&known.name) } else { found }
        });
        found.cloned()
    }
}

impl fmt::Debug for OperatorTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorTokens({} of them)", self.known.len())
    }
}

fn hash(token: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsRandomness;

    fn generate() -> (String, [u8; 32]) {
        let (token, hash) = OperatorTokens::generate(&OsRandomness::new());
        assert_eq!(OperatorTokens::hash_hex(&token), hash);
        (
            token.expose_secret().to_owned(),
            OperatorTokens::parse_hash(&hash).unwrap(),
        )
    }

    #[test]
    fn knows_its_tokens_and_no_others() {
        let ((a, a_hash), (b, b_hash), (stranger, _)) = (generate(), generate(), generate());
        let tokens = OperatorTokens::new(vec![a_hash, b_hash]);
        for (token, hash) in [(&a, a_hash), (&b, b_hash)] {
            let name = tokens.recognise(token).unwrap();
            assert_eq!(name.as_ref(), &hex::encode(hash)[..8]);
        }
        assert_eq!(tokens.recognise(&stranger), None);
        assert_eq!(OperatorTokens::new(Vec::new()).recognise(&a), None);
        for near in [
            "",
            "pro_",
            &a[..a.len() - 1],
            &format!("{a}0"),
            &a.to_uppercase(),
            &a[4..],
            &format!(" {a}"),
        ] {
            assert_eq!(tokens.recognise(near), None, "{near}");
        }
        for position in 0..a.len() {
            let mut altered = a.clone().into_bytes();
            altered[position] ^= 1;
            assert_eq!(tokens.recognise(std::str::from_utf8(&altered).unwrap()), None);
        }
    }

    #[test]
    fn the_hash_is_plain_sha256() {
        // The first vector of FIPS 180-2.
        assert_eq!(
            OperatorTokens::hash_hex(&"abc".into()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn malformed_hashes_are_refused_and_nothing_is_printed() {
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(OperatorTokens::parse_hash(bad), Err(MalformedHash), "{bad}");
        }
        let (_, hash) = generate();
        assert_eq!(
            format!("{:?}", OperatorTokens::new(vec![hash])),
            "OperatorTokens(1 of them)"
        );
    }
}
