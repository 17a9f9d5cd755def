//! API keys: machine principals of one tenant.

use crate::{
    ApiKeyId, InvalidValue, Name, Rule, TenantId, Timestamp,
    access::{Grant, check_grants},
    aggregate::aggregate,
    tokens::SecretHash,
};

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
    /// It was revoked.
    Revoked,
}

aggregate!(
    /// A machine principal of one tenant.
    ApiKey, ApiKeyState, ApiKeyEvent
);

impl ApiKey {
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
        check_grants(&grants)?;
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

    /// Ends it; the row is to be deleted.
    pub fn revoke(&mut self) {
        self.pending.push(ApiKeyEvent::Revoked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use uuid::Uuid;

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
