//! How the parts of a platform are put together: adapters behind ports.

use std::sync::Arc;

use postrider_application::{
    Ports, UseCases,
    authentication::Authenticator,
    endpoints::DisableByEngine,
    mediator::{Mediator, MediatorPorts},
    operational::PublishOperational,
    ports::{AccessTokens, EndpointGuard, MessageIntake, Partitions as _},
};
use postrider_cache::{AttemptThrottle, CachedAccessTokens, ThrottleOptions};
use postrider_crypto::{
    Argon2Passwords, AskedKeys, CursorKeys, JwtTokens, KeyRing, KeyRingRefresher, OperatorTokens,
    StandardSigner, TokenOptions,
};
use postrider_engine::{
    BacklogOptions, BacklogWatch, Chores, ChoresOptions, ChoresPorts, Engine, EngineHandle, EngineOptions,
    EnginePorts, FigureOptions, FigureWriter, HttpSender, Intake, IntakeHandle, Replays, ReplaysPorts,
    RetentionChore, RetentionPorts,
};
use postrider_outbox::{
    Barrier, EVENT_SINK, Installed, JsonLines, OPERATIONAL_WEBHOOKS, OperationalWebhooks, Relay, RelayPorts,
    RelaySignal, SinkSubscriber,
};
use postrider_persistence::{Database, DatabaseOptions, SqlStore};
use postrider_schema::{BoundedSchemas, SchemaOptions};

use super::{
    OpenError, Platform, PlatformOptions,
    background::Background,
    caches::Caches,
    denials::{DenialWriter, Denials},
    key_uses::{KeyUseWriter, NotedKeyUses},
    opening::System,
    prober::Prober,
};
use crate::{
    ApiContext, App, RateLimits,
    telemetry::{OtelRelayMetrics, OtelTracePropagation},
};

/// The names of those who hear of events, once for the whole installation.
fn subscribers(options: &PlatformOptions) -> Vec<&'static str> {
    let sink = options.event_sink.is_some().then_some(EVENT_SINK.name);
    std::iter::once(OPERATIONAL_WEBHOOKS.name).chain(sink).collect()
}

/// What there is once the database is open and the keys fit.
pub(super) struct Opened {
    pub(super) system: System,
    pub(super) store: Arc<SqlStore>,
    /// What the store tells of commits.
    pub(super) signal: RelaySignal,
    pub(super) keys: Arc<KeyRing>,
    pub(super) caches: Caches,
    pub(super) cursors: Arc<CursorKeys>,
    pub(super) asked: Arc<AskedKeys>,
    /// Instead of the product's own way in.
    pub(super) intake: Option<Arc<dyn MessageIntake>>,
}

impl Opened {
    pub(super) async fn compose(
        self,
        database: Database,
        options: PlatformOptions,
    ) -> Result<Platform, OpenError> {
        database.observe();
        let guard = self.guard();
        let (engine, engine_handle, sender) = self.engine(&options, guard.clone())?;
        let (intake, intake_handle) = self.intake(&options, &engine_handle)?;
        let way_in = match &self.intake {
            Some(other) => other.clone(),
            None => Arc::new(intake_handle),
        };
        let relay = self.relay(&options, way_in.clone(), &engine_handle).await?;
        let barrier = relay.barrier();
        let (denials, key_uses) = (Denials::default(), NotedKeyUses::default());
        let background = Background {
            engine,
            sender,
            relay,
            chores: self.chores(&options, guard),
            replays: self.replays(&options, &engine_handle),
            figures: self.figures(&engine_handle),
            retention: self.retention(&options),
            backlog: self.backlog(&options),
            keys: KeyRingRefresher::new(self.keys.clone()),
            denials: DenialWriter::new(&denials, self.store.clone(), self.system.clock.clone()),
            key_uses: KeyUseWriter::new(&key_uses, self.store.clone()),
        };
        let tokens = self.tokens(&options);
        let ports = self.ports((way_in, &engine_handle), tokens.clone(), &options)?;
        let prober = Prober::new(options.health.clone(), database.clone(), engine_handle.clone());
        let context = Arc::new(ApiContext {
            mediator: Arc::new(self.mediator(&ports, denials, barrier, &options)),
            authenticator: Arc::new(self.authenticator(tokens.clone(), key_uses)),
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
    pub(super) async fn make_partitions(&self) {
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

    fn figures(&self, engine: &EngineHandle) -> FigureWriter {
        let (store, clock) = (self.store.clone(), self.system.clock.clone());
        FigureWriter::new(engine, store, clock, FigureOptions::default())
    }

    fn retention(&self, options: &PlatformOptions) -> RetentionChore {
        let ports = RetentionPorts {
            retention: self.store.clone(),
            readers: self.store.clone(),
            clock: self.system.clock.clone(),
        };
        RetentionChore::new(ports, options.retention)
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

    fn authenticator(&self, tokens: Arc<dyn AccessTokens>, key_uses: NotedKeyUses) -> Authenticator {
        let credentials = self.caches.credentials.clone();
        let clock = self.system.clock.clone();
        Authenticator::new(credentials, tokens, Arc::new(key_uses), clock)
    }

    fn mediator(
        &self,
        ports: &Ports<SqlStore>,
        denials: Denials,
        barrier: Barrier,
        options: &PlatformOptions,
    ) -> App {
        let mediator_ports = MediatorPorts {
            directory: self.caches.directory.clone(),
            metrics: options.metrics.clone(),
            denials: Arc::new(denials),
            clock: self.system.clock.clone(),
            ids: self.system.ids.clone(),
            answers: self.store.clone(),
            answer_window: options.settings.dedup_window,
            barrier: Arc::new(barrier),
        };
        Mediator::new(UseCases::new(ports, &options.settings), mediator_ports)
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
