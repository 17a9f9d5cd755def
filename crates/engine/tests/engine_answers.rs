//! A database that fails, and that loses answers: what is repeated, and what is adopted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use mockall::{Sequence, mock};
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliveryQueue, Epoch, Settlement, StoreError, WorkRef,
};
use postrider_domain::{EndpointId, Timestamp, WorkId};
use postrider_engine::{EngineOptions, EnginePorts};
use support::{
    faulty::{Fault, Op},
    node::Running,
    world::World,
};

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
/// When a row whose answer was lost is adopted at the latest, if it is known that one was lost.
const ADOPTED: Duration = Duration::from_secs(32);

fn narrow() -> EngineOptions {
    EngineOptions {
        max_in_flight: 4,
        max_in_flight_per_endpoint: 1,
        ..EngineOptions::default()
    }
}

mock! {
    Queue {}

    #[async_trait]
    impl DeliveryQueue for Queue {
        async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError>;
        async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError>;
        async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError>;
        async fn park(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError>;
        async fn parked_endpoints(
            &self,
            after: Option<EndpointId>,
            limit: u32,
        ) -> Result<Vec<EndpointId>, StoreError>;
        async fn owned(
            &self,
            node: Epoch,
            age: Duration,
            after: Option<(Timestamp, WorkId)>,
            limit: u32,
        ) -> Result<Vec<ClaimedWork>, StoreError>;
        async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError>;
        async fn next_due(&self, low: Option<postrider_domain::Timestamp>) -> Result<Option<Duration>, StoreError>;
    }
}

#[tokio::test(start_paused = true)]
async fn a_settle_that_fails_twice_is_repeated_until_it_works_and_no_longer() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let mut queue = MockQueue::new();
    let store = world.store.clone();
    // The memory store never waits, so its answers are there at once.
    queue.expect_claim().returning({
        let store = store.clone();
        move |node, from, limit| store.claim(node, from, limit).now_or_never().unwrap()
    });
    queue.expect_next_due().returning({
        let store = store.clone();
        move |low| store.next_due(low).now_or_never().unwrap()
    });
    queue.expect_parked_endpoints().returning(|_, _| Ok(Vec::new()));
    let batches = Arc::new(Mutex::new(Vec::new()));
    let mut order = Sequence::new();
    for _ in 0..2 {
        let batches = Arc::clone(&batches);
        queue
            .expect_settle()
            .times(1)
            .in_sequence(&mut order)
            .returning(move |_, batch| {
                batches.lock().unwrap().push(batch);
                Err(StoreError::Unavailable("connection refused".into()))
            });
    }
    let tried = Arc::clone(&batches);
    queue
        .expect_settle()
        .times(1)
        .in_sequence(&mut order)
        .returning(move |node, batch| {
            tried.lock().unwrap().push(batch.clone());
            store.settle(node, batch).now_or_never().unwrap()
        });
    let ports = EnginePorts {
        queue: Arc::new(queue),
        ..world.ports()
    };
    let engine = Running::start(EngineOptions::default(), ports);
    let message = world.publish(&engine).await;
    world.settled_within(Duration::from_secs(1)).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(
        world.sender.requests().len(),
        1,
        "what failed was writing, not sending"
    );
    let batches = batches.lock().unwrap().clone();
    assert!(
        batches.len() == 3 && batches.iter().all(|batch| *batch == batches[0]),
        "the same batch each time"
    );
    engine.begin_shutdown();
    engine.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_settle_whose_answer_is_lost_loses_no_row_of_a_fan_out() {
    let world = World::new().await;
    for n in 0..3 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    world.faults.plan(Op::Settle, [Fault::After]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.settled_within(Duration::from_secs(1)).await;
    assert_eq!(world.statuses(message).await, ["delivered"; 3]);
    assert_eq!(world.sender.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_is_lost_loses_no_row() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    world
        .until(SOON, "joined", || engine.handle.status().lease_held)
        .await;
    let first = engine.handle.status().epoch;
    world.faults.plan(Op::Claim, [Fault::After]);
    let message = world.publish(&engine).await;
    // Seen twice, each time later than any call may take.
    world.settled_within(ADOPTED).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(world.sender.requests().len(), 1);
    assert_eq!(
        engine.handle.status().epoch,
        first,
        "it is adopted by the same life"
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_adopts_what_a_lost_claim_took() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.endpoint("https://two.example/").await;
    world.sender.delay(Duration::from_secs(14));
    let engine = world.start();
    // Never without work.
    for _ in 0..8 {
        world.publish(&engine).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.faults.plan(Op::Claim, [Fault::After]);
    let lost = world.publish(&engine).await;
    let begun = world.clock.monotonic();
    loop {
        world.publish(&engine).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(engine.handle.status().in_flight > 0, "it was never idle");
        let requests = world.sender.requests();
        let id = lost.to_string();
        if requests
            .iter()
            .any(|request| request.header("webhook-id") == Some(&id))
        {
            break;
        }
        assert!(world.clock.monotonic() < begun + ADOPTED);
    }
    world.settled_within(Duration::from_mins(1)).await;
    assert_eq!(world.statuses(lost).await, ["delivered"; 2]);
    for endpoint in world.deliveries(lost).await {
        assert_eq!(world.attempts(lost, endpoint.endpoint).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn unread_messages_are_read_when_the_database_is_back() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.faults.plan(Op::Messages, [Fault::Before; 4]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.settled_within(Duration::from_secs(3)).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_holds_up_no_other() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(world.fixture.accepted(&world.customer).await);
    }
    let poison = messages.remove(11);
    world.faults.poison.lock().unwrap().insert(poison);
    let _engine = world.start();
    world
        .until(SOON, "all others are settled", || world.store.queued() == 1)
        .await;
    for message in messages {
        assert_eq!(world.statuses(message).await, ["delivered"]);
    }
    world.faults.poison.lock().unwrap().clear();
    world.settled_within(Duration::from_secs(31)).await;
    assert_eq!(world.statuses(poison).await, ["delivered"]);
}

#[tokio::test(start_paused = true)]
async fn handing_back_is_repeated_until_it_works() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start_with(narrow());
    for _ in 0..4 {
        world.publish(&engine).await;
    }
    // Until each has a row of its own.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.handle.status().waiting, 3);
    world
        .faults
        .plan(Op::HandBack, [Fault::Before, Fault::After, Fault::Before]);
    engine.begin_shutdown();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.faults.are_over(Op::HandBack));
    let _other = world.start();
    gate.open(100);
    engine.ended().await;
    world.settled_within(SOON).await;
    assert_eq!(world.sender.requests().len(), 4);
}
