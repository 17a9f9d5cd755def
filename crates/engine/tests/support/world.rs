//! A tenant with a customer, and engines over the memory store, in tokio's paused time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    endpoints::DisableByEngine,
    ports::{
        AttemptView, Clock, DeliveryView, EndpointGuard, Ids, MessageViews as _, NewMessage, PageRequest,
        Sender, StoreError, WorkSignal as _,
    },
};
use postrider_crypto::StandardSigner;
use postrider_domain::{
    Aggregate as _, ApplicationId, Change, Description, EndpointId, MessageId, Metadata, TenantId, Version,
    endpoints::{CustomHeaders, DisableReason, Endpoint, EndpointUrl, Filter, NewEndpoint, SigningSecret},
    messages::{ContentType, Message, Payload, TraceParent},
};
use postrider_engine::{EngineOptions, EnginePorts, IntakeOptions};
use postrider_testkit::{
    RecordingSender, TokioClock,
    contract::{Customer, Fixture, Harness, Ports, Tenancy},
    memory::{MemoryStore, SeededRandomness},
};
use uuid::Uuid;

use super::{
    faulty::{Faults, Faulty},
    node::{Node, Running},
};

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

    async fn another_node(&self) -> Option<Ports> {
        Some(self.ports())
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
    pub(crate) guard: Arc<RecordingGuard>,
    pub(crate) tenancy: Tenancy,
    pub(crate) customer: Customer,
}

/// Disables endpoints as the engine says, and remembers which.
pub(crate) struct RecordingGuard {
    inner: DisableByEngine<MemoryStore>,
    pub(crate) disabled: Mutex<Vec<(EndpointId, DisableReason)>>,
}

#[async_trait]
impl EndpointGuard for RecordingGuard {
    async fn disable(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        endpoint: EndpointId,
        why: DisableReason,
        seen: Option<Version>,
    ) -> Result<Change, StoreError> {
        self.disabled.lock().unwrap().push((endpoint, why));
        self.inner.disable(tenant, application, endpoint, why, seen).await
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
        let ids: Arc<dyn Ids> = Arc::new(FixtureIds(fixture));
        Self {
            fixture,
            store: harness.store.clone(),
            sender: Arc::new(RecordingSender::new(clock.clone())),
            faults: Arc::default(),
            guard: Arc::new(RecordingGuard {
                inner: DisableByEngine::new(harness.store.clone(), clock.clone(), ids),
                disabled: Mutex::default(),
            }),
            clock,
            tenancy,
            customer,
        }
    }

    /// A node's way to the store.
    pub(crate) fn faulty(&self) -> Arc<Faulty> {
        Arc::new(Faulty::new(self.store.clone(), &self.faults))
    }

    /// The ports of a node.
    pub(crate) fn ports(&self) -> EnginePorts {
        self.ports_over(&self.faulty())
    }

    pub(crate) fn ports_over(&self, faulty: &Arc<Faulty>) -> EnginePorts {
        EnginePorts {
            queue: faulty.clone(),
            nodes: faulty.clone(),
            bell: faulty.clone(),
            guard: self.guard.clone(),
            material: faulty.clone(),
            sender: self.sender.clone(),
            signer: Arc::new(StandardSigner),
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

    /// A node with an intake, that remembers endpoints, sends by `sender` and takes messages in.
    pub(crate) async fn node<S: Sender + 'static>(&self, options: EngineOptions, sender: &Arc<S>) -> Node {
        self.node_with(options, IntakeOptions::default(), sender).await
    }

    pub(crate) async fn node_with<S: Sender + 'static>(
        &self,
        options: EngineOptions,
        intake: IntakeOptions,
        sender: &Arc<S>,
    ) -> Node {
        self.faults
            .remembers
            .store(true, std::sync::atomic::Ordering::SeqCst);
        let faulty = self.faulty();
        let ports = EnginePorts {
            sender: sender.clone(),
            ..self.ports_over(&faulty)
        };
        Node::start(self, &faulty, options, ports, intake).joined().await
    }

    /// A message with a payload of so many bytes.
    pub(crate) fn message_of(&self, customer: &Customer, bytes: usize) -> Message {
        Message {
            payload: Payload::restore(vec![b'7'; bytes], ContentType::json()),
            ..self.fixture.message(customer)
        }
    }

    pub(crate) async fn endpoint(&self, url: &str) -> EndpointId {
        self.endpoint_of(&self.customer, url, Filter::default()).await
    }

    pub(crate) async fn endpoint_of(&self, customer: &Customer, url: &str, filter: Filter) -> EndpointId {
        let new = NewEndpoint {
            filter,
            ..Self::new_endpoint(url)
        };
        self.create(customer, new).await
    }

    /// An endpoint of the customer that says more of itself than a URL.
    pub(crate) async fn endpoint_as(&self, new: NewEndpoint) -> EndpointId {
        self.create(&self.customer, new).await
    }

    /// The least that an endpoint says.
    pub(crate) fn new_endpoint(url: &str) -> NewEndpoint {
        NewEndpoint {
            url: EndpointUrl::parse(url).unwrap(),
            filter: Filter::default(),
            uid: None,
            description: Description::default(),
            secret: SigningSecret::from_bytes(vec![7; 24]).unwrap().into(),
            headers: CustomHeaders::default(),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
        }
    }

    async fn create(&self, customer: &Customer, new: NewEndpoint) -> EndpointId {
        let id = EndpointId::from_uuid(self.fixture.uuid());
        let mut endpoint = Endpoint::create(id, self.tenancy.id, customer.id, new, self.clock.now());
        self.fixture
            .save(&self.tenancy.scope, &mut endpoint)
            .await
            .unwrap();
        self.fixture.endpoints_changed(&self.tenancy, customer).await;
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
        self.fixture
            .endpoints_changed(&self.tenancy, &self.customer)
            .await;
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
        let new = NewMessage {
            message: Arc::new(message),
            dedup: None,
            owner: None,
        };
        self.fixture.ports().writer.write(&[new]).await.unwrap();
        id
    }

    pub(crate) async fn deliveries(&self, message: MessageId) -> Vec<DeliveryView> {
        self.deliveries_of(&self.customer, message).await
    }

    pub(crate) async fn deliveries_of(&self, customer: &Customer, message: MessageId) -> Vec<DeliveryView> {
        let page = PageRequest::first(100);
        let scope = &self.tenancy.scope;
        self.store
            .deliveries(scope, customer.id, message, page)
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
        let page = PageRequest::first(100);
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
