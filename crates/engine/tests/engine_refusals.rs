//! Rows that the database refuses, each by itself: they hold up nobody, cost little, and are not lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::time::Duration;

use postrider_application::ports::WorkSignal as _;
use postrider_domain::MessageId;
use postrider_engine::EngineOptions;
use support::{faulty::Op, node::Running, world::World};

const URL: &str = "https://one.example/hook";
/// Where the fixture's endpoints are.
const OTHERS_URL: &str = "https://example.com/hooks";
const SOON: Duration = Duration::from_millis(100);
/// When a refused row has been tried again for certain, with a few others before it.
const NEXT_TRY: Duration = Duration::from_secs(32);
const MAX_IN_FLIGHT: usize = 4;

fn narrow() -> EngineOptions {
    EngineOptions {
        max_in_flight: MAX_IN_FLIGHT,
        max_in_flight_per_endpoint: MAX_IN_FLIGHT,
        ..EngineOptions::default()
    }
}

async fn accepted(world: &World, count: usize) -> Vec<MessageId> {
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(world.fixture.accepted(&world.customer).await);
    }
    messages
}

/// Waits until `count` rows are set aside.
async fn refused(world: &World, engine: &Running, count: usize) {
    let what = format!("{count} rows are set aside");
    world
        .until(Duration::from_secs(1), &what, || {
            engine.handle.status().refused == count
        })
        .await;
    assert_eq!(engine.handle.status().in_flight, 0);
}

/// Publishes for a tenant that has nothing to do with the refused rows, and waits until it is delivered.
async fn another_tenant_is_served(world: &World, engine: &Running) {
    let left = world.store.queued();
    let other = world.fixture.tenant("other").await;
    let customer = world.fixture.application(&other).await;
    world.fixture.endpoint(&other, &customer).await;
    world.fixture.accepted(&customer).await;
    engine.handle.work_queued();
    let sent = || {
        let requests = world.sender.requests();
        requests.iter().any(|request| request.url == OTHERS_URL)
    };
    world.until(SOON, "another tenant's webhook is sent", sent).await;
    world
        .until(SOON, "and settled", || world.store.queued() == left)
        .await;
}

async fn all_delivered_once(world: &World, messages: &[MessageId], endpoints: usize) {
    for message in messages {
        assert_eq!(world.statuses(*message).await, vec!["delivered"; endpoints]);
    }
    let requests = world.sender.requests();
    let own = requests.iter().filter(|request| request.url != OTHERS_URL);
    assert_eq!(own.count(), messages.len() * endpoints);
}

#[tokio::test(start_paused = true)]
async fn more_unreadable_rows_than_may_be_in_flight_hold_up_no_other_tenant() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let messages = accepted(&world, MAX_IN_FLIGHT + 1).await;
    world.faults.poison.lock().unwrap().extend(&messages);
    let engine = world.start_with(narrow());
    refused(&world, &engine, MAX_IN_FLIGHT + 1).await;
    another_tenant_is_served(&world, &engine).await;

    // They are tried again, but now and then only, and not claimed again.
    let (reads, claims) = (world.faults.count(Op::Messages), world.faults.count(Op::Claim));
    tokio::time::sleep(NEXT_TRY).await;
    assert_eq!(
        world.faults.count(Op::Messages) - reads,
        MAX_IN_FLIGHT + 1,
        "one try each"
    );
    let claims = world.faults.count(Op::Claim) - claims;
    assert!(claims <= 8, "only the net looks: {claims} claims");

    world.faults.poison.lock().unwrap().clear();
    world.settled_within(NEXT_TRY).await;
    all_delivered_once(&world, &messages, 1).await;
    assert_eq!(engine.handle.status().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn more_unwritable_attempts_than_may_be_in_flight_hold_up_no_other_tenant_and_are_not_repeated() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let messages = accepted(&world, MAX_IN_FLIGHT + 1).await;
    world.faults.unwritable.lock().unwrap().extend(&messages);
    let engine = world.start_with(narrow());
    refused(&world, &engine, MAX_IN_FLIGHT + 1).await;
    another_tenant_is_served(&world, &engine).await;

    world.faults.unwritable.lock().unwrap().clear();
    world.settled_within(NEXT_TRY).await;
    all_delivered_once(&world, &messages, 1).await;
}

#[tokio::test(start_paused = true)]
async fn fan_outs_that_cannot_be_written_are_sent_once_all_the_same() {
    let world = World::new().await;
    for n in 0..3 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    let messages = accepted(&world, MAX_IN_FLIGHT + 1).await;
    world.faults.unwritable.lock().unwrap().extend(&messages);
    let engine = world.start_with(narrow());
    refused(&world, &engine, MAX_IN_FLIGHT + 1).await;
    another_tenant_is_served(&world, &engine).await;

    world.faults.unwritable.lock().unwrap().clear();
    world.settled_within(NEXT_TRY).await;
    all_delivered_once(&world, &messages, 3).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_claimed_than_may_be_in_memory_however_many_rows_are_refused() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let messages = accepted(&world, 60).await;
    world.faults.poison.lock().unwrap().extend(&messages);
    let options = EngineOptions {
        max_waiting: 8,
        ..narrow()
    };
    // Those that wait and those in flight, and as many again.
    let most = 2 * (8 + MAX_IN_FLIGHT);
    let engine = world.start_with(options);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (status, claims) = (engine.handle.status(), world.faults.count(Op::Claim));
    assert!((most / 2..=most).contains(&status.refused), "{status:?}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(engine.handle.status(), status);
    assert_eq!(world.faults.count(Op::Claim), claims);

    world.faults.poison.lock().unwrap().clear();
    world.settled_within(NEXT_TRY).await;
    all_delivered_once(&world, &messages, 1).await;
}

#[tokio::test(start_paused = true)]
async fn refused_rows_go_back_to_the_queue_at_shutdown() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let messages = accepted(&world, MAX_IN_FLIGHT + 1).await;
    world.faults.poison.lock().unwrap().extend(&messages);
    let engine = world.start_with(narrow());
    refused(&world, &engine, MAX_IN_FLIGHT + 1).await;
    let begun = world.clock.monotonic();
    engine.begin_shutdown();
    engine.ended().await;
    assert!(world.clock.monotonic() < begun + SOON);

    world.faults.poison.lock().unwrap().clear();
    let _next = world.start();
    world.settled_within(SOON).await;
    all_delivered_once(&world, &messages, 1).await;
}
