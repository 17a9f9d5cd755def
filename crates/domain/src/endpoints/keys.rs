//! What webhooks are signed with: symmetric secrets, and pairs of keys.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::SigningSecret;
use crate::{InvalidValue, Rule};

/// The private half of an Ed25519 key pair and its public half, 32 bytes each. Only the public half is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Ed25519Key {
    seed: [u8; Self::BYTES],
    public: [u8; Self::BYTES],
}

impl Ed25519Key {
    /// The bytes of each half.
    pub const BYTES: usize = 32;
    /// The prefix of a private key.
    pub const PREFIX: &'static str = "whsk_";
    /// The prefix of a public key.
    pub const PUBLIC_PREFIX: &'static str = "whpk_";

    /// The pair of a seed (RFC 8032) and the public key that follows from it; whoever makes it sees to it that it does.
    pub const fn of_pair(seed: [u8; Self::BYTES], public: [u8; Self::BYTES]) -> Self {
        Self { seed, public }
    }

    /// The private half.
    pub const fn seed(&self) -> &[u8; Self::BYTES] {
        &self.seed
    }

    /// The public half.
    pub const fn public(&self) -> &[u8; Self::BYTES] {
        &self.public
    }

    /// The public half as receivers take it: `whpk_` and base64.
    pub fn public_text(&self) -> String {
        format!("{}{}", Self::PUBLIC_PREFIX, STANDARD.encode(self.public))
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519Key(…)")
    }
}

/// Which kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretType {
    /// One key for both sides: signatures `v1`, HMAC-SHA256.
    #[default]
    Hmac,
    /// A pair of keys: signatures `v1a`. The receiver cannot sign.
    Ed25519,
}

impl SecretType {
    /// Every type there is.
    pub const ALL: [Self; 2] = [Self::Hmac, Self::Ed25519];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The type of that name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be hmac or ed25519"))
    }
}

/// What an endpoint's webhooks are signed with. Encrypted at rest, never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSecret {
    /// A symmetric secret.
    Hmac(SigningSecret),
    /// A key pair.
    Ed25519(Ed25519Key),
}

impl EndpointSecret {
    /// Its kind.
    pub const fn kind(&self) -> SecretType {
        match self {
            Self::Hmac(_) => SecretType::Hmac,
            Self::Ed25519(_) => SecretType::Ed25519,
        }
    }
}

impl From<SigningSecret> for EndpointSecret {
    fn from(secret: SigningSecret) -> Self {
        Self::Hmac(secret)
    }
}

impl From<Ed25519Key> for EndpointSecret {
    fn from(key: Ed25519Key) -> Self {
        Self::Ed25519(key)
    }
}

/// A secret as somebody gave it. Of a private key it is not known yet whether its public half is the right one.
#[derive(Clone, PartialEq, Eq)]
pub enum GivenSecret {
    /// A symmetric secret.
    Hmac(SigningSecret),
    /// A private key: the seed, and the public half if that was given too.
    Ed25519 {
        /// The seed.
        seed: [u8; Ed25519Key::BYTES],
        /// What was said to be its public half.
        public: Option<[u8; Ed25519Key::BYTES]>,
    },
}

impl GivenSecret {
    /// Parses `whsec_…` or `whsk_…`; the latter holds the seed, or the seed and the public key.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let Some(encoded) = text.strip_prefix(Ed25519Key::PREFIX) else {
            if text.starts_with(SigningSecret::PREFIX) {
                return SigningSecret::parse(text).map(Self::Hmac);
            }
            return Err(InvalidValue::new(
                Rule::Format,
                "must be whsec_ or whsk_ followed by base64",
            ));
        };
        let malformed = || {
            InvalidValue::new(
                Rule::Format,
                "must be whsk_ followed by the base64 of a seed of 32 bytes, or of the seed and its public key",
            )
        };
        // A length check first, so that a huge text costs nothing.
        if encoded.len() > 88 {
            return Err(malformed());
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed())?;
        let (halves, []) = bytes.as_chunks::<{ Ed25519Key::BYTES }>() else {
            return Err(malformed());
        };
        match *halves {
            [seed] => Ok(Self::Ed25519 { seed, public: None }),
            [seed, public] => Ok(Self::Ed25519 {
                seed,
                public: Some(public),
            }),
            _ => Err(malformed()),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> SecretType {
        match self {
            Self::Hmac(_) => SecretType::Hmac,
            Self::Ed25519 { .. } => SecretType::Ed25519,
        }
    }
}

impl fmt::Debug for GivenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_a_seed_with_or_without_its_public_half() {
        let text = |bytes: &[u8]| format!("whsk_{}", STANDARD.encode(bytes));
        let (seed, public) = ([1; 32], [2; 32]);
        assert_eq!(
            GivenSecret::parse(&text(&seed)),
            Ok(GivenSecret::Ed25519 { seed, public: None })
        );
        assert_eq!(
            GivenSecret::parse(&text(&[seed, public].concat())),
            Ok(GivenSecret::Ed25519 {
                seed,
                public: Some(public)
            })
        );
        for bad in [
            text(&[1; 31]),
            text(&[1; 33]),
            text(&[1; 96]),
            text(&[]),
            "whsk_!".to_owned(),
            "whpk_AAAA".to_owned(),
            "AAAA".to_owned(),
            String::new(),
            format!("whsk_{}", "A".repeat(1_000_000)),
        ] {
            assert_eq!(
                GivenSecret::parse(&bad).unwrap_err().rule,
                Rule::Format,
                "{bad:.20}"
            );
        }
        assert_eq!(GivenSecret::parse("whsec_AAAA").unwrap_err().rule, Rule::TooShort);
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let key = Ed25519Key::of_pair([7; 32], [9; 32]);
        let printed = format!("{key:?} {:?}", EndpointSecret::from(key.clone()));
        assert_eq!(printed, "Ed25519Key(…) Ed25519(Ed25519Key(…))");
        assert_eq!(
            key.public_text(),
            "whpk_CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="
        );
        let given = GivenSecret::Ed25519 {
            seed: [7; 32],
            public: None,
        };
        assert_eq!(format!("{given:?}"), "GivenSecret(…)");
    }

    #[test]
    fn types_keep_their_names() {
        for kind in SecretType::ALL {
            assert_eq!(SecretType::parse(kind.as_str()), Ok(kind));
        }
        assert_eq!(SecretType::parse("HMAC").unwrap_err().rule, Rule::Unknown);
    }
}
