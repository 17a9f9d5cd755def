//! API keys: machine principals of one tenant.

use std::fmt;

use crate::{
    ApiKeyId, InvalidValue, Name, Rule, TenantId, Timestamp, access::Grant, aggregate::aggregate, ids,
};

/// The SHA-256 of an API key's secret. The secret has 256 random bits, so a fast hash is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// What a machine presents: `prk_<id>_<secret>`, both parts in base32. Never stored, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyToken {
    id: ApiKeyId,
    secret: String,
}

impl ApiKeyToken {
    /// The prefix by which secret scanners find leaked keys.
    pub const PREFIX: &'static str = "prk_";
    const SECRET_CHARS: usize = 52;

    /// The token of key `id` with 256 random bits.
    pub fn new(id: ApiKeyId, random: [u8; 32]) -> Self {
        let (high, low) = random.split_at(16);
        let part = |half: &[u8]| {
            ids::encode(
                half.iter()
                    .fold(0u128, |value, byte| (value << 8) | u128::from(*byte)),
            )
        };
        Self {
            id,
            secret: format!("{}{}", part(high), part(low)),
        }
    }

    /// Parses what a client sent.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let malformed = || InvalidValue::new(Rule::Format, "is not an API key");
        let (id, secret) = text
            .strip_prefix(Self::PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or_else(malformed)?;
        let id = ids::decode(id).ok_or_else(malformed)?;
        if secret.len() != Self::SECRET_CHARS || !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(malformed());
        }
        Ok(Self {
            id: ApiKeyId::from_uuid(uuid::Uuid::from_u128(id)),
            secret: secret.to_owned(),
        })
    }

    /// Which key it claims to be.
    pub fn id(&self) -> ApiKeyId {
        self.id
    }

    /// The secret part, to be hashed.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole text, to be shown once.
    pub fn reveal(&self) -> String {
        format!(
            "{}{}_{}",
            Self::PREFIX,
            ids::encode(self.id.as_uuid().as_u128()),
            self.secret
        )
    }
}

impl fmt::Debug for ApiKeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyToken({}, …)", self.id)
    }
}

/// All stored facts of an [`ApiKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyState {
    /// Its id.
    pub id: ApiKeyId,
    /// The tenant that it acts in.
    pub tenant: TenantId,
    /// Display name.
    pub name: Name,
    /// The hash of its secret.
    pub secret_hash: SecretHash,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// When it stops working by itself; never, if absent.
    pub expires_at: Option<Timestamp>,
}

/// What can happen to an [`ApiKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyEvent {
    /// It was minted.
    Minted {
        /// Display name.
        name: Name,
        /// What it may do.
        grants: Vec<Grant>,
        /// When it stops working by itself.
        expires_at: Option<Timestamp>,
    },
}

aggregate!(
    /// A machine principal of one tenant.
    ApiKey, ApiKeyState, ApiKeyEvent
);

impl ApiKey {
    /// The most grants that one key may hold.
    pub const MAX_GRANTS: usize = 100;

    /// A new key. It must be granted something, and must not have expired already.
    pub fn mint(
        id: ApiKeyId,
        tenant: TenantId,
        name: Name,
        secret_hash: SecretHash,
        grants: Vec<Grant>,
        expires_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<Self, InvalidValue> {
        if grants.is_empty() {
            return Err(InvalidValue::new(Rule::Required, "must hold at least one grant"));
        }
        if grants.len() > Self::MAX_GRANTS {
            return Err(InvalidValue::new(Rule::TooLong, "must hold at most 100 grants"));
        }
        if expires_at.is_some_and(|expiry| expiry <= at) {
            return Err(InvalidValue::new(Rule::Range, "must expire in the future"));
        }
        let event = ApiKeyEvent::Minted {
            name: name.clone(),
            grants: grants.clone(),
            expires_at,
        };
        Ok(Self::born(
            ApiKeyState {
                id,
                tenant,
                name,
                secret_hash,
                grants,
                created_at: at,
                expires_at,
            },
            event,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use uuid::Uuid;

    #[test]
    fn a_token_survives_the_round_trip_and_hides_in_debug() {
        let token = ApiKeyToken::new(ApiKeyId::from_uuid(Uuid::from_u128(7)), [0xab; 32]);
        let text = token.reveal();
        assert_eq!(ApiKeyToken::parse(&text).unwrap(), token);
        assert_eq!(text.len(), 4 + 26 + 1 + 52);
        assert!(!format!("{token:?}").contains(token.secret()));
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let good = ApiKeyToken::new(ApiKeyId::from_uuid(Uuid::from_u128(7)), [1; 32]).reveal();
        for bad in [
            "",
            "prk_",
            "prk_x_y",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
        ] {
            assert!(ApiKeyToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_granted_something_and_is_alive_when_minted() {
        let at = Timestamp::from_micros(1_000_000);
        let mint = |grants, expires_at| {
            ApiKey::mint(
                ApiKeyId::from_uuid(Uuid::from_u128(1)),
                TenantId::from_uuid(Uuid::from_u128(2)),
                Name::parse("ci").unwrap(),
                SecretHash([0; 32]),
                grants,
                expires_at,
                at,
            )
        };
        assert_eq!(mint(vec![], None).unwrap_err().rule, Rule::Required);
        let grants = vec![Grant::tenant(Role::Publisher)];
        assert_eq!(mint(grants.clone(), Some(at)).unwrap_err().rule, Rule::Range);
        assert!(mint(grants, None).is_ok());
    }
}
