use postrider_crypto::MasterKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{DatabaseConfig, Faults};

/// `[security]`: keys, tokens, passwords.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecurityConfig {
    /// 32 bytes in hex or base64 that encrypt what is stored secretly. Required with PostgreSQL, where several
    /// nodes share it; with SQLite it is made at first start and kept in the data directory.
    pub(crate) master_key: Option<SecretString>,
    /// `iss` of access tokens. Default `postrider`.
    pub(crate) issuer: String,
    /// `aud` of access tokens. Default `postrider`.
    pub(crate) audience: String,
    /// How long an access token is good. Default 600.
    pub(crate) access_token_lifetime_s: u64,
    /// How long a login lasts. Default 12 hours.
    pub(crate) session_lifetime_s: u64,
    /// SHA-256 hashes, in hex, of the operator's tokens (`postrider operator new-token`). Default none.
    pub(crate) operator_token_hashes: Vec<String>,
    /// How long a revocation may go unseen by this node's caches. Default 5,000.
    pub(crate) credential_cache_ttl_ms: u64,
    /// How many passwords are hashed at once; each takes 19 MiB and some 20 ms of a core. Default 2.
    pub(crate) password_hash_concurrency: usize,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            master_key: None,
            issuer: "postrider".into(),
            audience: "postrider".into(),
            access_token_lifetime_s: 600,
            session_lifetime_s: 12 * 3_600,
            operator_token_hashes: Vec::new(),
            credential_cache_ttl_ms: 5_000,
            password_hash_concurrency: 2,
        }
    }
}

impl SecurityConfig {
    pub(super) fn validate(&self, database: &DatabaseConfig, faults: &mut Faults) {
        match &self.master_key {
            Some(key) => {
                if let Err(error) = MasterKey::parse(key.expose_secret()) {
                    faults.push("security.master_key", error.to_string());
                }
            }
            None if database.url.is_some() => faults.push(
                "security.master_key",
                "is required with PostgreSQL: 32 random bytes in hex, say from `openssl rand -hex 32`",
            ),
            None => {}
        }
        for (key, value) in [
            ("security.issuer", &self.issuer),
            ("security.audience", &self.audience),
        ] {
            if value.is_empty() || value.len() > 256 {
                faults.push(key, "must be 1 to 256 characters");
            }
        }
        if self.operator_hashes().is_none() {
            faults.push(
                "security.operator_token_hashes",
                "must be SHA-256 hashes, 64 hex digits each",
            );
        }
        faults.range(
            "security.access_token_lifetime_s",
            self.access_token_lifetime_s,
            60..=3_600,
        );
        faults.range(
            "security.session_lifetime_s",
            self.session_lifetime_s,
            60..=30 * 86_400,
        );
        faults.range(
            "security.credential_cache_ttl_ms",
            self.credential_cache_ttl_ms,
            0..=60_000,
        );
        faults.range(
            "security.password_hash_concurrency",
            self.password_hash_concurrency,
            1..=64,
        );
    }

    /// The hashes; nothing if one is malformed.
    pub(crate) fn operator_hashes(&self) -> Option<Vec<[u8; 32]>> {
        let decode = |text: &String| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
        };
        self.operator_token_hashes.iter().map(decode).collect()
    }
}
