//! A tenant with a customer, and engines over the memory store, in tokio's paused time.

use std::{sync::Arc, time::Duration};

use postrider_application::{
    access::TenantScope,
    ports::{
        AcceptMessage, AttemptView, Clock, DeliveryView, Ids, MessageViews as _, PageRequest, Sender,
        WorkSignal as _,
    },
};
use postrider_crypto::HmacSigner;
use postrider_domain::{
    Aggregate as _, ApplicationId, Description, EndpointId, MessageId, Metadata,
    endpoints::{DisableReason, Endpoint, EndpointUrl, Filter, NewEndpoint, SigningSecret},
    messages::TraceParent,
};
use postrider_engine::{Engine, EngineError, EngineHandle, EngineOptions, EnginePorts};
use postrider_testkit::{
    RecordingSender, TokioClock,
    contract::{Customer, Fixture, Harness, Ports, Tenancy},
    memory::{MemoryStore, SeededRandomness},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::faulty::{Faults, Faulty};

/// The memory store in tokio's time.
pub(crate) struct PausedHarness {
    clock: Arc<TokioClock>,
    store: MemoryStore,
}

impl Harness for PausedHarness {
    type Store = MemoryStore;

    async fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        Self {
            store: MemoryStore::new(clock.clone()),
            clock,
        }
    }

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    fn ports(&self) -> Ports {
        Ports::of(&self.store)
    }

    async fn age(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn postpone(&self, by: Duration) {
        self.store.postpone_work(by);
    }

    async fn endpoints_version(&self, scope: &TenantScope, application: ApplicationId) -> i64 {
        self.store.endpoints_version(scope, application).unwrap()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

struct FixtureIds(&'static Fixture<'static, PausedHarness>);

impl Ids for FixtureIds {
    fn next(&self) -> Uuid {
        self.0.uuid()
    }
}

pub(crate) struct World {
    pub(crate) fixture: &'static Fixture<'static, PausedHarness>,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sender: Arc<RecordingSender>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) tenancy: Tenancy,
    pub(crate) customer: Customer,
    faulty: Arc<Faulty>,
}

/// An engine that runs; dropping it is a crash.
pub(crate) struct Running {
    pub(crate) handle: EngineHandle,
    shutdown: CancellationToken,
    task: JoinSet<Result<(), EngineError>>,
}

impl Running {
    pub(crate) fn start(options: EngineOptions, ports: EnginePorts) -> Self {
        let (engine, handle) = Engine::new(ports, options);
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(engine.run(shutdown.clone()));
        Self {
            handle,
            shutdown,
            task,
        }
    }

    /// Asks it to end.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits for its orderly end.
    pub(crate) async fn ended(mut self) {
        self.task.join_next().await.unwrap().unwrap().unwrap();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        // Lives as long as the test: ids must come from one sequence, the engine's too.
        let harness: &'static PausedHarness = Box::leak(Box::new(PausedHarness::new().await));
        let fixture: &'static Fixture<'static, PausedHarness> = Box::leak(Box::new(Fixture::new(harness)));
        let tenancy = fixture.tenant("acme").await;
        let customer = fixture.application(&tenancy).await;
        let clock = harness.clock();
        let faulty = Arc::new(Faulty::new(harness.store.clone()));
        Self {
            fixture,
            store: harness.store.clone(),
            sender: Arc::new(RecordingSender::new(clock.clone())),
            faults: Arc::clone(&faulty.faults),
            clock,
            tenancy,
            customer,
            faulty,
        }
    }

    pub(crate) fn ports(&self) -> EnginePorts {
        EnginePorts {
            queue: self.faulty.clone(),
            nodes: self.faulty.clone(),
            material: self.faulty.clone(),
            sender: self.sender.clone(),
            signer: Arc::new(HmacSigner),
            clock: self.clock.clone(),
            ids: Arc::new(FixtureIds(self.fixture)),
            randomness: Arc::new(SeededRandomness::default()),
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(EngineOptions::default())
    }

    pub(crate) fn start_with(&self, options: EngineOptions) -> Running {
        Running::start(options, self.ports())
    }

    pub(crate) fn start_sending_by(&self, options: EngineOptions, sender: impl Sender + 'static) -> Running {
        let ports = EnginePorts {
            sender: Arc::new(sender),
            ..self.ports()
        };
        Running::start(options, ports)
    }

    pub(crate) async fn endpoint(&self, url: &str) -> EndpointId {
        self.endpoint_of(&self.customer, url, Filter::default()).await
    }

    pub(crate) async fn endpoint_of(&self, customer: &Customer, url: &str, filter: Filter) -> EndpointId {
        let new = NewEndpoint {
            url: EndpointUrl::parse(url).unwrap(),
            filter,
            uid: None,
            description: Description::default(),
            secret: SigningSecret::from_bytes(vec![7; 24]).unwrap(),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
        };
        let id = EndpointId::from_uuid(self.fixture.uuid());
        let mut endpoint = Endpoint::create(id, self.tenancy.id, customer.id, new, self.clock.now());
        self.fixture
            .save(&self.tenancy.scope, &mut endpoint)
            .await
            .unwrap();
        id
    }

    pub(crate) async fn disable(&self, id: EndpointId) {
        let key = (self.customer.id, id.into());
        let mut endpoint: Endpoint = self.fixture.find(&self.tenancy.scope, &key).await.unwrap();
        assert!(endpoint.state().status == postrider_domain::endpoints::EndpointStatus::Enabled);
        let _ = endpoint.disable(DisableReason::Manual, self.clock.now());
        self.fixture
            .save(&self.tenancy.scope, &mut endpoint)
            .await
            .unwrap();
    }

    /// Publishes to the customer, and signals as the use case does.
    pub(crate) async fn publish(&self, engine: &Running) -> MessageId {
        let id = self.fixture.accepted(&self.customer).await;
        engine.handle.work_queued();
        id
    }

    pub(crate) async fn publish_traced(&self, trace: &str) -> MessageId {
        let mut message = self.fixture.message(&self.customer);
        message.trace = Some(TraceParent::parse(trace).unwrap());
        let id = message.id;
        let accept = AcceptMessage { message, dedup: None };
        self.fixture
            .ports()
            .intake
            .accept(&self.customer.scope, accept)
            .await
            .unwrap();
        id
    }

    pub(crate) async fn deliveries(&self, message: MessageId) -> Vec<DeliveryView> {
        let page = PageRequest {
            limit: 100,
            after: None,
        };
        let scope = &self.tenancy.scope;
        self.store
            .deliveries(scope, self.customer.id, message, page)
            .await
            .unwrap()
            .items
    }

    /// The names of the message's deliveries' states.
    pub(crate) async fn statuses(&self, message: MessageId) -> Vec<&'static str> {
        self.deliveries(message)
            .await
            .iter()
            .map(|delivery| delivery.status.as_str())
            .collect()
    }

    pub(crate) async fn attempts(&self, message: MessageId, endpoint: EndpointId) -> Vec<AttemptView> {
        let page = PageRequest {
            limit: 100,
            after: None,
        };
        let scope = &self.tenancy.scope;
        self.store
            .attempts(scope, self.customer.id, message, endpoint, page)
            .await
            .unwrap()
            .items
    }

    /// Waits until `holds`, in virtual time; panics after `within`.
    pub(crate) async fn until(&self, within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = self.clock.monotonic();
        while !holds() {
            assert!(
                self.clock.monotonic() < begun + within,
                "not within {within:?}: {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the queue is empty.
    pub(crate) async fn settled_within(&self, within: Duration) {
        self.until(within, "the queue is empty", || self.store.queued() == 0)
            .await;
    }
}
