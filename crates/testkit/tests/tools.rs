//! The tools themselves: clocks, ids, randomness, the recording sender, and the store over tokio's time.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::{collections::HashSet, sync::Arc, time::Duration};

use postrider_application::audit::Record;
use postrider_application::ports::{
    Clock, DeliveryQueue as _, Ids as _, NodeRegistry as _, OutgoingRequest, PasswordHasher as _, Randomness,
    Sender as _, TracePropagation as _, Verified, WorkSignal as _,
};
use postrider_domain::{
    deliveries::{CapturedBody, FailureClass, Outcome},
    endpoints::EndpointUrl,
    messages::TraceParent,
    users::PasswordHash,
};
use postrider_testkit::{
    Answer, RecordingSender, TokioClock,
    contract::{Fixture, Harness, MemoryHarness},
    memory::{
        CountingSignal, MemoryStore, NoTrace, PlainPasswords, SeededRandomness, SequentialIds, TestClock,
    },
};

const URL: &str = "https://example.com/hooks";

#[test]
fn the_test_clock_moves_only_when_told() {
    let clock = TestClock::new();
    assert_eq!(
        (clock.now(), clock.monotonic()),
        (TestClock::START, Duration::ZERO)
    );
    clock.advance(Duration::from_secs(3));
    assert_eq!(clock.now().since(TestClock::START), Duration::from_secs(3));
    assert_eq!(clock.monotonic(), Duration::from_secs(3));
}

#[test]
fn ids_are_uuids_of_version_7_that_increase_and_repeat_in_every_run() {
    let clock = Arc::new(TestClock::new());
    let (ids, again) = (
        SequentialIds::new(clock.clone()),
        SequentialIds::new(clock.clone()),
    );
    let mut last = uuid::Uuid::nil();
    for _ in 0..1_000 {
        let id = ids.next();
        assert_eq!(
            (id.get_version_num(), id.get_variant()),
            (7, uuid::Variant::RFC4122)
        );
        assert!(id > last);
        assert_eq!(id, again.next());
        last = id;
        clock.advance(Duration::from_millis(1));
    }
    let millis = i64::try_from(last.as_u128() >> 80).unwrap();
    assert_eq!(millis, TestClock::START.as_unix_millis() + 999);
}

#[test]
fn seeded_bytes_repeat_by_seed_and_do_not_repeat_within() {
    let [a, b, other] = [1, 1, 2].map(SeededRandomness::new);
    let drawn: Vec<[u8; 13]> = (0..100).map(|_| (&a as &dyn Randomness).bytes()).collect();
    let again: Vec<[u8; 13]> = (0..100).map(|_| (&b as &dyn Randomness).bytes()).collect();
    assert_eq!(drawn, again);
    assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 100);
    assert_ne!((&other as &dyn Randomness).bytes::<13>(), drawn[0]);
}

#[tokio::test]
async fn plain_fakes_do_what_their_ports_say() {
    let hash = PlainPasswords.hash("secret".into()).await.unwrap();
    let outdated = PasswordHash::from_phc(format!("{}secret", PlainPasswords::OUTDATED_MARKER));
    for (password, hash, verified) in [
        ("secret", Some(hash.clone()), Verified::Right),
        ("secret", Some(outdated.clone()), Verified::RightButOutdated),
        ("Secret", Some(hash), Verified::Wrong),
        ("Secret", Some(outdated), Verified::Wrong),
        ("secret", None, Verified::Wrong),
    ] {
        assert_eq!(
            PlainPasswords.verify(password.into(), hash).await.unwrap(),
            verified
        );
    }

    let signal = CountingSignal::default();
    signal.work_queued();
    assert_eq!(signal.count(), 1);

    let (trace, parent) = (
        NoTrace::default(),
        TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap(),
    );
    assert_eq!(trace.current(), None);
    trace.set(Some(parent.clone()));
    assert_eq!(trace.current(), Some(parent));
}

fn request(timeout: Duration) -> OutgoingRequest {
    OutgoingRequest {
        url: EndpointUrl::parse(URL).unwrap(),
        headers: vec![("webhook-id", "msg_1".to_owned())],
        custom_headers: None,
        body: Arc::from(*b"{}"),
        timeout,
    }
}

fn sender() -> Arc<RecordingSender> {
    Arc::new(RecordingSender::new(Arc::new(TokioClock::new())))
}

#[tokio::test(start_paused = true)]
async fn the_sender_answers_from_its_script_and_then_204() {
    let sender = sender();
    let body = CapturedBody {
        bytes: b"no".to_vec(),
        truncated: true,
        ..CapturedBody::default()
    };
    let script = [
        Answer::Failure(FailureClass::Dns),
        Answer::WithBody(503, body.clone()),
    ];
    sender.script(URL, script);
    let minute = Duration::from_mins(1);
    let outcomes = [
        sender.send(request(minute)).await,
        sender.send(request(minute)).await,
        sender.send(request(minute)).await,
    ];
    let failed = Outcome::Failed {
        class: FailureClass::Dns,
        status: None,
    };
    assert_eq!(
        outcomes.each_ref().map(|sent| sent.outcome),
        [failed, Outcome::of_status(503), Outcome::of_status(204)]
    );
    assert_eq!(outcomes[1].response_body, body);
    let requests = sender.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(
        (requests[0].url.as_str(), requests[0].header("webhook-id")),
        (URL, Some("msg_1"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_sender_takes_its_time_and_never_longer_than_allowed() {
    let (sender, started) = (sender(), TokioClock::START);
    sender.delay(Duration::from_secs(10));
    let sent = sender.send(request(Duration::from_secs(11))).await;
    assert_eq!(sent.outcome, Outcome::of_status(204));
    let sent = sender.send(request(Duration::from_secs(9))).await;
    let failed = Outcome::Failed {
        class: FailureClass::TimeOut,
        status: None,
    };
    assert_eq!(sent.outcome, failed);
    let times: Vec<Duration> = sender
        .requests()
        .iter()
        .map(|sent| sent.at.since(started))
        .collect();
    assert_eq!(times, [Duration::ZERO, Duration::from_secs(10)]);
}

#[tokio::test]
async fn the_gate_holds_requests_back() {
    let sender = sender();
    let gate = sender.gate();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let sender = sender.clone();
        requests.spawn(async move { sender.send(request(Duration::from_mins(1))).await });
    }
    assert_eq!(sender.sent(2).await.len(), 2);
    assert!(requests.try_join_next().is_none(), "sent, and not answered");
    gate.open(1);
    requests.join_next().await.unwrap().unwrap();
    assert!(
        requests.try_join_next().is_none(),
        "one was let through, and not the other"
    );
    gate.open(1);
    requests.join_next().await.unwrap().unwrap();
}

/// The memory store over tokio's clock, as the engine's tests use it.
struct OverTokio {
    store: MemoryStore,
    clock: Arc<TokioClock>,
}

impl Harness for OverTokio {
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

    fn ports(&self) -> postrider_testkit::contract::Ports {
        postrider_testkit::contract::Ports::of(&self.store)
    }

    async fn another_node(&self) -> Option<postrider_testkit::contract::Ports> {
        Some(self.ports())
    }

    async fn age(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn postpone(&self, by: Duration) {
        self.store.postpone_work(by);
    }

    async fn endpoints_version(
        &self,
        scope: &postrider_application::access::TenantScope,
        application: postrider_domain::ApplicationId,
    ) -> i64 {
        self.store.endpoints_version(scope, application).unwrap()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn retries_in_memory_become_due_as_tokios_time_passes() {
    let harness = OverTokio::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    assert!(
        fixture
            .settle(node, work, fixture.failed(message, endpoint).0)
            .await
    );
    assert!(fixture.claim(node).await.is_empty());

    let wait = harness.store.next_due(None).await.unwrap().unwrap();
    tokio::time::sleep(wait).await;
    fixture.claim_one(node).await;
    assert!(
        !harness.store.bury().await.unwrap().is_empty(),
        "the lease ran out meanwhile"
    );
}

/// The lock that serialises writers is given back by dropping, also when the next one waits already.
#[tokio::test]
async fn a_dropped_transaction_lets_the_next_one_in() {
    use postrider_application::ports::{Store as _, UnitOfWork as _};
    let harness = MemoryHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let open = harness.store().begin(&tenant.scope).await.unwrap();
    let mut next = Box::pin(harness.store().begin(&tenant.scope));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "writers take turns");
    drop(open);
    next.await.unwrap().commit(Record::InHistory).await.unwrap();
}
