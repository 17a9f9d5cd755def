use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Faults;

/// `[database]`: where everything is kept. Without a URL: SQLite, embedded, in `directory`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DatabaseConfig {
    /// A PostgreSQL URL, `postgres://user:password@host/database`.
    pub(crate) url: Option<SecretString>,
    /// The directory of the embedded SQLite database, its keys and its lock. Default `./data/postrider`.
    pub(crate) directory: PathBuf,
    /// The most connections to PostgreSQL. Default 20.
    pub(crate) max_connections: u32,
    /// How long a request waits for a connection. Default 5,000.
    pub(crate) acquire_timeout_ms: u64,
    /// Whether `serve` brings the schema up to date itself. Default true; with false it refuses an old schema.
    pub(crate) migrate_on_start: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            directory: "./data/postrider".into(),
            max_connections: 20,
            acquire_timeout_ms: 5_000,
            migrate_on_start: true,
        }
    }
}

impl DatabaseConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if let Some(url) = &self.url {
            let text = url.expose_secret();
            if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
                faults.push(
                    "database.url",
                    "must start with postgres:// (for SQLite set database.directory)",
                );
            }
        }
        faults.range("database.max_connections", self.max_connections, 2..=1_000);
        faults.range(
            "database.acquire_timeout_ms",
            self.acquire_timeout_ms,
            100..=60_000,
        );
    }
}
