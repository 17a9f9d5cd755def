use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postrider_application::{
    FullStore,
    access::TenantScope,
    ports::{
        Answers, ApplicationDirectory, Backlogs, Clock, Credentials, DeliveryMaterial, DeliveryQueue,
        EndpointHealth, EventBell, EventLog, EventReaders, EventTypeDirectory, FigureStore, Housekeeping,
        Identities, InstallationFacts, MessageWriter, NodeRegistry, NodeSight, OperationalApplications,
        Partitions, RelayCursors, ReplayWorker, Retention, SigningKeyStore, WorkBell,
    },
};
use postrider_domain::{ApplicationId, TenantId};

use crate::TokioClock;

/// The storage ports that are chosen at run time.
#[derive(Clone)]
pub struct Ports {
    /// The way in of messages, in batches.
    pub writer: Arc<dyn MessageWriter>,
    /// The work queue.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Which nodes live.
    pub nodes: Arc<dyn NodeRegistry>,
    /// What tells other nodes that there is work.
    pub bell: Arc<dyn WorkBell>,
    /// Which endpoints fail.
    pub health: Arc<dyn EndpointHealth>,
    /// The partitions of history.
    pub partitions: Arc<dyn Partitions>,
    /// What the engine reads to deliver.
    pub material: Arc<dyn DeliveryMaterial>,
    /// Credentials by id.
    pub credentials: Arc<dyn Credentials>,
    /// Which application a reference means.
    pub directory: Arc<dyn ApplicationDirectory>,
    /// What is known of event types.
    pub event_types: Arc<dyn EventTypeDirectory>,
    /// People and their memberships.
    pub identities: Arc<dyn Identities>,
    /// What commands with an idempotency key were answered.
    pub answers: Arc<dyn Answers>,
    /// The log of aggregates' events.
    pub events: Arc<dyn EventLog>,
    /// The cursors of the log's subscribers.
    pub cursors: Arc<dyn RelayCursors>,
    /// Which tenants listen to operational webhooks.
    pub listeners: Arc<dyn OperationalApplications>,
    /// How far nodes have seen the log.
    pub sight: Arc<dyn NodeSight>,
    /// Hears of the log.
    pub event_bell: Arc<dyn EventBell>,
    /// The signing keys of access tokens.
    pub keys: Arc<dyn SigningKeyStore>,
    /// Facts that are written once.
    pub facts: Arc<dyn InstallationFacts>,
    /// What nobody waits for.
    pub housekeeping: Arc<dyn Housekeeping>,
    /// What works replays.
    pub replays: Arc<dyn ReplayWorker>,
    /// Figures of endpoints and tenants.
    pub figures: Arc<dyn FigureStore>,
    /// What removes what is old.
    pub retention: Arc<dyn Retention>,
    /// What is still needed of the log.
    pub readers: Arc<dyn EventReaders>,
    /// What waits, as figures.
    pub backlogs: Arc<dyn Backlogs>,
}

impl Ports {
    /// The ports of a store that offers all of them itself.
    pub fn of<S>(store: &S) -> Self
    where
        S: MessageWriter
            + DeliveryQueue
            + NodeRegistry
            + WorkBell
            + EndpointHealth
            + Partitions
            + DeliveryMaterial
            + Credentials
            + ApplicationDirectory
            + EventTypeDirectory
            + Identities
            + Answers
            + EventLog
            + RelayCursors
            + OperationalApplications
            + NodeSight
            + EventBell
            + SigningKeyStore
            + InstallationFacts
            + Housekeeping
            + ReplayWorker
            + FigureStore
            + Retention
            + EventReaders
            + Backlogs
            + Clone
            + 'static,
    {
        let store = Arc::new(store.clone());
        Self {
            writer: store.clone(),
            queue: store.clone(),
            nodes: store.clone(),
            bell: store.clone(),
            health: store.clone(),
            partitions: store.clone(),
            material: store.clone(),
            credentials: store.clone(),
            directory: store.clone(),
            event_types: store.clone(),
            identities: store.clone(),
            answers: store.clone(),
            events: store.clone(),
            cursors: store.clone(),
            listeners: store.clone(),
            sight: store.clone(),
            event_bell: store.clone(),
            keys: store.clone(),
            facts: store.clone(),
            housekeeping: store.clone(),
            replays: store.clone(),
            figures: store.clone(),
            retention: store.clone(),
            readers: store.clone(),
            backlogs: store,
        }
    }
}

/// What an adapter does for the cases: an empty store of its own for each, and time.
///
/// Cases run in parallel and claim from the whole queue, so two harnesses must not share a database (or at least
/// not a schema).
pub trait Harness: Sized + Send + Sync + 'static {
    /// The store.
    type Store: FullStore;

    /// An empty store that nobody else uses.
    fn new() -> impl Future<Output = Self> + Send;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// Its ports that are chosen at run time; the same store.
    fn ports(&self) -> Ports;

    /// The ports of another node on the same store; none where there is only ever one.
    fn another_node(&self) -> impl Future<Output = Option<Ports>> + Send;

    /// Lets `by` pass for what is stored: `due_at` of the queue and of deliveries, `deliver_at` of messages,
    /// `expires_at` of keys (of messages and of commands), `lease_until` of nodes, `moved_at` of cursors, `since` and
    /// `last_at` of failing endpoints and `recorded_at` of events are so much earlier than they were, compared with the
    /// store's now. (Databases are not waited for: their rows are aged.)
    fn age(&self, by: Duration) -> impl Future<Output = ()> + Send;

    /// Makes every row of the queue due `by` later than it was.
    fn postpone(&self, by: Duration) -> impl Future<Output = ()> + Send;

    /// The stored `endpoints_version` of an application.
    fn endpoints_version(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> impl Future<Output = i64> + Send;

    /// A clock near the store's, for ids and for times that are only shown.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(TokioClock::of_this_machine())
    }

    /// Called after a case that passed, to remove what the harness made. What a failed case leaves is the
    /// harness's own `Drop` to remove.
    fn finish(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A harness whose rows can be counted from outside of the store, past all of its filters.
pub trait Census: Harness {
    /// How many rows of which table are the tenant's: of `tenants` itself, and of all tables with a tenant but
    /// `erasures`. With none, how many are no tenant's: of `users`, `password_resets`, `erasures` and `signing_keys`,
    /// and the rows without a tenant of `outbox_events` and `audit_entries`. Tables without any are left out.
    fn rows(&self, of: Option<TenantId>) -> impl Future<Output = BTreeMap<String, u64>> + Send;
}
