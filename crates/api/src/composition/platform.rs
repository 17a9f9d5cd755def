use std::{sync::Arc, time::Duration};

use postrider_application::ports::{MessageIntake, StoreError, WorkBell as _};
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
    last_words::LastWords,
    opening::{System, open_database, open_sealer},
    prober::Prober,
};
use crate::{ApiContext, App, Health};

/// How long saying goodbye to the database may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

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

/// Which signing keys must open.
#[derive(Clone, Copy)]
enum Demand {
    /// Each that is stored.
    AllKeys,
    /// None of them.
    ReadableKeys,
}

impl Platform {
    /// Opens the database, checks keys, and composes everything. Nothing runs yet.
    pub async fn open(options: PlatformOptions) -> Result<Self, OpenError> {
        Self::open_any(options, None, Demand::AllKeys).await
    }

    /// Like [`Self::open`], also if stored signing keys do not open: for whoever is about to discard them, and not to
    /// serve.
    pub async fn open_with_readable_keys(options: PlatformOptions) -> Result<Self, OpenError> {
        Self::open_any(options, None, Demand::ReadableKeys).await
    }

    /// Like [`Self::open`], but messages come in by this way instead of the product's own: only for measuring what
    /// that one costs.
    pub async fn open_with_intake(
        options: PlatformOptions,
        intake: Arc<dyn MessageIntake>,
    ) -> Result<Self, OpenError> {
        Self::open_any(options, Some(intake), Demand::AllKeys).await
    }

    async fn open_any(
        options: PlatformOptions,
        intake: Option<Arc<dyn MessageIntake>>,
        demand: Demand,
    ) -> Result<Self, OpenError> {
        // Both TLS users (the database driver, the sender) agree on one provider; a second call is refused and
        // means that it is done already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let system = System::new();
        let database = open_database(options.database.clone(), options.migrate).await?;
        let (sealer, cursors, asked) = open_sealer(&options, &database, &system).await?;
        let facts = Arc::new(database.clone());
        let (seals, clock) = (sealer.clone(), system.clock.clone());
        let keys = match demand {
            Demand::AllKeys => KeyRing::load_or_create(facts, seals, clock).await?,
            Demand::ReadableKeys => KeyRing::load_readable(facts, seals, clock).await?,
        };
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
