use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{InvalidValue, Rule};

/// The symmetric key that an endpoint's webhooks are signed with, as Standard Webhooks writes it:
/// `whsec_` and the base64 of 24 to 64 random bytes. Encrypted at rest, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// The prefix of a symmetric secret.
    pub const PREFIX: &'static str = "whsec_";
    /// The fewest bytes of a secret.
    pub const MIN_BYTES: usize = 24;
    /// The most bytes of a secret.
    pub const MAX_BYTES: usize = 64;
    /// The bytes that a generated secret has.
    pub const GENERATED_BYTES: usize = 32;

    /// A secret of these bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        match bytes.len() {
            ..Self::MIN_BYTES => Err(InvalidValue::new(Rule::TooShort, "must hold at least 24 bytes")),
            Self::MIN_BYTES..=Self::MAX_BYTES => Ok(Self(bytes)),
            _ => Err(InvalidValue::new(Rule::TooLong, "must hold at most 64 bytes")),
        }
    }

    /// A secret of 32 random bytes.
    pub fn generate(random: [u8; Self::GENERATED_BYTES]) -> Self {
        Self(random.to_vec())
    }

    /// Parses `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let malformed = || InvalidValue::new(Rule::Format, "must be whsec_ followed by base64");
        let encoded = text.strip_prefix(Self::PREFIX).ok_or_else(malformed)?;
        // A length check first, so that a huge text costs nothing.
        if encoded.len() > 128 {
            return Err(InvalidValue::new(Rule::TooLong, "must hold at most 64 bytes"));
        }
        Self::from_bytes(STANDARD.decode(encoded).map_err(|_| malformed())?)
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text to be shown to whoever may see it.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_round_trip_and_hides_in_debug() {
        let secret = SigningSecret::generate([7; 32]);
        assert_eq!(SigningSecret::parse(&secret.reveal()).unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
    }

    #[test]
    fn refuses_weak_long_and_malformed_secrets() {
        let of = |n: usize| format!("whsec_{}", STANDARD.encode(vec![1; n]));
        assert_eq!(SigningSecret::parse(&of(23)).unwrap_err().rule, Rule::TooShort);
        assert!(SigningSecret::parse(&of(24)).is_ok() && SigningSecret::parse(&of(64)).is_ok());
        assert_eq!(SigningSecret::parse(&of(65)).unwrap_err().rule, Rule::TooLong);
        for bad in [
            "",
            "whsec_",
            "whsk_AAAA",
            "whsec_!!!!",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(SigningSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
