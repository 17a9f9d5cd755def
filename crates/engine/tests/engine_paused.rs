//! A node may stand still for longer than its lease at any moment, as a paused machine does: then it begins nothing more by
//! it, though nobody has told it yet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{Clock, OutgoingRequest, Sender, Sent, WorkSignal as _};
use postrider_domain::{
    Timestamp,
    deliveries::{CapturedBody, Outcome},
};
use postrider_engine::{EngineOptions, EnginePorts};
use support::{node::Running, world::World};

const LEASE: Duration = Duration::from_secs(15);
/// Shorter than the time between two beats: whoever keeps the lease has not looked again.
const BETWEEN_BEATS: Duration = Duration::from_secs(2);

/// By this clock the node stood still for a lease when it asks that question for the time, counted from when that is
/// decided.
struct StandsStill {
    inner: Arc<dyn Clock>,
    asked: AtomicU64,
    at: AtomicU64,
}

impl StandsStill {
    fn decide(&self, at: u64) {
        self.asked.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Clock for StandsStill {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        let asked = 1 + self.asked.fetch_add(1, Ordering::SeqCst);
        let stood_still = asked >= self.at.load(Ordering::SeqCst);
        self.inner.monotonic() + if stood_still { LEASE } else { Duration::ZERO }
    }
}

/// Counts what is sent, and notes how often the clock had been asked then.
struct Counting {
    clock: Arc<StandsStill>,
    sent: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
}

#[async_trait]
impl Sender for Counting {
    async fn send(&self, _: OutgoingRequest) -> Sent {
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.asked.store(self.clock.asked(), Ordering::SeqCst);
        Sent {
            outcome: Outcome::of_status(204),
            retry_after: None,
            response_body: CapturedBody::default(),
        }
    }
}

/// How much is sent of one message when the node stands still at that question, and how many it has asked by then.
async fn sent_when_standing_still_at(at: u64) -> (u64, u64) {
    let world = World::new().await;
    world.endpoint("https://one.example/hook").await;
    let clock = Arc::new(StandsStill {
        inner: world.clock.clone(),
        asked: AtomicU64::new(0),
        at: AtomicU64::new(u64::MAX),
    });
    let (sent, asked) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let sender = Counting {
        clock: clock.clone(),
        sent: sent.clone(),
        asked: asked.clone(),
    };
    let ports = EnginePorts {
        clock: clock.clone(),
        sender: Arc::new(sender),
        ..world.ports()
    };
    let engine = Running::start(EngineOptions::default(), ports);
    let joined = || engine.handle.status().lease_held;
    world.until(Duration::from_millis(100), "joined", joined).await;
    world.fixture.accepted(&world.customer).await;
    clock.decide(at);
    engine.handle.work_queued();
    tokio::time::sleep(BETWEEN_BEATS).await;
    (sent.load(Ordering::SeqCst), asked.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_by_a_lease_that_ran_out_while_the_node_stood_still() {
    let (sent, questions) = sent_when_standing_still_at(u64::MAX).await;
    assert_eq!(sent, 1, "it never stood still");
    assert!(questions >= 2, "asked before it is claimed, and before it begins");
    for at in 1..=questions {
        let (sent, _) = sent_when_standing_still_at(at).await;
        assert_eq!(sent, 0, "it stood still at question {at} of {questions}");
    }
    let (sent, _) = sent_when_standing_still_at(questions + 1).await;
    assert_eq!(sent, 1, "it had begun");
}
