//! More than memory holds: what waits for a slow endpoint is parked in the database, once, and everybody else goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use postrider_application::ports::DeliveryQueue as _;
use postrider_domain::{
    deliveries::{RetryPolicy, RetrySchedule},
    endpoints::{AttemptTimeout, Filter},
};
use postrider_engine::{EngineOptions, IntakeOptions};
use postrider_testkit::contract::Customer;
use support::{
    faulty::{Fault, Op},
    node::Node,
    receivers::{Behaviour, Receivers},
    world::World,
};

const SLOW: &str = "https://slow.example/";
const URL: &str = "https://one.example/hook";
/// Where the fixture's endpoints are.
const OTHERS_URL: &str = "https://example.com/hooks";
const SOON: Duration = Duration::from_millis(100);

async fn scene() -> (World, Arc<Receivers>) {
    let world = World::new().await;
    let receivers = Receivers::new(world.clock.clone());
    (world, receivers)
}

fn narrow() -> EngineOptions {
    EngineOptions {
        max_in_flight: 64,
        max_in_flight_per_endpoint: 8,
        max_waiting: 256,
        // So that nobody times out while the slow one is looked at.
        attempt_timeout: AttemptTimeout::from_millis(60_000).unwrap(),
        ..EngineOptions::default()
    }
}

fn wide_intake() -> IntakeOptions {
    IntakeOptions {
        max_rows: 100_000,
        ..IntakeOptions::default()
    }
}

/// A customer of another tenant, with an endpoint.
async fn neighbour(world: &World) -> Customer {
    let other = world.fixture.tenant("other").await;
    let customer = world.fixture.application(&other).await;
    world.fixture.endpoint(&other, &customer).await;
    world.fixture.endpoints_changed(&other, &customer).await;
    customer
}

/// Another customer of the tenant, whose only endpoint does not answer.
async fn slow_customer(world: &World, receivers: &Receivers) -> Customer {
    let customer = world.fixture.application(&world.tenancy).await;
    world.endpoint_of(&customer, SLOW, Filter::default()).await;
    receivers.behave(SLOW, Behaviour::Hangs);
    customer
}

async fn parked(world: &World) -> usize {
    world.store.parked_endpoints(None, 100).await.unwrap().len()
}

fn is_within_bounds(node: &Node, options: &EngineOptions) {
    let status = node.status();
    let most = 2 * (options.max_waiting + options.max_in_flight);
    assert!(
        status.memory_rows <= most && status.waiting <= options.max_waiting,
        "{status:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_great_backlog_of_one_endpoint_delays_nobody_and_is_delivered_when_it_recovers() {
    const BACKLOG: usize = 20_000;
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    let (slow, other) = (slow_customer(&world, &receivers).await, neighbour(&world).await);
    let node = world.node_with(narrow(), wide_intake(), &receivers).await;
    for _ in 0..BACKLOG / 1_000 {
        node.publish_many(&world, &slow, 1_000).await;
        is_within_bounds(&node, &narrow());
    }
    world
        .until(SOON, "all is parked", || node.status().in_flight <= 64)
        .await;
    assert_eq!(parked(&world).await, 1);
    let under_way = receivers.under_way();
    assert!((1..=8).contains(&under_way), "{under_way}");

    // In virtual time nothing passes: they are sent at once.
    let begun = world.clock.monotonic();
    for _ in 0..20 {
        let (own, others) = tokio::join!(
            node.publish_many(&world, &world.customer, 5),
            node.publish_many(&world, &other, 5)
        );
        world
            .until(SOON, "they are all sent", || {
                own.iter().all(|id| receivers.times(*id, URL) == 1)
                    && others.iter().all(|id| receivers.times(*id, OTHERS_URL) == 1)
            })
            .await;
        is_within_bounds(&node, &narrow());
    }
    assert!(world.clock.monotonic().saturating_sub(begun) < Duration::from_secs(1));
    assert_eq!(receivers.under_way(), under_way);

    receivers.behave(SLOW, Behaviour::Answers(204));
    world.settled_within(Duration::from_mins(1)).await;
    let counts = receivers.counts();
    assert_eq!(counts.len(), BACKLOG + 200);
    assert!(counts.values().all(|count| *count == 1));
    assert!(receivers.most_under_way(SLOW) <= 8);
    assert_eq!(parked(&world).await, 0);
    assert_eq!((node.status().memory_rows, node.status().waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_one_node_parked_another_delivers() {
    let (world, receivers) = scene().await;
    let slow = slow_customer(&world, &receivers).await;
    let first = world.node(narrow(), &receivers).await;
    first.publish_many(&world, &slow, 600).await;
    world
        .until(SOON, "all is parked", || first.status().in_flight <= 64)
        .await;
    assert_eq!(parked(&world).await, 1);
    drop(first);
    receivers.behave(SLOW, Behaviour::Answers(204));
    let second = world.node(narrow(), &receivers).await;
    // What the first had in memory is a dead node's, the rest is anybody's.
    world
        .until(Duration::from_secs(6), "the parked ones are delivered", || {
            world.store.queued() < 300
        })
        .await;
    world.settled_within(Duration::from_secs(21)).await;
    assert_eq!(receivers.counts().len(), 600);
    let sent_twice = receivers.counts().values().filter(|count| **count > 1).count();
    assert!(
        sent_twice <= 8,
        "those that were under way at the crash: {sent_twice}"
    );
    assert_eq!(second.status().memory_rows, 0);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_share_a_backlog() {
    let (world, receivers) = scene().await;
    let slow = slow_customer(&world, &receivers).await;
    let first = world.node(narrow(), &receivers).await;
    let second = world.node(narrow(), &receivers).await;
    first.publish_many(&world, &slow, 1_000).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(
        second.status().waiting > 0,
        "it has room, and fetches what the other parked"
    );
    is_within_bounds(&first, &narrow());
    is_within_bounds(&second, &narrow());
    receivers.behave(SLOW, Behaviour::Answers(204));
    world.settled_within(Duration::from_secs(21)).await;
    assert!(receivers.counts().values().all(|count| *count == 1));
    assert_eq!(receivers.counts().len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn parking_and_fetching_are_repeated_when_they_fail_and_nothing_is_lost() {
    let (world, receivers) = scene().await;
    let slow = slow_customer(&world, &receivers).await;
    receivers.behave(SLOW, Behaviour::Answers(500));
    let options = EngineOptions {
        max_waiting: 16,
        retry: RetryPolicy {
            schedule: RetrySchedule::new(vec![Duration::from_secs(5)]).unwrap(),
            ..RetryPolicy::default()
        },
        ..narrow()
    };
    let node = world.node_with(options.clone(), wide_intake(), &receivers).await;
    let messages = node.publish_many(&world, &slow, 200).await;
    world
        .until(Duration::from_secs(4), "each was tried", || {
            receivers.at(SLOW) == 200
        })
        .await;
    // Their retries find the lane full, and are parked.
    receivers.behave(SLOW, Behaviour::Hangs);
    world
        .faults
        .plan(Op::Park, [Fault::Before, Fault::After, Fault::Before]);
    world
        .until(Duration::from_secs(30), "parking was tried", || {
            world.faults.are_over(Op::Park)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    is_within_bounds(&node, &options);
    assert_eq!(parked(&world).await, 1);
    world
        .faults
        .plan(Op::ClaimParked, [Fault::Before, Fault::After, Fault::After]);
    receivers.behave(SLOW, Behaviour::Answers(204));
    world.settled_within(Duration::from_mins(3)).await;
    assert!(world.faults.are_over(Op::ClaimParked));
    for message in messages {
        assert_eq!(receivers.times(message, SLOW), 2);
    }
    assert_eq!(node.status().memory_rows, 0);
}

#[tokio::test(start_paused = true)]
async fn payloads_never_take_more_than_their_room() {
    const MIB: usize = 1 << 20;
    let (world, receivers) = scene().await;
    world.endpoint(URL).await;
    world.endpoint(SLOW).await;
    receivers.behave(URL, Behaviour::AnswersAfter(204, Duration::from_millis(50)));
    receivers.behave(SLOW, Behaviour::AnswersAfter(204, Duration::from_millis(300)));
    let options = EngineOptions {
        max_memory_bytes: 4 * MIB,
        ..EngineOptions::default()
    };
    let intake = IntakeOptions {
        max_bytes: 1 << 30,
        ..IntakeOptions::default()
    };
    let node = world.node_with(options, intake, &receivers).await;
    let publish = async {
        for _ in 0..10 {
            let accepts =
                (0..20).map(|_| node.accept(&world.customer, world.message_of(&world.customer, MIB)));
            for accepted in futures_util::future::join_all(accepts).await {
                accepted.unwrap();
            }
        }
    };
    let watch = async {
        let begun = world.clock.monotonic();
        while world.store.queued() > 0 || receivers.arrivals().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let status = node.status();
            assert!(status.memory_bytes <= 4 * MIB, "{status:?}");
            assert!(
                world.clock.monotonic() < begun + Duration::from_mins(2),
                "{status:?}"
            );
        }
    };
    tokio::join!(publish, watch);
    let counts = receivers.counts();
    assert_eq!(counts.len(), 400);
    assert!(counts.values().all(|count| *count == 1));
    assert_eq!((node.status().memory_bytes, node.status().memory_rows), (0, 0));
}
