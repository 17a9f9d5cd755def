use std::{sync::Arc, time::Duration};

use postrider_application::{
    Ports, UseCases,
    authentication::Authenticator,
    endpoints::DisableByEngine,
    mediator::{Mediator, MediatorPorts},
    operational::PublishOperational,
    ports::{AccessTokens, EndpointGuard, MessageIntake, Partitions as _, StoreError, WorkBell},
};
use postrider_cache::{AttemptThrottle, CachedAccessTokens, ThrottleOptions};
use postrider_crypto::{
    Argon2Passwords, AskedKeys, CursorKeys, JwtTokens, KeyRing, KeyRingRefresher, OperatorTokens,
    StandardSigner, TokenOptions,
};
use postrider_engine::{
    BacklogOptions, BacklogWatch, Chores, ChoresOptions, ChoresPorts, Engine, EngineHandle, EngineOptions,
    EnginePorts, FigureOptions, FigureWriter, HttpSender, Intake, IntakeHandle, Keeper, Replays,
    ReplaysPorts, RetentionPorts,
};
use postrider_outbox::{
    EVENT_SINK, Installed, JsonLines, OPERATIONAL_WEBHOOKS, OperationalWebhooks, Relay, RelayPorts,
    RelaySignal, SinkSubscriber,
};
use postrider_persistence::{Database, DatabaseOptions, SqlStore};
use postrider_schema::{BoundedSchemas, SchemaOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    OpenError, PlatformOptions, RunError,
    background::Background,
    caches::Caches,
    denials::{DenialWriter, Denials},
    key_uses::{KeyUseWriter, NotedKeyUses},
    last_words::LastWords,
    opening::{System, open_database, open_sealer},
    prober::Prober,
};
use crate::{
    ApiContext, App, Health, RateLimits,
    telemetry::{OtelRelayMetrics, OtelTracePropagation},
};

/// How long saying goodbye to the database may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The composed system, without a listener.
pub struct Platform {
    database: Database,
    context: Arc<ApiContext>,
    intake: Intake,
    store: Arc<SqlStore>,
    background: Background,
    engine: EngineHandle,
    prober: Prober,
    health: Arc<Health>,
}

impl Platform {
    /// Opens the database, checks keys, and composes everything. Nothing runs yet.
    pub async fn open(options: PlatformOptions) -> Result<Self, OpenError> {
        Self::open_any(options, None).await
    }

    /// Like [`Self::open`], but messages come in by this way instead of the product's own: only for measuring what
    /// that one costs.
    pub async fn open_with_intake(
        options: PlatformOptions,
        intake: Arc<dyn MessageIntake>,
    ) -> Result<Self, OpenError> {
        Self::open_any(options, Some(intake)).await
    }

    async fn open_any(
        options: PlatformOptions,
        intake: Option<Arc<dyn MessageIntake>>,
    ) -> Result<Self, OpenError> {
        // Both TLS users (the database driver, the sender) agree on one provider; a second call is refused and
        // means that it is done already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let system = System::new();
        let database = open_database(options.database.clone(), options.migrate).await?;
        let (sealer, cursors, asked) = open_sealer(&options, &database, &system).await?;
        let facts = Arc::new(database.clone());
        let keys = KeyRing::load_or_create(facts, sealer.clone(), system.clock.clone()).await?;
        let signal = RelaySignal::default();
        let store = SqlStore::new(database.clone(), sealer).telling(Arc::new(signal.clone()));
        let store = Arc::new(store);
        let opened = Opened {
            keys: Arc::new(keys),
            caches: Caches::over(&store, options.cache_ttl, &system.clock),
            cursors: Arc::new(cursors),
            asked: Arc::new(asked),
            store,
            signal,
            system,
            intake,
        };
        opened.make_partitions().await;
        opened.compose(database, options).await
    }

    /// The use cases, for whoever calls them without HTTP.
    pub fn app(&self) -> Arc<App> {
        self.context.mediator.clone()
    }

    /// What the API is served from.
    pub(super) fn context(&self) -> Arc<ApiContext> {
        self.context.clone()
    }

    /// Takes messages in, delivers, relays and does the chores until `shutdown`. Then it drains, hands back what is left,
    /// waits for `served`, which is to end when no request is served any more (as [`super::Server::stop`] does), and
    /// closes what is its own, the database's connections last. Until then messages are taken in, for the next start or another node; requests that end
    /// after the drain leave no denials in the audit log. Meanwhile it looks whether this node can serve, and from the
    /// moment of `shutdown` on says that it cannot.
    ///
    /// Dropping the future ends all of it at once, see [`LastWords`].
    pub async fn run(
        self,
        shutdown: CancellationToken,
        served: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let Self {
            background,
            intake,
            store,
            prober,
            health,
            database,
            ..
        } = self;
        health.serves();
        let mut watch = JoinSet::new();
        watch.spawn(prober.run());
        let beating = Arc::clone(&health);
        watch.spawn(async move { beating.keep_beating().await });
        let (told, asked) = (Arc::clone(&health), shutdown.clone());
        watch.spawn(async move {
            asked.cancelled_owned().await;
            told.drain();
        });
        let quiet = CancellationToken::new();
        let working = async {
            // Everything that runs is in there.
            let ended = Box::pin(background.run(shutdown)).await;
            served.await;
            quiet.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(working, intake.run(quiet.clone()));
        // What was accepted after the drain belongs to nobody: others may have it at once.
        if let Err(error) = store.ring().await {
            tracing::warn!(%error, "other nodes were not told of what is left");
        }
        health.drain();
        // Nobody asks it anything more.
        watch.shutdown().await;
        match tokio::time::timeout(CLOSE_WITHIN, database.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the database's connections could not be closed"),
            Err(_) => tracing::warn!("the database's connections did not close in time"),
        }
        ended
    }

    /// What to do should [`Self::run`] not come to its end in time.
    pub fn last_words(&self) -> LastWords {
        LastWords {
            store: Arc::clone(&self.store),
            engine: self.engine.clone(),
        }
    }

    /// Closes the database without having run.
    pub async fn close(self) -> Result<(), StoreError> {
        self.database.close().await
    }
}

/// The names of those who hear of events, once for the whole installation.
fn subscribers(options: &PlatformOptions) -> Vec<&'static str> {
    let sink = options.event_sink.is_some().then_some(EVENT_SINK.name);
    std::iter::once(OPERATIONAL_WEBHOOKS.name).chain(sink).collect()
}

/// What there is once the database is open and the keys fit.
struct Opened {
    system: System,
    store: Arc<SqlStore>,
    /// What the store tells of commits.
    signal: RelaySignal,
    keys: Arc<KeyRing>,
    caches: Caches,
    cursors: Arc<CursorKeys>,
    asked: Arc<AskedKeys>,
    /// Instead of the product's own way in.
    intake: Option<Arc<dyn MessageIntake>>,
}

impl Opened {
    async fn compose(self, database: Database, options: PlatformOptions) -> Result<Platform, OpenError> {
        database.observe();
        let guard = self.guard();
        let (engine, engine_handle, sender) = self.engine(&options, guard.clone())?;
        let (intake, intake_handle) = self.intake(&options, &engine_handle)?;
        let way_in = match &self.intake {
            Some(other) => other.clone(),
            None => Arc::new(intake_handle),
        };
        let relay = self.relay(&options, way_in.clone(), &engine_handle).await?;
        let (denials, key_uses) = (Denials::default(), NotedKeyUses::default());
        let background = Background {
            engine,
            sender,
            chores: self.chores(&options, guard.clone()),
            replays: self.replays(&options, &engine_handle),
            keeper: Keeper::new(
                RetentionPorts {
                    retention: self.store.clone(),
                    readers: self.store.clone(),
                    clock: self.system.clock.clone(),
                },
                options.retention,
            ),
            backlog: self.backlog(&options),
            figures: FigureWriter::new(
                &engine_handle,
                self.store.clone(),
                self.system.clock.clone(),
                FigureOptions::default(),
            ),
            keys: KeyRingRefresher::new(self.keys.clone()),
            denials: DenialWriter::new(&denials, self.store.clone(), self.system.clock.clone()),
            key_uses: KeyUseWriter::new(&key_uses, self.store.clone()),
            relay,
        };
        let tokens = self.tokens(&options);
        let barrier = Arc::new(background.relay.barrier());
        let ports = self.ports((way_in, &engine_handle), tokens.clone(), &options)?;
        let mediator_ports = MediatorPorts {
            directory: self.caches.directory.clone(),
            metrics: options.metrics.clone(),
            denials: Arc::new(denials),
            clock: self.system.clock.clone(),
            ids: self.system.ids.clone(),
            answers: self.store.clone(),
            answer_window: options.settings.dedup_window,
            barrier,
        };
        let authenticator = Authenticator::new(
            self.caches.credentials,
            tokens.clone(),
            Arc::new(key_uses),
            self.system.clock.clone(),
        );
        let prober = Prober::new(options.health.clone(), database.clone(), engine_handle.clone());
        let context = Arc::new(ApiContext {
            mediator: Arc::new(Mediator::new(
                UseCases::new(&ports, &options.settings),
                mediator_ports,
            )),
            authenticator: Arc::new(authenticator),
            operator_tokens: Arc::new(OperatorTokens::new(options.operator_token_hashes)),
            tokens,
            limits: options.limits,
            rates: RateLimits::new(options.rates),
            allowed_origins: options.allowed_origins,
            cursors: self.cursors,
            asked: self.asked,
            health: options.health.clone(),
            clock: self.system.clock,
            ids: self.system.ids,
            trusted_proxies: options.trusted_proxies,
        });
        Ok(Platform {
            database,
            context,
            intake,
            store: self.store,
            background,
            engine: engine_handle,
            prober,
            health: options.health,
        })
    }

    /// History needs its partitions before the first message comes; after a long stop they may be missing. What fails
    /// here the chores repeat.
    async fn make_partitions(&self) {
        let ahead = ChoresOptions::default().partitions_ahead;
        if let Err(error) = self.store.make_ahead(ahead).await {
            tracing::warn!(%error, "partitions of history could not be made");
        }
    }

    /// Who takes events to their subscribers: to what this node remembers, and to those of the whole installation.
    async fn relay(
        &self,
        options: &PlatformOptions,
        intake: Arc<dyn MessageIntake>,
        engine: &EngineHandle,
    ) -> Result<Relay, OpenError> {
        let System { clock, ids, .. } = &self.system;
        let publisher = PublishOperational::new(
            self.store.clone(),
            self.caches.directory.clone(),
            intake,
            clock.clone(),
            ids.clone(),
            options.settings.dedup_window,
        );
        let mut installed = vec![Installed {
            subscription: OPERATIONAL_WEBHOOKS,
            subscriber: Arc::new(OperationalWebhooks::new(Arc::new(publisher))),
        }];
        if let Some(target) = &options.event_sink {
            let sink = JsonLines::new(target.clone());
            installed.push(Installed {
                subscription: EVENT_SINK,
                subscriber: Arc::new(SinkSubscriber::new(Arc::new(sink))),
            });
        }
        let ports = RelayPorts {
            log: self.store.clone(),
            cursors: self.store.clone(),
            sight: self.store.clone(),
            bell: self.store.clone(),
            life: Arc::new(engine.clone()),
            metrics: Arc::new(OtelRelayMetrics::new(&subscribers(options))),
        };
        let node = vec![Arc::new(self.caches.subscriber()) as _];
        Ok(Relay::open(ports, self.signal.clone(), node, installed, options.relay).await?)
    }

    /// Who disables endpoints for the engine.
    fn guard(&self) -> Arc<dyn EndpointGuard> {
        let (store, system) = (SqlStore::clone(&self.store), &self.system);
        Arc::new(DisableByEngine::new(
            store,
            system.clock.clone(),
            system.ids.clone(),
        ))
    }

    fn intake(
        &self,
        options: &PlatformOptions,
        engine: &EngineHandle,
    ) -> Result<(Intake, IntakeHandle), OpenError> {
        let clock = self.system.clock.clone();
        Intake::new(self.store.clone(), engine, clock, options.intake).map_err(OpenError::options)
    }

    fn engine(
        &self,
        options: &PlatformOptions,
        guard: Arc<dyn EndpointGuard>,
    ) -> Result<(Engine, EngineHandle, Arc<HttpSender>), OpenError> {
        let policy = options.settings.address_policy.clone();
        let clock = self.system.clock.clone();
        let sender = HttpSender::new(&options.sender, policy, clock).map_err(OpenError::options)?;
        let sender = Arc::new(sender);
        let ports = EnginePorts {
            queue: self.store.clone(),
            nodes: self.store.clone(),
            bell: self.store.clone(),
            guard,
            material: self.caches.material.clone(),
            sender: sender.clone(),
            signer: Arc::new(StandardSigner),
            clock: self.system.clock.clone(),
            ids: self.system.ids.clone(),
            randomness: self.system.randomness.clone(),
        };
        let engine_options = EngineOptions {
            sole_node: matches!(options.database, DatabaseOptions::Sqlite(_)),
            ..options.engine.clone()
        };
        let (engine, handle) = Engine::new(ports, engine_options.clone());
        handle.observe(&engine_options);
        Ok((engine, handle, sender))
    }

    /// What waits, as figures; of the log's subscribers those that are installed.
    fn backlog(&self, options: &PlatformOptions) -> BacklogWatch {
        let (store, clock) = (self.store.clone(), &self.system.clock);
        BacklogWatch::new(store, clock, subscribers(options), BacklogOptions::default())
    }

    fn replays(&self, options: &PlatformOptions, engine: &EngineHandle) -> Replays {
        let ports = ReplaysPorts {
            worker: self.store.clone(),
            signal: Arc::new(engine.clone()),
            clock: self.system.clock.clone(),
            ids: self.system.ids.clone(),
        };
        Replays::new(ports, options.replays)
    }

    fn chores(&self, options: &PlatformOptions, guard: Arc<dyn EndpointGuard>) -> Chores {
        let chores = ChoresOptions {
            erase_grace: options.erase_grace,
            failing: options.failing,
            ..ChoresOptions::default()
        };
        let ports = ChoresPorts {
            writer: self.store.clone(),
            housekeeping: self.store.clone(),
            partitions: self.store.clone(),
            health: self.store.clone(),
            guard,
            clock: self.system.clock.clone(),
        };
        Chores::new(ports, chores)
    }

    fn tokens(&self, options: &PlatformOptions) -> Arc<dyn AccessTokens> {
        let names = TokenOptions {
            issuer: options.issuer.clone(),
            audience: options.audience.clone(),
        };
        let tokens = JwtTokens::new(self.keys.clone(), self.system.ids.clone(), names);
        Arc::new(CachedAccessTokens::new(Arc::new(tokens)))
    }

    fn ports(
        &self,
        (intake, engine): (Arc<dyn MessageIntake>, &EngineHandle),
        tokens: Arc<dyn AccessTokens>,
        options: &PlatformOptions,
    ) -> Result<Ports<SqlStore>, OpenError> {
        let System {
            clock,
            ids,
            randomness,
        } = &self.system;
        let passwords =
            Argon2Passwords::new(options.passwords, randomness.clone()).map_err(OpenError::options)?;
        Ok(Ports {
            store: SqlStore::clone(&self.store),
            intake,
            directory: self.caches.directory.clone(),
            event_types: self.caches.event_types.clone(),
            schemas: Arc::new(BoundedSchemas::new(SchemaOptions::default())),
            metrics: options.metrics.clone(),
            identities: self.store.clone(),
            passwords: Arc::new(passwords),
            throttle: Arc::new(AttemptThrottle::new(ThrottleOptions::default(), clock.clone())),
            tokens,
            signing_keys: self.keys.clone(),
            reencryption: self.store.clone(),
            export: self.store.clone(),
            work_signal: Arc::new(engine.clone()),
            trace: Arc::new(OtelTracePropagation),
            clock: clock.clone(),
            ids: ids.clone(),
            randomness: randomness.clone(),
            key_pairs: Arc::new(StandardSigner),
        })
    }
}
