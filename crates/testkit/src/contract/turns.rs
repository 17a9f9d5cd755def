//! Whoever counts before they add one more waits for whoever counted before: no limit is passed by two at once.

use std::sync::Arc;

use postrider_application::{
    audit::Record,
    ports::{ApplicationRepository, ReplayRepository, Repository, RunningReplays, Store, UnitOfWork as _},
};
use postrider_domain::{
    Aggregate as _, ApplicationId, ReplayId, Timestamp,
    endpoints::{Endpoint, EndpointRef},
    replays::{NewReplay, Replay, ReplayLimit, ReplayMode},
};
use tokio::{sync::Barrier, task::JoinSet};

use super::{Fixture, Harness, Tenancy, claiming::given, members::OTHERS_TURN};

/// How many come at the same time.
const RACERS: usize = 2;

/// The other must not be able to count as well. Whoever lets it lets both go on from here.
async fn counted(by_all: &Barrier) {
    let _ = tokio::time::timeout(OTHERS_TURN, by_all.wait()).await;
}

/// Adds the endpoint, if its application has none; whether it did.
async fn add_first<S>(store: S, tenant: Tenancy, mut endpoint: Endpoint, by_all: Arc<Barrier>) -> bool
where
    S: Store<Tx: Repository<Endpoint, Key = (ApplicationId, EndpointRef)> + ApplicationRepository>,
{
    let (scope, application) = (&tenant.scope, endpoint.state().application);
    let mut tx = store.begin(scope).await.unwrap();
    tx.endpoints_changed(scope, application).await.unwrap();
    let count = tx.count_endpoints(scope, application).await.unwrap();
    counted(&by_all).await;
    if count > 0 {
        return false;
    }
    tx.save(scope, &mut endpoint).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    true
}

/// Once somebody has said that an application's endpoints change, nobody else adds one before they are done.
pub async fn endpoints_are_counted_one_after_the_other<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (mut racers, by_all) = (JoinSet::new(), Arc::new(Barrier::new(RACERS)));
    for _ in 0..RACERS {
        let endpoint = fixture.new_endpoint(&tenant, customer.id, None);
        let store = fixture.store().clone();
        racers.spawn(add_first(store, tenant.clone(), endpoint, by_all.clone()));
    }
    let added = racers.join_all().await;
    assert_eq!(added.iter().filter(|added| **added).count(), 1, "{added:?}");
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    assert_eq!(tx.count_endpoints(&tenant.scope, customer.id).await.unwrap(), 1);
}

impl<H: Harness> Fixture<'_, H> {
    /// A new replay of everything before that time, not stored.
    pub(super) fn new_replay(
        &self,
        tenant: &Tenancy,
        (application, endpoint): (ApplicationId, postrider_domain::EndpointId),
        mode: ReplayMode,
        limit: ReplayLimit,
        now: Timestamp,
    ) -> Replay {
        let new = NewReplay {
            mode,
            from: Timestamp::from_micros(0),
            to: None,
            limit,
        };
        let id = ReplayId::from_uuid(self.uuid());
        Replay::begin(id, tenant.id, (application, endpoint), new, now).unwrap()
    }
}

/// Begins the replay, if none of the tenant's is under way; how many were.
async fn begin_first<S>(store: S, tenant: Tenancy, mut replay: Replay, by_all: Arc<Barrier>) -> RunningReplays
where
    S: Store<Tx: Repository<Replay, Key = ReplayId> + ReplayRepository>,
{
    let scope = &tenant.scope;
    let mut tx = store.begin(scope).await.unwrap();
    let running = tx.count_running(scope, replay.state().endpoint).await.unwrap();
    counted(&by_all).await;
    if running.of_tenant == 0 {
        tx.save(scope, &mut replay).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
    }
    running
}

/// Once somebody has counted a tenant's replays, nobody else begins one before they are done, of whichever endpoint.
pub async fn replays_are_counted_one_after_the_other<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (mut racers, by_all) = (JoinSet::new(), Arc::new(Barrier::new(RACERS)));
    for _ in 0..RACERS {
        let endpoint = fixture.endpoint(&tenant, &customer).await;
        let (of, limit) = ((customer.id, endpoint), ReplayLimit::default());
        let replay = fixture.new_replay(&tenant, of, ReplayMode::Missing, limit, fixture.now());
        let store = fixture.store().clone();
        racers.spawn(begin_first(store, tenant.clone(), replay, by_all.clone()));
    }
    let mut running: Vec<u32> = racers.join_all().await.iter().map(|one| one.of_tenant).collect();
    running.sort_unstable();
    assert_eq!(running, [0, 1]);
    assert_eq!(fixture.backlog().await.replays, 1);
}
