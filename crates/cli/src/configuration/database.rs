use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Faults;

/// `[database]`: where everything is kept. Without a URL: SQLite, embedded, in `directory`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DatabaseConfig {
    /// A PostgreSQL URL, `postgres://user:password@host/database`: an ordinary login without rights of its own, not
    /// a superuser and not the tables' owner. `serve` refuses any other.
    #[schemars(with = "Option<String>")]
    pub(crate) url: Option<SecretString>,
    /// The same database under an account that may create roles (a superuser, or one with CREATEROLE that owns the
    /// database), for migrations alone: it makes Postrider's roles and grants them to the login of `url`. Not needed
    /// by a node that does not migrate. Without one, the login of `url` migrates.
    #[schemars(with = "Option<String>")]
    pub(crate) admin_url: Option<SecretString>,
    /// The directory of the embedded SQLite database, its keys and its lock.
    pub(crate) directory: PathBuf,
    /// The most connections to PostgreSQL; two fifths are for the API, the others for the engine and the intake.
    pub(crate) max_connections: u32,
    /// How long a request waits for a connection.
    pub(crate) acquire_timeout_ms: u64,
    /// How long `serve` waits for a database that is away, starting or full; 0: not at all. What waiting cannot mend
    /// (a refused password, a wrong master key, a newer schema) ends it at once.
    pub(crate) wait_s: u64,
    /// Whether `serve` brings the schema up to date itself. If not, it refuses an old schema.
    pub(crate) migrate_on_start: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            admin_url: None,
            directory: "./data/postrider".into(),
            max_connections: 20,
            acquire_timeout_ms: 5_000,
            wait_s: 300,
            migrate_on_start: true,
        }
    }
}

impl DatabaseConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        for (key, url) in [
            ("database.url", &self.url),
            ("database.admin_url", &self.admin_url),
        ] {
            let is_one = |url: &SecretString| {
                let text = url.expose_secret();
                text.starts_with("postgres://") || text.starts_with("postgresql://")
            };
            if !url.as_ref().is_none_or(is_one) {
                faults.push(
                    key,
                    "must start with postgres:// (for SQLite set database.directory)",
                );
            }
        }
        if self.admin_url.is_some() && self.url.is_none() {
            faults.push(
                "database.admin_url",
                "needs database.url beside it, the login that serves",
            );
        }
        faults.range("database.max_connections", self.max_connections, 2..=1_000);
        faults.range(
            "database.acquire_timeout_ms",
            self.acquire_timeout_ms,
            100..=60_000,
        );
        faults.range("database.wait_s", self.wait_s, 0..=86_400);
    }
}
