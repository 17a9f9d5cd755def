//! Opaque bearer tokens: `<prefix>_<id>_<secret>`. The id finds the record, the secret proves the right to it;
//! only the secret's SHA-256 is stored. The prefix lets secret scanners find leaked ones.

use std::fmt;

use crate::{ApiKeyId, InvalidValue, InvitationId, PasswordResetId, Rule, SessionId, ids};

/// The SHA-256 of a token's secret. The secret has 256 random bits, so a fast hash is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// 256 random bits as 52 characters of base32. Never stored, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// How many characters it has.
    pub const CHARS: usize = 52;

    /// The secret of these random bits.
    pub fn new(random: [u8; 32]) -> Self {
        let (high, low) = random.split_at(16);
        let part = |half: &[u8]| {
            ids::encode(
                half.iter()
                    .fold(0u128, |value, byte| (value << 8) | u128::from(*byte)),
            )
        };
        Self(format!("{}{}", part(high), part(low)))
    }

    fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == Self::CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// Its characters, to be hashed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

/// The id and the rest of `<prefix><id>_<rest>`.
fn split<'t>(text: &'t str, prefix: &str) -> Option<(uuid::Uuid, &'t str)> {
    let (id, rest) = text.strip_prefix(prefix)?.split_once('_')?;
    Some((uuid::Uuid::from_u128(ids::decode(id)?), rest))
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal of $id:ident, $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            id: $id,
            secret: TokenSecret,
        }

        impl $name {
            /// How the text begins.
            pub const PREFIX: &'static str = $prefix;

            /// The token of `id` with 256 random bits.
            pub fn new(id: $id, random: [u8; 32]) -> Self {
                Self { id, secret: TokenSecret::new(random) }
            }

            /// Parses what a client sent.
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                split(text, Self::PREFIX)
                    .and_then(|(id, rest)| Some((id, TokenSecret::parse(rest)?)))
                    .map(|(id, secret)| Self { id: $id::from_uuid(id), secret })
                    .ok_or_else(|| InvalidValue::new(Rule::Format, concat!("is not ", $what)))
            }

            /// Whose it claims to be.
            pub const fn id(&self) -> $id {
                self.id
            }

            /// The secret part.
            pub const fn secret(&self) -> &TokenSecret {
                &self.secret
            }

            /// The whole text, to be shown once.
            pub fn reveal(&self) -> String {
                format!("{}{}_{}", Self::PREFIX, ids::encode(self.id.as_uuid().as_u128()), self.secret.expose())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}, …)", stringify!($name), self.id)
            }
        }
    )+};
}

tokens! {
    /// What a machine presents.
    ApiKeyToken = "prk_" of ApiKeyId, "an API key";
    /// What an invited person presents, once.
    InvitationToken = "pri_" of InvitationId, "an invitation token";
    /// What a person presents, once, whose password an operator lets them set anew.
    PasswordResetToken = "prw_" of PasswordResetId, "a password reset token";
}

/// What a person's client presents, once, for the next access token: `prf_<session>_<family><current>`.
///
/// The family secret is the same in all tokens of a session and the current one changes at each use. So whoever
/// presents the right family with a current secret that is not stored holds a token that was good once: it was
/// stolen or used twice, and the session must end. Whoever presents a wrong family never held one.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: SessionId,
    family: TokenSecret,
    current: TokenSecret,
}

impl RefreshToken {
    /// How the text begins.
    pub const PREFIX: &'static str = "prf_";

    /// The first token of a session.
    pub fn first(session: SessionId, family: [u8; 32], current: [u8; 32]) -> Self {
        Self {
            session,
            family: TokenSecret::new(family),
            current: TokenSecret::new(current),
        }
    }

    /// The token that takes this one's place.
    #[must_use]
    pub fn rotate(&self, current: [u8; 32]) -> Self {
        Self {
            current: TokenSecret::new(current),
            ..self.clone()
        }
    }

    /// Parses what a client sent.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        split(text, Self::PREFIX)
            .and_then(|(session, rest)| {
                let (family, current) = rest.split_at_checked(TokenSecret::CHARS)?;
                Some(Self {
                    session: SessionId::from_uuid(session),
                    family: TokenSecret::parse(family)?,
                    current: TokenSecret::parse(current)?,
                })
            })
            .ok_or_else(|| InvalidValue::new(Rule::Format, "is not a refresh token"))
    }

    /// Which session it claims to be of.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What all tokens of the session share.
    pub const fn family(&self) -> &TokenSecret {
        &self.family
    }

    /// What only this one has.
    pub const fn current(&self) -> &TokenSecret {
        &self.current
    }

    /// The whole text, to be shown once.
    pub fn reveal(&self) -> String {
        let session = ids::encode(self.session.as_uuid().as_u128());
        format!(
            "{}{session}_{}{}",
            Self::PREFIX,
            self.family.expose(),
            self.current.expose()
        )
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, …)", self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key() -> ApiKeyToken {
        ApiKeyToken::new(ApiKeyId::from_uuid(Uuid::from_u128(7)), [0xab; 32])
    }

    fn refresh() -> RefreshToken {
        RefreshToken::first(SessionId::from_uuid(Uuid::from_u128(7)), [1; 32], [2; 32])
    }

    #[test]
    fn a_token_survives_the_round_trip_and_hides_in_debug() {
        let text = key().reveal();
        assert_eq!(ApiKeyToken::parse(&text).unwrap(), key());
        assert_eq!(text.len(), 4 + 26 + 1 + 52);
        assert!(!format!("{:?}", key()).contains(key().secret().expose()));
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let good = key().reveal();
        for bad in [
            "",
            "prk_",
            "prk_x_y",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &format!("{}é", &good[..good.len() - 2]),
        ] {
            assert!(ApiKeyToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_of_one_kind_is_none_of_another() {
        let text = key().reveal();
        assert!(InvitationToken::parse(&text).is_err() && PasswordResetToken::parse(&text).is_err());
        assert!(RefreshToken::parse(&text).is_err());
    }

    #[test]
    fn a_rotated_refresh_token_keeps_its_family_only() {
        let (first, next) = (refresh(), refresh().rotate([3; 32]));
        assert_eq!((first.session(), first.family()), (next.session(), next.family()));
        assert_ne!(first.current(), next.current());
        assert_eq!(RefreshToken::parse(&next.reveal()).unwrap(), next);
        assert!(!format!("{next:?}").contains(next.family().expose()));
    }

    #[test]
    fn malformed_refresh_tokens_are_refused() {
        let good = refresh().reveal();
        for bad in [
            "prf_",
            &good[..good.len() - 1],
            &format!("{good}x"),
            &good[..82],
            &good.replace("prf_", "prk_"),
        ] {
            assert!(RefreshToken::parse(bad).is_err(), "{bad}");
        }
    }
}
