//! What an endpoint says of itself, and what its receiver asks for: each attempt goes by it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{Clock, OutgoingRequest, Sender, Sent};
use postrider_crypto::StandardSigner;
use postrider_domain::{
    EndpointId, MessageId, Timestamp,
    deliveries::{CapturedBody, FailureClass, Outcome, RetrySchedule, SignedContent},
    endpoints::{
        AttemptTimeout, CustomHeaders, Endpoint, HeaderName, HeaderValue, NewEndpoint, Overlap, SigningSecret,
    },
};
use postrider_engine::EngineOptions;
use postrider_testkit::Answer;
use support::{
    faulty::{Fault, Op},
    node::Running,
    world::World,
};

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
const A_WHILE: Duration = Duration::from_secs(30);

/// Keeps each request whole, with the time by the monotonic clock, and answers all of them alike.
struct Whole {
    clock: Arc<dyn Clock>,
    status: u16,
    requests: Arc<Mutex<Vec<(Duration, OutgoingRequest)>>>,
}

#[async_trait]
impl Sender for Whole {
    async fn send(&self, request: OutgoingRequest) -> Sent {
        self.requests
            .lock()
            .unwrap()
            .push((self.clock.monotonic(), request));
        Sent {
            outcome: Outcome::of_status(self.status),
            retry_after: None,
            response_body: CapturedBody::default(),
        }
    }
}

/// A header's name and value, and whether it is secret.
fn header(name: &str, value: &str, secret: bool) -> (HeaderName, HeaderValue) {
    (
        HeaderName::parse(name).unwrap(),
        HeaderValue::parse(value, secret).unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn its_headers_its_time_out_and_its_schedule_are_those_of_each_attempt() {
    let world = World::new().await;
    let headers = [
        header("authorization", "Bearer s3cret", true),
        header("x-env", "prod", false),
    ];
    let waits = [40, 80].map(Duration::from_secs);
    let endpoint = world
        .endpoint_as(NewEndpoint {
            headers: CustomHeaders::new(BTreeMap::from(headers)).unwrap(),
            timeout: Some(AttemptTimeout::from_millis(7_000).unwrap()),
            retry_schedule: Some(RetrySchedule::new(waits.to_vec()).unwrap()),
            ..World::new_endpoint(URL)
        })
        .await;
    let requests = Arc::<Mutex<Vec<_>>>::default();
    let sender = Whole {
        clock: world.clock.clone(),
        status: 500,
        requests: requests.clone(),
    };
    let engine = world.start_sending_by(EngineOptions::default(), sender);
    let message = world.publish(&engine).await;
    world.settled_within(Duration::from_mins(5)).await;

    let sent = requests.lock().unwrap().clone();
    assert_eq!(sent.len(), 3, "as many as its schedule has, and no more");
    for (_, request) in &sent {
        assert_eq!(request.timeout, Duration::from_secs(7));
        let custom = request.custom_headers.as_ref().unwrap().all();
        let custom: Vec<_> = custom
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(custom, [("authorization", "Bearer s3cret"), ("x-env", "prod")]);
    }
    for (attempt, wait) in (1..).zip(waits) {
        let waited = sent[attempt].0.saturating_sub(sent[attempt - 1].0);
        assert!(
            waited >= wait && waited < wait * 12 / 10 + SOON,
            "{waited:?} instead of {wait:?} and its jitter"
        );
    }
    assert_eq!(world.statuses(message).await, ["failed"]);
    assert_eq!(world.attempts(message, endpoint).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_a_pause_is_left_alone_for_so_long() {
    const PAUSE: Duration = Duration::from_mins(10);
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::RetryAfter(503, PAUSE)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    let sent = world.sender.sent(2).await;
    world.settled_within(SOON).await;
    let waited = sent[1].at.since(sent[0].at);
    assert!(
        waited >= PAUSE && waited < PAUSE * 12 / 10 + SOON,
        "{waited:?}, though its schedule says five seconds"
    );
    assert_eq!(world.statuses(message).await, ["delivered"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_kept_with_its_attempt_and_takes_room_until_it_is_written() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let body = |byte, truncated| CapturedBody {
        bytes: vec![byte; 10_000],
        truncated,
        ..CapturedBody::default()
    };
    let answers = [
        Answer::WithBody(503, body(b'n', true)),
        Answer::WithBody(200, body(b'y', false)),
    ];
    world.sender.script(URL, answers);
    world.faults.plan(Op::Settle, [Fault::Before]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world
        .until(Duration::from_secs(1), "a try to write it failed", || {
            world.faults.are_over(Op::Settle)
        })
        .await;
    let room = engine.status().memory_bytes;
    assert!(
        (10_000..20_000).contains(&room),
        "{room}: the answer's, while it waits"
    );
    world.settled_within(A_WHILE).await;
    let kept: Vec<_> = world
        .attempts(message, endpoint)
        .await
        .into_iter()
        .map(|attempt| (attempt.outcome, attempt.response_body))
        .collect();
    let expected = [(503, body(b'n', true)), (200, body(b'y', false))];
    assert_eq!(
        kept,
        expected.map(|(status, body)| (Outcome::of_status(status), body))
    );
    world
        .until(SOON, "the room is given back", || {
            engine.status().memory_bytes == 0
        })
        .await;
}

/// The signatures of the next message to `URL`.
async fn signed(world: &World, engine: &Running) -> (MessageId, Timestamp, String) {
    let before = world.sender.requests().len();
    let message = world.publish(engine).await;
    let sent = world.sender.sent(before + 1).await;
    let request = &sent[before];
    let signature = request.header("webhook-signature").unwrap();
    (message, request.at, signature.to_owned())
}

/// What a holder of these secrets signs.
fn signature_of(world: &World, message: MessageId, at: Timestamp, secrets: &[u8]) -> String {
    use postrider_application::ports::WebhookSigner as _;
    let payload = world.fixture.message(&world.customer).payload;
    let secret = |n: &u8| SigningSecret::from_bytes(vec![*n; 24]).unwrap().into();
    let secrets: Vec<_> = secrets.iter().map(secret).collect();
    let content = SignedContent::new(message, at, &payload);
    StandardSigner.sign(&secrets, &content).unwrap()
}

async fn rotate(world: &World, id: EndpointId, to: u8, overlap_seconds: u64) {
    let key = (world.customer.id, id.into());
    let mut endpoint: Endpoint = world.fixture.find(&world.tenancy.scope, &key).await.unwrap();
    let secret = SigningSecret::from_bytes(vec![to; 24]).unwrap();
    let overlap = Overlap::from_seconds(overlap_seconds).unwrap();
    endpoint
        .rotate_secret(secret.into(), overlap, world.clock.now())
        .unwrap();
    world
        .fixture
        .save(&world.tenancy.scope, &mut endpoint)
        .await
        .unwrap();
    world
        .fixture
        .endpoints_changed(&world.tenancy, &world.customer)
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_old_secret_signs_beside_the_new_one_until_its_overlap_is_over() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let engine = world.start();
    let (message, at, alone) = signed(&world, &engine).await;
    assert_eq!(alone, signature_of(&world, message, at, &[7]));
    rotate(&world, endpoint, 8, 60).await;
    let (message, at, both) = signed(&world, &engine).await;
    assert_eq!(both, signature_of(&world, message, at, &[8, 7]));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (message, at, new) = signed(&world, &engine).await;
    assert_eq!(new, signature_of(&world, message, at, &[8]));
    rotate(&world, endpoint, 9, 0).await;
    let (message, at, at_once) = signed(&world, &engine).await;
    assert_eq!(at_once, signature_of(&world, message, at, &[9]));
}

/// Never answers.
struct Silent;

#[async_trait]
impl Sender for Silent {
    async fn send(&self, _: OutgoingRequest) -> Sent {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_passes_its_deadline_is_given_up() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let engine = world.start_sending_by(EngineOptions::default(), Silent);
    let message = world.publish(&engine).await;
    // The time-out of an attempt, and a little grace.
    tokio::time::sleep(Duration::from_secs(17)).await;
    let outcomes: Vec<_> = world
        .attempts(message, endpoint)
        .await
        .into_iter()
        .map(|attempt| attempt.outcome)
        .collect();
    let timed_out = Outcome::Failed {
        class: FailureClass::TimeOut,
        status: None,
    };
    assert_eq!(outcomes, [timed_out]);
    assert_eq!(engine.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_changed_while_it_said_that_it_is_gone_is_not_disabled_for_it() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let gate = world.sender.gate();
    world.sender.script(URL, [Answer::Status(410)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.sender.sent(1).await;
    // Its answer is on the way. Whoever changes it now says that it is there.
    rotate(&world, endpoint, 8, 0).await;
    gate.open(9);
    world.settled_within(A_WHILE).await;
    assert_eq!(world.statuses(message).await, ["failed"]);
    let later = world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.statuses(later).await, ["delivered"]);
}
