use std::{sync::Arc, time::Duration};

use postrider_application::{
    Ports, Settings, UseCases,
    authentication::Authenticator,
    mediator::Mediator,
    ports::{Clock, Ids, Randomness, Sealer, StoreError, UseCaseMetrics},
};
use postrider_cache::{CacheInvalidation, CacheOptions, CachedApplicationDirectory, CachedCredentials};
use postrider_crypto::{
    AeadSealer, Argon2Passwords, HmacSigner, JwtTokens, KeyRing, KeyRingError, MasterKey,
    MasterKeyCheckError, MasterKeyError, OperatorTokens, OsRandomness, PasswordOptions, TokenOptions,
    verify_master_key,
};
use postrider_engine::{Chores, Engine, EngineError, EngineOptions, EnginePorts, HttpOptions, HttpSender};
use postrider_outbox::{Relay, RelayError, RelayOptions};
use postrider_persistence::{ConnectError, Database, DatabaseOptions, Schema, SqlStore};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::{
    caches::CacheSubscriber,
    readiness::PlatformReadiness,
    system::{SystemClock, UuidV7Ids},
};
use crate::{ApiContext, App, Limits, telemetry::OtelTracePropagation};

/// Everything that is decided outside: the configuration, in the words of the crates that it configures.
pub struct PlatformOptions {
    /// Where everything is kept.
    pub database: DatabaseOptions,
    /// Whether an old schema is brought up to date; otherwise it is refused.
    pub migrate: bool,
    /// What stored secrets are sealed with. Required with PostgreSQL; with SQLite it is made at first start and
    /// kept in the data directory.
    pub master_key: Option<MasterKey>,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// SHA-256 hashes of the operator's tokens.
    pub operator_token_hashes: Vec<[u8; 32]>,
    /// How many passwords are hashed at once.
    pub password_hash_concurrency: usize,
    /// How long caches may keep what changed elsewhere.
    pub cache_ttl: Duration,
    /// What the operator set about the use cases.
    pub settings: Settings,
    /// Bounds of the API.
    pub limits: Limits,
    /// How deliveries are worked.
    pub engine: EngineOptions,
    /// How webhooks are sent; where to, say the settings' address policy.
    pub sender: HttpOptions,
    /// Where use cases are counted.
    pub metrics: Arc<dyn UseCaseMetrics>,
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
    /// A migration failed, or the event log cannot be read.
    #[error("the database cannot be prepared")]
    Store(#[from] StoreError),
    /// The event log cannot be read.
    #[error("the relay cannot start")]
    Relay(#[from] RelayError),
    /// An option cannot be worked with.
    #[error("an option is not usable")]
    Options(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// The composed system, without a listener.
pub struct Platform {
    database: Database,
    context: Arc<ApiContext>,
    engine: Engine,
    sender: Arc<HttpSender>,
    chores: Chores,
    relay: Relay,
}

impl Platform {
    /// Opens the database, checks keys, and composes everything. Nothing runs yet.
    pub async fn open(options: PlatformOptions) -> Result<Self, OpenError> {
        // Both TLS users (the database driver, the sender) agree on one provider; a second call is refused and
        // means that it is done already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Options(error);
        let system = System::new();

        let sole_node = matches!(options.database, DatabaseOptions::Sqlite(_));
        let database = open_database(options.database.clone(), options.migrate).await?;
        let master_key = master_key(&options.database, options.master_key, &*system.randomness)?;
        let sealer = AeadSealer::new(&master_key, system.randomness.clone());
        verify_master_key(&database, &sealer).await?;
        let sealer: Arc<dyn Sealer> = Arc::new(sealer);
        let keys = KeyRing::load_or_create(&database, &*sealer, &*system.clock).await?;
        let store = SqlStore::new(database.clone(), sealer);
        let shared = Arc::new(store.clone());

        let tokens = TokenOptions {
            issuer: options.issuer,
            audience: options.audience,
        };
        let tokens = Arc::new(JwtTokens::new(keys, system.ids.clone(), tokens));
        let passwords = PasswordOptions {
            concurrency: options.password_hash_concurrency,
            ..PasswordOptions::default()
        };
        let passwords =
            Argon2Passwords::new(passwords, system.randomness.clone()).map_err(|e| unusable(e.into()))?;
        let cache = CacheOptions {
            ttl: options.cache_ttl,
            ..CacheOptions::default()
        };
        let credentials = Arc::new(CachedCredentials::new(
            shared.clone(),
            cache,
            system.clock.clone(),
        ));
        let directory = Arc::new(CachedApplicationDirectory::new(
            shared.clone(),
            cache,
            system.clock.clone(),
        ));

        let sender = HttpSender::new(&options.sender, options.settings.address_policy.clone())
            .map_err(|e| unusable(e.into()))?;
        let sender = Arc::new(sender);
        let (engine, engine_handle) = Engine::new(
            EnginePorts {
                queue: shared.clone(),
                nodes: shared.clone(),
                material: shared.clone(),
                sender: sender.clone(),
                signer: Arc::new(HmacSigner),
                clock: system.clock.clone(),
                ids: system.ids.clone(),
                randomness: system.randomness.clone(),
            },
            EngineOptions {
                sole_node,
                ..options.engine
            },
        );
        let caches = CacheSubscriber(CacheInvalidation::new(credentials.clone(), directory.clone()));
        let relay = Relay::at_head(shared.clone(), vec![Arc::new(caches)], RelayOptions::default()).await?;
        let store = store.telling(Arc::new(relay.signal()));

        let ports = Ports {
            store: store.clone(),
            intake: shared.clone(),
            directory: directory.clone(),
            identities: shared.clone(),
            passwords: Arc::new(passwords),
            tokens: tokens.clone(),
            work_signal: Arc::new(engine_handle.clone()),
            trace: Arc::new(OtelTracePropagation),
            clock: system.clock.clone(),
            ids: system.ids.clone(),
            randomness: system.randomness.clone(),
        };
        let use_cases = UseCases::new(&ports, &options.settings);
        let mediator = Mediator::new(use_cases, directory, options.metrics, system.clock.clone());
        let context = Arc::new(ApiContext {
            mediator: Arc::new(mediator),
            authenticator: Arc::new(Authenticator::new(credentials, tokens.clone(), system.clock)),
            operator_tokens: Arc::new(OperatorTokens::new(options.operator_token_hashes)),
            tokens,
            limits: options.limits,
            readiness: Arc::new(PlatformReadiness::new(database.clone(), engine_handle)),
            ids: system.ids,
        });
        Ok(Self {
            database,
            context,
            engine,
            sender,
            chores: Chores::new(shared),
            relay,
        })
    }

    /// The use cases, for whoever calls them without HTTP.
    pub fn app(&self) -> Arc<App> {
        self.context.mediator.clone()
    }

    /// What the API is served from.
    pub(super) fn context(&self) -> Arc<ApiContext> {
        self.context.clone()
    }

    /// Delivers and relays until `shutdown`, then drains, hands back what is left, and closes what is
    /// its own. Requests may still be served meanwhile.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        // Whatever ends one of them ends the other: half a node would look like a whole one.
        let engine = async {
            let ended = self.engine.run(shutdown.clone()).await;
            shutdown.cancel();
            ended
        };
        let relay = async {
            let ended = self.relay.run(shutdown.clone()).await;
            shutdown.cancel();
            ended
        };
        let (engine, relay, ()) = tokio::join!(engine, relay, self.chores.run(shutdown.clone()));
        self.sender.close().await;
        engine?;
        Ok(relay?)
    }

    /// Closes the database without having run.
    pub async fn close(self) -> Result<(), StoreError> {
        self.database.close().await
    }
}

/// The system ports, real ones.
struct System {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    randomness: Arc<dyn Randomness>,
}

impl System {
    fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(UuidV7Ids::new()),
            randomness: Arc::new(OsRandomness::new()),
        }
    }
}

/// The tables come first, by the account that may change them; then the login that serves is checked.
async fn open_database(options: DatabaseOptions, migrate: bool) -> Result<Database, OpenError> {
    let schema = Schema::open(options).await?;
    if migrate {
        schema.migrate().await?;
    } else {
        let pending = schema.pending().await?.len();
        if pending > 0 {
            return Err(OpenError::OldSchema(pending));
        }
    }
    Ok(schema.into_database().await?)
}

fn master_key(
    database: &DatabaseOptions,
    configured: Option<MasterKey>,
    randomness: &dyn Randomness,
) -> Result<MasterKey, OpenError> {
    match (configured, database) {
        (Some(key), _) => Ok(key),
        (None, DatabaseOptions::Sqlite(sqlite)) => {
            Ok(MasterKey::load_or_create(&sqlite.directory, randomness)?)
        }
        (None, DatabaseOptions::Postgres(_)) => Err(OpenError::MasterKeyRequired),
    }
}
