//! How lives begin and end: shutdown, crashes and lost leases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{sync::atomic::Ordering, time::Duration};

use postrider_application::ports::DeliveryQueue as _;
use postrider_engine::EngineOptions;
use support::{faulty::Op, world::World};

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
const LEASE: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(5);

fn narrow() -> EngineOptions {
    EngineOptions {
        max_in_flight: 4,
        max_in_flight_per_endpoint: 1,
        ..EngineOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_what_is_under_way_and_hands_back_the_rest() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start_with(narrow());
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(world.publish(&engine).await);
    }
    world
        .until(SOON, "two wait", || engine.handle.status().waiting == 2)
        .await;
    // Until each has a row of its own.
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.begin_shutdown();
    let begun = world.clock.monotonic();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        world.store.next_due(None).await.unwrap(),
        Some(Duration::ZERO),
        "others need not wait for the one under way"
    );
    gate.open(1);
    let handle = engine.handle.clone();
    engine.ended().await;
    assert!(
        world.clock.monotonic() < begun + Duration::from_secs(6),
        "it waits for nothing else"
    );
    assert_eq!(handle.status().epoch, None);
    assert_eq!(world.sender.requests().len(), 1, "nothing new was begun");
    assert_eq!(world.statuses(messages[0]).await, ["delivered"]);
    assert_eq!(world.store.queued(), 2);

    // They are not a dead node's: the next one has them at once.
    gate.open(2);
    let _next = world.start();
    world.settled_within(SOON).await;
    assert_eq!(world.sender.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_rings_for_the_others() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let options = EngineOptions {
        poll_net_interval: Duration::from_hours(1),
        ..narrow()
    };
    let leaving = world.start_with(options.clone());
    for _ in 0..3 {
        world.publish(&leaving).await;
    }
    world
        .until(SOON, "two wait", || leaving.status().waiting == 2)
        .await;
    let staying = world.start_with(options);
    world.until(SOON, "joined", || staying.status().lease_held).await;
    // Until it has looked around, and each has a row of its own.
    tokio::time::sleep(Duration::from_secs(1)).await;
    leaving.begin_shutdown();
    gate.open(9);
    leaving.ended().await;
    world.settled_within(SOON).await;
    assert_eq!(world.sender.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_read_when_the_end_begins_is_left_to_the_next() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    world.until(SOON, "joined", || engine.status().lease_held).await;
    *world.faults.latency.lock().unwrap() = SOON;
    let message = world.publish(&engine).await;
    world
        .until(Duration::from_secs(1), "it is being read", || {
            world.faults.count(Op::Messages) == 1
        })
        .await;
    engine.begin_shutdown();
    engine.ended().await;
    assert_eq!((world.sender.requests().len(), world.store.queued()), (0, 1));
    let _next = world.start();
    world.settled_within(Duration::from_secs(1)).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_ever() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let gate = world.sender.gate();
    let options = EngineOptions {
        drain_timeout: Duration::from_secs(2),
        ..EngineOptions::default()
    };
    let engine = world.start_with(options);
    let message = world.publish(&engine).await;
    world.sender.sent(1).await;
    engine.begin_shutdown();
    let begun = world.clock.monotonic();
    engine.ended().await;
    let took = world.clock.monotonic().saturating_sub(begun);
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    assert_eq!(world.statuses(message).await, ["pending"]);
    let attempts = world.attempts(message, endpoint).await;
    assert!(attempts.is_empty(), "nothing is known of the attempt");
    gate.open(9);
    let _next = world.start();
    world
        .until(SOON, "repeated at once", || world.sender.requests().len() >= 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_engine_ends_at_once() {
    let world = World::new().await;
    let engine = world.start();
    world
        .until(SOON, "joined", || engine.handle.status().lease_held)
        .await;
    engine.begin_shutdown();
    let begun = world.clock.monotonic();
    engine.ended().await;
    assert!(world.clock.monotonic() < begun + SOON);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_another_node_delivers_everything() {
    let world = World::new().await;
    for n in 0..2 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    let gate = world.sender.gate();
    let engine = world.start();
    let mut messages = Vec::new();
    for _ in 0..100 {
        messages.push(world.publish(&engine).await);
    }
    world.sender.sent(50).await;
    drop(engine);
    gate.open(100_000);
    let _next = world.start();
    world.settled_within(LEASE + SWEEP + Duration::from_secs(1)).await;
    for message in messages {
        assert_eq!(world.statuses(message).await, ["delivered"; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sole_node_takes_over_what_was_declared_dead_without_waiting() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start();
    world.publish(&engine).await;
    world.sender.sent(1).await;
    drop(engine);
    gate.open(9);
    // As SQLite's store does at the start, where the directory's lock proves that nobody else lives.
    tokio::time::sleep(LEASE).await;
    let options = EngineOptions {
        sole_node: true,
        ..EngineOptions::default()
    };
    let _next = world.start_with(options);
    world.settled_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_beat_stops_and_joins_anew() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start_with(narrow());
    let message = world.publish(&engine).await;
    world.sender.sent(1).await;
    let first = engine.handle.status();
    assert!(first.lease_held);

    world.faults.no_beats.store(true, Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    assert!(!engine.handle.status().lease_held);
    gate.open(9);
    let waiting = world.publish(&engine).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        world.sender.requests().len(),
        1,
        "nothing is begun without a lease"
    );

    world.faults.no_beats.store(false, Ordering::SeqCst);
    world.settled_within(Duration::from_secs(6) + LEASE + SWEEP).await;
    let second = engine.handle.status();
    assert!(second.lease_held && second.epoch > first.epoch, "{second:?}");
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(world.statuses(waiting).await, ["delivered"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_declared_dead_joins_anew_and_settles_nothing_of_the_old_life() {
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.sender.sent(1).await;
    let first = engine.handle.status().epoch.unwrap();
    // Somebody declares it dead, as after a long pause of this node.
    world.fixture.ports().nodes.leave(first).await.unwrap();
    world
        .until(Duration::from_secs(5), "a new life", || {
            engine.handle.status().epoch > Some(first)
        })
        .await;
    gate.open(9);
    world.settled_within(LEASE).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(
        world.attempts(message, endpoint).await.len(),
        1,
        "the old life's attempt is nowhere"
    );
}
