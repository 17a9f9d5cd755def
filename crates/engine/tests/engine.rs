//! The engine over the memory store, in paused time: what is delivered, when, and how often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{OutgoingRequest, Sender, Sent};
use postrider_crypto::StandardSigner;
use postrider_domain::{
    Timestamp,
    deliveries::{CapturedBody, FailureClass, Outcome, RetryPolicy, RetrySchedule, SignedContent},
    endpoints::{Filter, SigningSecret},
    event_types::EventTypeName,
};
use postrider_engine::{Engine, EngineError, EngineOptions};
use postrider_testkit::Answer;
use support::{faulty::Faults, world::World};
use tokio_util::sync::CancellationToken;

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
const A_WHILE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_twice_gets_three_attempts_at_the_right_waits() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    world.sender.script(
        URL,
        [
            Answer::Status(500),
            Answer::Failure(FailureClass::TimeOut),
            Answer::Status(204),
        ],
    );
    let engine = world.start();
    let message = world.publish(&engine).await;
    let sent = world.sender.sent(3).await;
    world.settled_within(SOON).await;

    for (attempt, wait) in [(1, Duration::from_secs(5)), (2, Duration::from_mins(5))] {
        let waited = sent[attempt].at.since(sent[attempt - 1].at);
        let longest = wait * 12 / 10 + SOON;
        assert!(
            waited >= wait && waited < longest,
            "{waited:?} instead of {wait:?} and its jitter"
        );
    }
    let attempts = world.attempts(message, endpoint).await;
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [
            (1, Outcome::of_status(500)),
            (
                2,
                Outcome::Failed {
                    class: FailureClass::TimeOut,
                    status: None
                }
            ),
            (3, Outcome::Delivered { status: 204 }),
        ]
    );
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(sent.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_made_when_it_is_due_though_the_net_is_far_away() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(500)]);
    let options = EngineOptions {
        poll_net_interval: Duration::from_hours(1),
        retry: RetryPolicy {
            schedule: RetrySchedule::new(vec![Duration::from_secs(1)]).unwrap(),
            jitter_percent: 0,
            ..RetryPolicy::default()
        },
        ..EngineOptions::default()
    };
    let engine = world.start_with(options);
    world.publish(&engine).await;
    let sent = world.sender.sent(2).await;
    let waited = sent[1].at.since(sent[0].at);
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(1) + SOON,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_signed_anew_under_the_same_id() {
    use postrider_application::ports::WebhookSigner as _;
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(503)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    let sent = world.sender.sent(2).await;
    let payload = world.fixture.message(&world.customer).payload;
    let mut times = Vec::new();
    for request in &sent {
        let seconds: i64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
        times.push(seconds);
        assert_eq!(seconds, request.at.as_unix_seconds());
        let content = SignedContent::new(message, Timestamp::from_micros(seconds * 1_000_000), &payload);
        let signature = StandardSigner.sign(
            &[SigningSecret::from_bytes(vec![7; 24]).unwrap().into()],
            &content,
        );
        assert_eq!(request.header("webhook-signature"), signature.as_deref());
        assert_eq!(request.header("webhook-id"), Some(message.to_string().as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("user-agent").unwrap().starts_with("Postrider/"));
        assert_eq!(request.header("traceparent"), None, "nothing was traced");
        assert_eq!(
            (&request.body[..], request.timeout),
            (&br#"{"a":1}"#[..], Duration::from_secs(15))
        );
    }
    assert!(times[1] > times[0]);
}

#[tokio::test(start_paused = true)]
async fn fans_out_to_none_one_and_several() {
    for endpoints in [0usize, 1, 3] {
        let world = World::new().await;
        for n in 0..endpoints {
            world.endpoint(&format!("https://{n}.example/")).await;
        }
        let engine = world.start();
        let message = world.publish(&engine).await;
        world.settled_within(SOON).await;
        assert_eq!(world.statuses(message).await, vec!["delivered"; endpoints]);
        let mut urls: Vec<_> = world
            .sender
            .requests()
            .into_iter()
            .map(|request| request.url)
            .collect();
        urls.sort();
        let expected: Vec<_> = (0..endpoints).map(|n| format!("https://{n}.example/")).collect();
        assert_eq!(urls, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn one_failing_endpoint_of_several_is_retried_alone() {
    let world = World::new().await;
    for n in 0..3 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    world.sender.script("https://1.example/", [Answer::Status(500)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    let sent = world.sender.sent(4).await;
    assert_eq!(sent[3].url, "https://1.example/");
    world.settled_within(SOON).await;
    assert_eq!(world.statuses(message).await, ["delivered"; 3]);
}

#[tokio::test(start_paused = true)]
async fn only_endpoints_that_want_the_message_get_it() {
    let world = World::new().await;
    let filter = |name: &str| Filter::new(vec![EventTypeName::parse(name).unwrap()], vec![]).unwrap();
    world
        .endpoint_of(&world.customer, "https://no.example/", filter("invoice.voided"))
        .await;
    world
        .endpoint_of(&world.customer, "https://yes.example/", filter("invoice.paid"))
        .await;
    let engine = world.start();
    world.publish(&engine).await;
    world.settled_within(SOON).await;
    let urls: Vec<_> = world
        .sender
        .requests()
        .into_iter()
        .map(|request| request.url)
        .collect();
    assert_eq!(urls, ["https://yes.example/"]);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_endpoint_is_not_fanned_out_to_and_what_waits_for_it_is_cancelled() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(500)]);
    let engine = world.start();
    let waiting = world.publish(&engine).await;
    world.sender.sent(1).await;
    world.disable(endpoint).await;
    let later = world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.statuses(waiting).await, ["cancelled"]);
    assert!(world.deliveries(later).await.is_empty());
    assert_eq!(world.sender.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_secret_or_url_cannot_be_read_fails_and_is_retried() {
    let faults: [fn(&Faults) -> &AtomicBool; 2] = [|faults| &faults.no_secrets, |faults| &faults.no_urls];
    for fault in faults {
        let world = World::new().await;
        let endpoint = world.endpoint(URL).await;
        fault(&world.faults).store(true, Ordering::SeqCst);
        let engine = world.start();
        let message = world.publish(&engine).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let attempts = world.attempts(message, endpoint).await;
        let internal = Outcome::Failed {
            class: FailureClass::Internal,
            status: None,
        };
        assert_eq!(
            attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(),
            [internal]
        );
        assert!(world.sender.requests().is_empty());
        // Once repaired, the next attempt succeeds.
        fault(&world.faults).store(false, Ordering::SeqCst);
        world.settled_within(A_WHILE).await;
        assert_eq!(world.statuses(message).await, ["delivered"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_found_is_waited_for_and_not_dropped() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(500)]);
    let engine = world.start();
    let attempted = world.publish(&engine).await;
    world.sender.sent(1).await;
    let hidden = |yes| {
        world
            .faults
            .no_messages
            .store(yes, std::sync::atomic::Ordering::SeqCst);
    };
    hidden(true);
    let fresh = world.publish(&engine).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.store.queued(), 2, "both rows are kept");
    hidden(false);
    world.settled_within(A_WHILE).await;
    for message in [attempted, fresh] {
        assert_eq!(world.statuses(message).await, ["delivered"]);
    }
}

/// Panics at the first request.
#[derive(Default)]
struct Panicking(std::sync::atomic::AtomicBool);

#[async_trait]
impl Sender for Panicking {
    async fn send(&self, _: OutgoingRequest) -> Sent {
        assert!(
            self.0.swap(true, std::sync::atomic::Ordering::SeqCst),
            "a bug, on purpose"
        );
        Sent {
            outcome: Outcome::of_status(204),
            retry_after: None,
            response_body: CapturedBody::default(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_attempt_is_a_failed_attempt() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let engine = world.start_sending_by(EngineOptions::default(), Panicking::default());
    let message = world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    let classes: Vec<_> = world
        .attempts(message, endpoint)
        .await
        .iter()
        .map(|attempt| attempt.outcome.status())
        .collect();
    assert_eq!(classes, [None, Some(204)]);
    assert!(engine.status().lease_held, "its node lives on");
}

#[tokio::test(start_paused = true)]
async fn unusable_options_are_refused() {
    let world = World::new().await;
    let options = EngineOptions {
        max_in_flight: 0,
        ..EngineOptions::default()
    };
    let (engine, handle) = Engine::new(world.ports(), options);
    assert!(matches!(
        engine.run(CancellationToken::new()).await,
        Err(EngineError::Options(_))
    ));
    assert_eq!(handle.status().epoch, None);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_signalled_is_found_by_the_net() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    world
        .until(SOON, "joined", || engine.handle.status().lease_held)
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // As another node does: the row is there, and this node hears nothing.
    world.fixture.accepted(&world.customer).await;
    world.settled_within(Duration::from_secs(5) + SOON).await;
}

#[tokio::test(start_paused = true)]
async fn without_telemetry_the_stored_traceparent_is_sent_on() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let world = World::new().await;
    world.endpoint(URL).await;
    world.publish_traced(trace).await;
    let _engine = world.start();
    assert_eq!(world.sender.sent(1).await[0].header("traceparent"), Some(trace));
}
