//! From the intake to the receiver: handed off in memory, written down once, and found again when answers are lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{ClaimFrom, DeliveryQueue as _, Epoch, IntakeError, StoreError};
use postrider_domain::endpoints::DisableReason;
use postrider_engine::EngineOptions;
use support::{
    faulty::{Fault, Op},
    receivers::{Behaviour, Receivers},
    world::World,
};

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
const LEASE: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(5);
/// When a row is adopted at the latest, if nobody knows that an answer was lost.
const ADOPTED: Duration = Duration::from_secs(77);

async fn scene() -> (World, Arc<Receivers>) {
    let world = World::new().await;
    let receivers = Receivers::new(world.clock.clone());
    (world, receivers)
}

#[tokio::test(start_paused = true)]
async fn what_is_published_here_is_delivered_from_memory_once_and_settled_by_the_batch() {
    const MESSAGES: usize = 500;
    let (world, receivers) = scene().await;
    for n in 0..3 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    let node = world.node(EngineOptions::default(), &receivers).await;
    // Warm-up: the endpoints are read once.
    node.publish(&world, &world.customer).await;
    world.settled_within(SOON).await;
    let before = Op::reads().map(|op| world.faults.count(op));
    let settles = world.faults.count(Op::Settle);

    let begun = world.clock.monotonic();
    let messages = node.publish_many(&world, &world.customer, MESSAGES).await;
    world.settled_within(SOON).await;
    let counts = receivers.counts();
    assert_eq!(counts.len(), (1 + MESSAGES) * 3);
    assert!(counts.values().all(|count| *count == 1));
    assert_eq!(
        Op::reads().map(|op| world.faults.count(op)),
        before,
        "nothing is claimed or read"
    );
    let settles = world.faults.count(Op::Settle) - settles;
    assert!(settles <= MESSAGES / 10, "{settles} settles");
    let writes = world.faults.count(Op::Write);
    assert!(writes <= 1 + 4, "{writes} writes");
    assert!(world.clock.monotonic().saturating_sub(begun) < SOON);
    for message in [messages[0], messages[MESSAGES - 1]] {
        assert_eq!(world.statuses(message).await, ["delivered"; 3]);
    }
    let status = node.status();
    assert_eq!(
        (status.memory_rows, status.memory_bytes, status.in_flight),
        (0, 0, 0)
    );
    node.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_application_is_refused() {
    let (world, receivers) = scene().await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    let other = world.fixture.application(&world.tenancy).await;
    let message = world.fixture.message(&world.customer);
    let refused = node.accept(&other, message).await;
    assert!(
        matches!(refused, Err(IntakeError::Store(StoreError::Internal(_)))),
        "{refused:?}"
    );
    assert_eq!(world.store.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_endpoint_is_read_again_before_the_next_message_is_sent() {
    let (world, receivers) = scene().await;
    let first = world.endpoint(URL).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    node.publish(&world, &world.customer).await;
    world.settled_within(SOON).await;
    world.disable(first).await;
    world.endpoint("https://two.example/").await;
    let message = node.publish(&world, &world.customer).await;
    world.settled_within(SOON).await;
    assert_eq!(
        (
            receivers.times(message, URL),
            receivers.times(message, "https://two.example/")
        ),
        (0, 1)
    );
}

/// Five endpoints, of which the first hangs.
async fn one_of_five_hangs(world: &World, receivers: &Receivers) -> Vec<String> {
    let urls: Vec<_> = (0..5).map(|n| format!("https://{n}.example/")).collect();
    for url in &urls {
        world.endpoint(url).await;
    }
    receivers.behave(&urls[0], Behaviour::Hangs);
    urls
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_explodes_so_that_four_are_written_while_the_fifth_hangs() {
    let (world, receivers) = scene().await;
    let urls = one_of_five_hangs(&world, &receivers).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    let message = node.publish(&world, &world.customer).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.faults.count(Op::Settle), 0, "they are written together");
    tokio::time::sleep(Duration::from_millis(150)).await;
    let mut statuses = world.statuses(message).await;
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        ["delivered", "delivered", "delivered", "delivered", "pending"]
    );
    assert_eq!(world.store.queued(), 1);
    let free = world
        .store
        .claim(Epoch(99), ClaimFrom::Queue { low: None }, 10)
        .await
        .unwrap();
    assert!(free.is_empty(), "the fifth is still ours: {free:?}");

    receivers.behave(&urls[0], Behaviour::Answers(204));
    world.settled_within(SOON).await;
    assert_eq!(world.statuses(message).await, ["delivered"; 5]);
    assert!(receivers.counts().values().all(|count| *count == 1));
    assert_eq!(world.faults.count(Op::Settle), 2);
    assert_eq!(node.status().memory_rows, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_concluded_while_its_explosion_is_being_written_is_written_after_it() {
    for fault in [None, Some(Fault::Before), Some(Fault::After)] {
        let (world, receivers) = scene().await;
        let urls = one_of_five_hangs(&world, &receivers).await;
        *world.faults.latency.lock().unwrap() = Duration::from_millis(20);
        let node = world.node(EngineOptions::default(), &receivers).await;
        world.faults.plan(Op::Settle, fault);
        let message = node.publish(&world, &world.customer).await;
        world
            .until(Duration::from_secs(2), "the explosion is on its way", || {
                world.faults.count(Op::Settle) == 1
            })
            .await;
        receivers.behave(&urls[0], Behaviour::Answers(204));
        world.settled_within(Duration::from_secs(1)).await;
        assert_eq!(world.statuses(message).await, ["delivered"; 5], "{fault:?}");
        assert!(receivers.counts().values().all(|count| *count == 1));
        world
            .until(SOON, "nothing is left in memory", || {
                node.status().memory_rows == 0
            })
            .await;
        assert_eq!((node.status().in_flight, node.status().memory_bytes), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_explosion_and_a_crash_only_what_was_open_is_sent_again() {
    let (world, receivers) = scene().await;
    let urls = one_of_five_hangs(&world, &receivers).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    let message = node.publish(&world, &world.customer).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(node);
    receivers.behave(&urls[0], Behaviour::Answers(204));
    let _next = world.node(EngineOptions::default(), &receivers).await;
    world.settled_within(LEASE + SWEEP + SOON).await;
    assert_eq!(world.statuses(message).await, ["delivered"; 5]);
    assert_eq!(receivers.times(message, &urls[0]), 2);
    for url in &urls[1..] {
        assert_eq!(receivers.times(message, url), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_settle_whose_answer_is_lost_is_repeated_and_nothing_is_sent_again() {
    let (world, receivers) = scene().await;
    let endpoint = world.endpoint(URL).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    world
        .faults
        .plan(Op::Settle, [Fault::After, Fault::Hangs, Fault::After]);
    let message = node.publish(&world, &world.customer).await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert!(world.faults.are_over(Op::Settle));
    assert_eq!((world.store.queued(), receivers.at(URL)), (0, 1));
    assert_eq!(world.attempts(message, endpoint).await.len(), 1);
    assert_eq!((node.status().memory_rows, node.status().in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_accepted_and_delivered_once() {
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    world.faults.plan(
        Op::Write,
        [Fault::After, Fault::Before, Fault::Hangs, Fault::After],
    );
    let message = node.publish(&world, &world.customer).await;
    world.settled_within(SOON).await;
    assert_eq!(world.statuses(message).await, ["delivered"]);
    assert_eq!(receivers.at(URL), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_though_the_caller_was_told_that_it_is_unknown_is_adopted() {
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    let node = world.node(EngineOptions::default(), &receivers).await;
    world.faults.plan(Op::Write, [Fault::After]);
    world.faults.plan(Op::Write, [Fault::Hangs; 9]);
    let message = world.fixture.message(&world.customer);
    let id = message.id;
    let accepted = node.accept(&world.customer, message).await;
    assert!(
        matches!(accepted, Err(IntakeError::OutcomeUnknown(_))),
        "{accepted:?}"
    );
    world.settled_within(ADOPTED).await;
    assert_eq!(world.statuses(id).await, ["delivered"]);
    assert_eq!(receivers.at(URL), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_off_while_the_node_drains_is_delivered_by_the_next() {
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    receivers.behave(URL, Behaviour::Hangs);
    *world.faults.latency.lock().unwrap() = Duration::from_millis(50);
    let node = world.node(EngineOptions::default(), &receivers).await;
    let under_way = node.publish(&world, &world.customer).await;
    world
        .until(Duration::from_secs(1), "it is sent", || receivers.at(URL) == 1)
        .await;
    // It has its place, and is committed only when the engine drains already.
    let (late, ()) = tokio::join!(node.publish(&world, &world.customer), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        node.engine.begin_shutdown();
    });
    // And this one finds the door closed.
    let later = node.publish(&world, &world.customer).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receivers.at(URL), 1);
    receivers.behave(URL, Behaviour::Answers(204));
    node.shut_down().await;
    assert_eq!(world.statuses(under_way).await, ["delivered"]);
    let _next = world.node(EngineOptions::default(), &receivers).await;
    world.settled_within(Duration::from_secs(1)).await;
    for message in [late, later] {
        assert_eq!(world.statuses(message).await, ["delivered"]);
        assert_eq!(receivers.times(message, URL), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_disabled_once() {
    let (world, receivers) = scene().await;
    let endpoint = world.endpoint(URL).await;
    receivers.behave(URL, Behaviour::Answers(410));
    let node = world.node(EngineOptions::default(), &receivers).await;
    let messages = node.publish_many(&world, &world.customer, 20).await;
    world.settled_within(SOON).await;
    assert_eq!(
        *world.guard.disabled.lock().unwrap(),
        [(endpoint, DisableReason::Gone)]
    );
    for message in messages {
        assert_eq!(world.statuses(message).await, ["failed"]);
    }
    // Nothing is sent to it any more.
    let sent = receivers.at(URL);
    let later = node.publish(&world, &world.customer).await;
    world.settled_within(SOON).await;
    assert!(world.deliveries(later).await.is_empty());
    assert_eq!(receivers.at(URL), sent);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_disabled_though_the_answer_of_the_settle_is_lost() {
    let (world, receivers) = scene().await;
    let endpoint = world.endpoint(URL).await;
    receivers.behave(URL, Behaviour::Answers(410));
    let node = world.node(EngineOptions::default(), &receivers).await;
    world.faults.plan(Op::Settle, [Fault::After]);
    let message = node.publish(&world, &world.customer).await;
    world
        .until(Duration::from_secs(1), "it is disabled", || {
            *world.guard.disabled.lock().unwrap() == [(endpoint, DisableReason::Gone)]
        })
        .await;
    assert_eq!(world.statuses(message).await, ["failed"]);
}

#[tokio::test(start_paused = true)]
async fn the_bell_wakes_another_node_at_once() {
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    let options = EngineOptions {
        poll_net_interval: Duration::from_hours(1),
        ..EngineOptions::default()
    };
    let _node = world.node(options, &receivers).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Another node's, which has no room itself: it rings.
    world.fixture.accepted(&world.customer).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(receivers.at(URL), 0, "nobody said anything");
    world.fixture.ports().bell.ring().await.unwrap();
    world.settled_within(SOON).await;
    assert_eq!(receivers.at(URL), 1);
}
