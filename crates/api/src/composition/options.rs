use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use postrider_application::{
    Settings,
    ports::{StoreError, UseCaseMetrics},
};
use postrider_crypto::{KeyRingError, MasterKey, MasterKeyCheckError, MasterKeyError, PasswordOptions};
use postrider_domain::endpoints::FailingPolicy;
use postrider_engine::{
    EngineError, EngineOptions, HttpOptions, IntakeOptions, ReplaysOptions, RetentionOptions,
};
use postrider_outbox::{JsonLinesTarget, RelayError, RelayOptions};
use postrider_persistence::{ConnectError, DatabaseOptions};
use thiserror::Error;

use crate::{AllowedOrigins, Health, Limits, RateOptions};

/// Everything that is decided outside: the configuration, in the words of the crates that it configures.
pub struct PlatformOptions {
    /// Where everything is kept.
    pub database: DatabaseOptions,
    /// Whether an old schema is brought up to date; otherwise it is refused.
    pub migrate: bool,
    /// What stored secrets are sealed with. Required with PostgreSQL; with SQLite it is made at first start and
    /// kept in the data directory.
    pub master_key: Option<MasterKey>,
    /// Further keys that what is stored may still, or already, be sealed with: while the master key is being
    /// replaced.
    pub other_master_keys: Vec<MasterKey>,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// SHA-256 hashes of the operator's tokens.
    pub operator_token_hashes: Vec<[u8; 32]>,
    /// How passwords are hashed.
    pub passwords: PasswordOptions,
    /// Our own proxies: only what they say of whom they forward for is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long after a tenant's deletion was ordered its rows begin to go: longer than caches and requests live.
    pub erase_grace: Duration,
    /// How long caches may keep what changed elsewhere.
    pub cache_ttl: Duration,
    /// What the operator set about the use cases.
    pub settings: Settings,
    /// Bounds of the API.
    pub limits: Limits,
    /// How often each may ask.
    pub rates: RateOptions,
    /// Whose pages may call the API from a browser.
    pub allowed_origins: AllowedOrigins,
    /// How messages are taken in.
    pub intake: IntakeOptions,
    /// How deliveries are worked.
    pub engine: EngineOptions,
    /// How replays are worked.
    pub replays: ReplaysOptions,
    /// What is kept for how long.
    pub retention: RetentionOptions,
    /// How committed events are taken to their subscribers.
    pub relay: RelayOptions,
    /// Where every event goes that is committed, besides; none: nowhere.
    pub event_sink: Option<JsonLinesTarget>,
    /// When endpoints that only fail are disabled.
    pub failing: FailingPolicy,
    /// How webhooks are sent; where to, say the settings' address policy.
    pub sender: HttpOptions,
    /// Where use cases are counted.
    pub metrics: Arc<dyn UseCaseMetrics>,
    /// Where it is told how this process is.
    pub health: Arc<Health>,
}

/// Why the platform did not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The database did not open.
    #[error("the database cannot be opened")]
    Connect(#[from] ConnectError),
    /// The schema is old, and we were told not to touch it.
    #[error("the schema lacks {0} migrations: run `postrider migrate`")]
    OldSchema(usize),
    /// PostgreSQL is shared by several nodes; none of them can make up the key.
    #[error("a master key is required with PostgreSQL (security.master_key)")]
    MasterKeyRequired,
    /// The key file cannot be used.
    #[error("the master key cannot be used")]
    MasterKey(#[from] MasterKeyError),
    /// The key is not the one that the database's secrets are sealed with.
    #[error("the master key does not fit the database")]
    MasterKeyCheck(#[from] MasterKeyCheckError),
    /// The signing keys cannot be used.
    #[error("the signing keys cannot be used")]
    KeyRing(#[from] KeyRingError),
    /// The event log cannot be read.
    #[error("the database cannot be prepared")]
    Store(#[from] StoreError),
    /// The event log cannot be read.
    #[error("the relay cannot start")]
    Relay(#[from] RelayError),
    /// An option cannot be worked with.
    #[error("an option is not usable")]
    Options(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// Whether waiting may mend it: the database is away, starting or full. What it refused, or what does not fit, will
    /// be so again.
    pub fn is_passing(&self) -> bool {
        let passes = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
        match self {
            Self::Connect(error) => error.is_passing(),
            Self::MasterKeyCheck(MasterKeyCheckError::Store(error))
            | Self::KeyRing(KeyRingError::Store(error))
            | Self::Store(error)
            | Self::Relay(RelayError::Store(error)) => passes(error),
            _ => false,
        }
    }

    pub(super) fn options(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Options(error.into())
    }
}

/// Why the background work ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// The engine gave up.
    #[error("the engine stopped")]
    Engine(#[from] EngineError),
    /// The relay gave up.
    #[error("the relay stopped")]
    Relay(#[from] RelayError),
}
