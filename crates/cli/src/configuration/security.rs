use postrider_crypto::MasterKey;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{DatabaseConfig, Faults};

/// `[security]`: keys, tokens, passwords.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecurityConfig {
    /// 32 bytes in hex or base64 that encrypt what is stored secretly. Required with PostgreSQL, where several
    /// nodes share it; with SQLite it is made at first start and kept in the data directory.
    #[schemars(with = "Option<String>")]
    pub(crate) master_key: Option<SecretString>,
    /// Further master keys, in hex or base64, that what is stored may still (or already) be encrypted with: for a
    /// rotation.
    #[schemars(with = "Vec<String>")]
    pub(crate) other_master_keys: Vec<SecretString>,
    /// `iss` of access tokens.
    pub(crate) issuer: String,
    /// `aud` of access tokens.
    pub(crate) audience: String,
    /// How long an access token is good.
    pub(crate) access_token_lifetime_s: u64,
    /// How long a login lasts in all, however often it is refreshed.
    pub(crate) session_lifetime_s: u64,
    /// How long a login lasts without being refreshed.
    pub(crate) session_idle_s: u64,
    /// How long an invitation can be accepted.
    pub(crate) invitation_lifetime_s: u64,
    /// How long a password reset can be used.
    pub(crate) password_reset_lifetime_s: u64,
    /// SHA-256 hashes, in hex, of the operator's tokens (`postrider operator new-token`).
    pub(crate) operator_token_hashes: Vec<String>,
    /// How long a revocation may go unseen by this node's caches.
    pub(crate) credential_cache_ttl_ms: u64,
    /// How many passwords are hashed at once; each takes `password_hash_memory_kib` and some 20 ms of a core.
    pub(crate) password_hash_concurrency: usize,
    /// How many passwords may wait to be hashed; beyond that callers are told to come back.
    pub(crate) password_hash_max_waiting: usize,
    /// The memory of one argon2id hash. A changed cost is applied to each password at its next login.
    pub(crate) password_hash_memory_kib: u32,
    /// The passes of one argon2id hash.
    pub(crate) password_hash_iterations: u32,
    /// The lanes of one argon2id hash.
    pub(crate) password_hash_parallelism: u32,
    /// How long after a tenant's deletion was ordered its rows begin to go: longer than caches and requests live.
    pub(crate) erase_grace_s: u64,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            master_key: None,
            other_master_keys: Vec::new(),
            issuer: "postrider".into(),
            audience: "postrider".into(),
            access_token_lifetime_s: 600,
            session_lifetime_s: 30 * 86_400,
            session_idle_s: 86_400,
            invitation_lifetime_s: 7 * 86_400,
            password_reset_lifetime_s: 3_600,
            operator_token_hashes: Vec::new(),
            credential_cache_ttl_ms: 5_000,
            password_hash_concurrency: 2,
            password_hash_max_waiting: 64,
            password_hash_memory_kib: 19_456,
            password_hash_iterations: 2,
            password_hash_parallelism: 1,
            erase_grace_s: 60,
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
        for (index, key) in self.other_master_keys.iter().enumerate() {
            if let Err(error) = MasterKey::parse(key.expose_secret()) {
                faults.push(&format!("security.other_master_keys[{index}]"), error.to_string());
            }
        }
        let year = 365 * 86_400;
        faults.range("security.session_lifetime_s", self.session_lifetime_s, 60..=year);
        faults.range("security.session_idle_s", self.session_idle_s, 60..=year);
        faults.range(
            "security.invitation_lifetime_s",
            self.invitation_lifetime_s,
            60..=30 * 86_400,
        );
        faults.range(
            "security.password_reset_lifetime_s",
            self.password_reset_lifetime_s,
            60..=86_400,
        );
        self.validate_password_hashing(faults);
        faults.range("security.erase_grace_s", self.erase_grace_s, 1..=7 * 86_400);
        if self.erase_grace_s.saturating_mul(1_000) < self.credential_cache_ttl_ms {
            faults.push(
                "security.erase_grace_s",
                "must not be shorter than security.credential_cache_ttl_ms: what caches still let in would be written behind the eraser",
            );
        }
        faults.range(
            "security.credential_cache_ttl_ms",
            self.credential_cache_ttl_ms,
            0..=5_000,
        );
    }

    fn validate_password_hashing(&self, faults: &mut Faults) {
        faults.range(
            "security.password_hash_concurrency",
            self.password_hash_concurrency,
            1..=64,
        );
        faults.range(
            "security.password_hash_max_waiting",
            self.password_hash_max_waiting,
            1..=10_000,
        );
        faults.range(
            "security.password_hash_memory_kib",
            self.password_hash_memory_kib,
            19_456..=1_048_576,
        );
        faults.range(
            "security.password_hash_iterations",
            self.password_hash_iterations,
            1..=16,
        );
        faults.range(
            "security.password_hash_parallelism",
            self.password_hash_parallelism,
            1..=8,
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
