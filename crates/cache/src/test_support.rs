//! What the tests of this crate share.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{
        ApiKeyRecord, ApplicationDirectory, Clock, Credentials, DeliverableEndpoint, DeliveryMaterial,
        EndpointSet, PortalRecord, ReadMessage, SessionRecord, StoreError,
    },
};
use postrider_domain::{
    ApiKeyId, ApplicationId, EndpointId, MessageId, SessionId, TenantId, Timestamp, Uid, UserId, Version,
    access::{Grant, Role},
    applications::ApplicationRef,
    endpoints::Filter,
    tenants::TenantStatus,
    tokens::SecretHash,
};
use postrider_testkit::contract::{Fixture, Harness as _, MemoryHarness};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::CacheOptions;

/// A clock that only the test moves.
#[derive(Default)]
pub(crate) struct TestClock(Mutex<Duration>);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// A long life, as moka has a clock of its own: only the test's may matter.
pub(crate) fn options() -> CacheOptions {
    CacheOptions {
        ttl: Duration::from_hours(1),
        ..CacheOptions::default()
    }
}

/// Lets a future go as far as it can without waiting.
pub(crate) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn application(n: u128) -> ApplicationId {
    ApplicationId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn uid(text: &str) -> ApplicationRef {
    ApplicationRef::Uid(Uid::parse(text).unwrap())
}

pub(crate) fn api_key(n: u128) -> ApiKeyRecord {
    ApiKeyRecord {
        id: ApiKeyId::from_uuid(Uuid::from_u128(n)),
        tenant: tenant(n),
        tenant_status: TenantStatus::Active,
        tenant_settings: postrider_domain::tenants::TenantSettings::default(),
        secret_hash: SecretHash([7; 32]),
        grants: vec![Grant::tenant(Role::Publisher)],
        expires_at: None,
    }
}

pub(crate) fn session(n: u128) -> SessionRecord {
    SessionRecord {
        id: SessionId::from_uuid(Uuid::from_u128(n)),
        tenant: tenant(n),
        tenant_status: TenantStatus::Active,
        tenant_settings: postrider_domain::tenants::TenantSettings::default(),
        user: UserId::from_uuid(Uuid::from_u128(n)),
        grants: vec![Grant::tenant(Role::Owner)],
        expires_at: Timestamp::from_micros(i64::MAX),
    }
}

pub(crate) fn portal() -> PortalRecord {
    PortalRecord {
        tenant_status: TenantStatus::Active,
        tenant_settings: postrider_domain::tenants::TenantSettings::default(),
        tokens_valid_after: None,
    }
}

/// A scope can only be granted; this is the shortest way to one.
pub(crate) async fn scope(n: u128) -> TenantScope {
    let harness = MemoryHarness::new().await;
    let cases = Fixture::new(&harness);
    cases.scope_of(&cases.owner_of(tenant(n), session(n).user)).await
}

/// Credentials that count how often they are asked: for keys, for sessions, for portal tokens' applications.
#[derive(Default)]
pub(crate) struct FakeCredentials {
    keys: Mutex<HashMap<ApiKeyId, ApiKeyRecord>>,
    sessions: Mutex<HashMap<SessionId, SessionRecord>>,
    portals: Mutex<HashMap<(TenantId, ApplicationId), PortalRecord>>,
    loads: [AtomicU32; 3],
}

impl FakeCredentials {
    pub(crate) fn add(&self, key: &ApiKeyRecord, session: &SessionRecord) {
        self.keys.lock().unwrap().insert(key.id, key.clone());
        self.sessions.lock().unwrap().insert(session.id, session.clone());
    }

    pub(crate) fn add_portal(&self, tenant: TenantId, application: ApplicationId, record: PortalRecord) {
        self.portals.lock().unwrap().insert((tenant, application), record);
    }

    pub(crate) fn clear(&self) {
        self.keys.lock().unwrap().clear();
        self.sessions.lock().unwrap().clear();
        self.portals.lock().unwrap().clear();
    }

    pub(crate) fn loads(&self) -> [u32; 3] {
        self.loads.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Credentials for FakeCredentials {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.loads[0].fetch_add(1, Ordering::SeqCst);
        Ok(self.keys.lock().unwrap().get(&id).cloned())
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.loads[1].fetch_add(1, Ordering::SeqCst);
        Ok(self.sessions.lock().unwrap().get(&id).cloned())
    }

    async fn portal(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<PortalRecord>, StoreError> {
        self.loads[2].fetch_add(1, Ordering::SeqCst);
        Ok(self.portals.lock().unwrap().get(&(tenant, application)).copied())
    }
}

/// A directory that counts how often it is asked.
#[derive(Default)]
pub(crate) struct FakeDirectory {
    applications: Mutex<HashMap<(TenantId, ApplicationRef), ApplicationId>>,
    loads: AtomicU32,
}

impl FakeDirectory {
    pub(crate) fn add(&self, tenant: TenantId, reference: &ApplicationRef, id: ApplicationId) {
        self.applications
            .lock()
            .unwrap()
            .insert((tenant, reference.clone()), id);
    }

    pub(crate) fn clear(&self) {
        self.applications.lock().unwrap().clear();
    }

    pub(crate) fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ApplicationDirectory for FakeDirectory {
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(self
            .applications
            .lock()
            .unwrap()
            .get(&(scope.tenant(), reference.clone()))
            .copied())
    }

    async fn is_operational(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<bool, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let applications = self.applications.lock().unwrap();
        let known = applications.get(&(scope.tenant(), uid("operational")));
        Ok(known == Some(&application))
    }
}

/// A set of that version, with that many endpoints.
pub(crate) fn endpoint_set(version: i64, endpoints: u128) -> Arc<EndpointSet> {
    let endpoint = |n| DeliverableEndpoint {
        id: EndpointId::from_uuid(Uuid::from_u128(n)),
        version: Version(1),
        url: None,
        filter: Filter::default(),
        secrets: Vec::new(),
        headers: None,
        retry_schedule: None,
        timeout: None,
        enabled: true,
    };
    Arc::new(EndpointSet {
        version,
        endpoints: (0..endpoints).map(|n| Arc::new(endpoint(n))).collect(),
    })
}

/// Material whose reads wait at a gate, after having read; open at first.
pub(crate) struct FakeMaterial {
    sets: Mutex<HashMap<(TenantId, ApplicationId), Arc<EndpointSet>>>,
    away: Mutex<bool>,
    loads: AtomicU32,
    pub(crate) gate: Semaphore,
}

impl FakeMaterial {
    /// More reads than a test has.
    pub(crate) const OPEN: usize = 100_000;

    pub(crate) fn set(&self, tenant: TenantId, application: ApplicationId, set: Arc<EndpointSet>) {
        self.sets.lock().unwrap().insert((tenant, application), set);
    }

    pub(crate) fn clear(&self) {
        self.sets.lock().unwrap().clear();
    }

    /// From now on nothing can be read.
    pub(crate) fn go_away(&self) {
        *self.away.lock().unwrap() = true;
    }

    pub(crate) fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

impl Default for FakeMaterial {
    fn default() -> Self {
        Self {
            sets: Mutex::default(),
            away: Mutex::default(),
            loads: AtomicU32::new(0),
            gate: Semaphore::new(Self::OPEN),
        }
    }
}

#[async_trait]
impl DeliveryMaterial for FakeMaterial {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        // No message is needed to see that it was asked.
        Err(StoreError::Unavailable(
            format!("{} asked for", keys.len()).into(),
        ))
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if *self.away.lock().unwrap() {
            return Err(StoreError::Unavailable("away".into()));
        }
        let found = {
            let sets = self.sets.lock().unwrap();
            let found = |key: &(TenantId, ApplicationId)| Some((key.1, sets.get(key)?.clone()));
            applications.iter().filter_map(found).collect()
        };
        self.gate.acquire().await.unwrap().forget();
        Ok(found)
    }
}
