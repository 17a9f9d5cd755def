use std::{sync::Arc, time::Duration};

use postrider_application::ports::{MessageIntake, NodeRegistry as _, StoreError, WorkBell as _};
use postrider_crypto::KeyRing;
use postrider_engine::{EngineHandle, Intake};
use postrider_outbox::RelaySignal;
use postrider_persistence::{Database, SqlStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    OpenError, PlatformOptions, RunError,
    background::Background,
    caches::Caches,
    composing::Opened,
    opening::{System, open_database, open_sealer},
    prober::Prober,
};
use crate::{ApiContext, App, Health};

/// The composed system, without a listener.
pub struct Platform {
    pub(super) database: Database,
    pub(super) context: Arc<ApiContext>,
    pub(super) intake: Intake,
    pub(super) store: Arc<SqlStore>,
    pub(super) background: Background,
    pub(super) engine: EngineHandle,
    pub(super) prober: Prober,
    pub(super) health: Arc<Health>,
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
    /// closes what is its own. Until then messages are taken in, for the next start or another node; requests that end
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

/// What is left to be done for a platform whose end took too long and was cut short.
pub struct LastWords {
    store: Arc<SqlStore>,
    engine: EngineHandle,
}

impl LastWords {
    /// How long it may take; if it fails, the lease runs out by itself.
    const WITHIN: Duration = Duration::from_secs(2);

    /// Says what is left, and gives it back: others may have it at once. To be called once [`Platform::run`] was
    /// dropped.
    pub async fn say(self) {
        let status = self.engine.status();
        tracing::warn!(
            in_flight = status.in_flight,
            waiting = status.waiting,
            holds_lease = status.epoch.is_some(),
            "the shutdown took too long and is cut short; what was under way goes back to the queue and will be repeated"
        );
        let Some(epoch) = status.epoch else { return };
        let leaving = async {
            self.store.leave(epoch).await?;
            self.store.ring().await
        };
        match tokio::time::timeout(Self::WITHIN, leaving).await {
            Ok(Ok(())) => tracing::info!(%epoch, "left; nothing is leased any more"),
            Ok(Err(error)) => tracing::warn!(%epoch, %error, "could not leave; the lease will run out"),
            Err(_) => tracing::warn!(%epoch, "could not leave in time; the lease will run out"),
        }
    }
}
