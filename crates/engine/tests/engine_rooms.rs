//! The rooms that rows are in: who is slow holds up nobody, no bound is passed, and what was deleted leaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{
    DeliveryQueue as _, ErasureStep, OutgoingRequest, Sender, Sent, WorkSignal as _,
};
use postrider_domain::{
    deliveries::{CapturedBody, FailureClass, Outcome},
    endpoints::Filter,
};
use postrider_engine::EngineOptions;
use postrider_testkit::contract::Customer;
use support::{
    faulty::{Fault, Op},
    node::Running,
    world::World,
};

const URL: &str = "https://one.example/hook";
/// Where the fixture's endpoints are.
const OTHERS_URL: &str = "https://example.com/hooks";
const SOON: Duration = Duration::from_millis(100);
const A_WHILE: Duration = Duration::from_secs(30);

/// Hangs until the deadline for `slow.example`, and answers everybody else at once.
struct SlowAndFast;

#[async_trait]
impl Sender for SlowAndFast {
    async fn send(&self, request: OutgoingRequest) -> Sent {
        let outcome = if request.url.as_str().contains("slow") {
            tokio::time::sleep(request.timeout).await;
            Outcome::Failed {
                class: FailureClass::TimeOut,
                status: None,
            }
        } else {
            Outcome::of_status(204)
        };
        Sent {
            outcome,
            retry_after: None,
            response_body: CapturedBody::default(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_delays_nobody_else() {
    let world = World::new().await;
    let other = world.fixture.application(&world.tenancy).await;
    world
        .endpoint_of(&other, "https://slow.example/", Filter::default())
        .await;
    world.endpoint(URL).await;
    for _ in 0..50 {
        world.fixture.accepted(&other).await;
    }
    let options = EngineOptions {
        max_in_flight: 64,
        max_in_flight_per_endpoint: 4,
        ..EngineOptions::default()
    };
    let engine = world.start_sending_by(options, SlowAndFast);
    world
        .until(SOON, "four are being sent", || {
            engine.handle.status().waiting == 46
        })
        .await;
    let mut fast = Vec::new();
    for _ in 0..20 {
        fast.push(world.publish(&engine).await);
    }
    // Long before the first slow attempt ends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for message in fast {
        assert_eq!(world.statuses(message).await, ["delivered"]);
    }
    let status = engine.handle.status();
    assert_eq!(
        (status.in_flight, status.waiting),
        (4, 46),
        "no more than four at a time"
    );
    world
        .until(Duration::from_mins(10), "everybody's turn comes", || {
            engine.handle.status().waiting == 0
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_in_memory_than_there_is_room_for() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.endpoint("https://two.example/").await;
    let gate = world.sender.gate();
    for _ in 0..100 {
        world.fixture.accepted(&world.customer).await;
    }
    let options = EngineOptions {
        max_in_flight: 8,
        max_in_flight_per_endpoint: 4,
        max_waiting: 8,
        ..EngineOptions::default()
    };
    let engine = world.start_with(options);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = engine.status();
        assert!(status.memory_rows <= 32 && status.waiting <= 8, "{status:?}");
        assert!(world.sender.requests().len() <= 8);
    }
    // Half of the room at most, as a fan-out becomes rows.
    assert!(
        world
            .faults
            .limits
            .lock()
            .unwrap()
            .iter()
            .all(|limit| *limit <= 16)
    );
    gate.open(1_000);
    world.settled_within(A_WHILE).await;
    assert_eq!(world.sender.requests().len(), 200);
    rooms_empty(&world, &engine).await;
    assert_eq!(
        (engine.status().memory_rows, engine.status().memory_bytes),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_larger_than_all_room_is_delivered_all_the_same() {
    let world = World::new().await;
    for n in 0..20 {
        world.endpoint(&format!("https://{n}.example/")).await;
    }
    let options = EngineOptions {
        max_in_flight: 2,
        max_in_flight_per_endpoint: 1,
        max_waiting: 2,
        ..EngineOptions::default()
    };
    let engine = world.start_with(options);
    let message = world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.statuses(message).await, ["delivered"; 20]);
    assert_eq!(world.sender.requests().len(), 20);
}

/// Four in flight, and eight that wait.
fn narrow() -> EngineOptions {
    EngineOptions {
        max_in_flight: 4,
        max_in_flight_per_endpoint: 2,
        max_waiting: 8,
        ..EngineOptions::default()
    }
}

/// More rows than the rooms hold, for an endpoint that does not answer: one is being sent, some wait here, and the
/// others in the database.
async fn backlog(world: &World) -> Running {
    world.endpoint(URL).await;
    for _ in 0..20 {
        world.fixture.accepted(&world.customer).await;
    }
    let engine = world.start_with(narrow());
    let full = || engine.status().waiting >= 3 && world.faults.count(Op::Settle) > 0;
    world.until(SOON, "some wait, others are parked", full).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.sender.requests().len(), 1);
    assert_eq!(world.store.parked_endpoints(None, 10).await.unwrap().len(), 1);
    engine
}

async fn rooms_empty(world: &World, engine: &Running) {
    let empty = || {
        let status = engine.handle.status();
        (status.in_flight, status.waiting, status.refused) == (0, 0, 0)
    };
    world.until(SOON, "the rooms are empty", empty).await;
}

/// A customer, with an endpoint, of a tenant that has nothing to do with the one that is deleted.
async fn neighbour(world: &World) -> Customer {
    let other = world.fixture.tenant("other").await;
    let customer = world.fixture.application(&other).await;
    world.fixture.endpoint(&other, &customer).await;
    customer
}

async fn is_served(world: &World, engine: &Running, neighbour: &Customer) {
    let (sent, left) = (sent_to(world, OTHERS_URL), world.store.queued());
    world.fixture.accepted(neighbour).await;
    engine.handle.work_queued();
    world
        .until(SOON, "the neighbour's webhook is sent", || {
            sent_to(world, OTHERS_URL) == sent + 1
        })
        .await;
    world
        .until(SOON, "and settled", || world.store.queued() == left)
        .await;
}

fn sent_to(world: &World, url: &str) -> usize {
    let requests = world.sender.requests();
    requests.iter().filter(|request| request.url == url).count()
}

async fn order_deletion(world: &World) {
    let now = world.clock.now();
    world.fixture.order_deletion(&world.tenancy, now).await;
}

/// Erases until, after that grace, there is nothing to erase.
async fn erase(world: &World, grace: Duration) {
    let housekeeping = &world.fixture.ports().housekeeping;
    while housekeeping.erase(100, grace).await.unwrap() != ErasureStep::Nothing {}
}

#[tokio::test(start_paused = true)]
async fn the_backlog_of_a_tenant_that_is_erased_leaves_and_makes_room() {
    for grace in [Duration::from_hours(1), Duration::ZERO] {
        let world = World::new().await;
        let gate = world.sender.gate();
        let engine = backlog(&world).await;
        let neighbour = neighbour(&world).await;
        order_deletion(&world).await;
        erase(&world, grace).await;
        assert_eq!(world.store.queued(), 0, "only memory knows of the backlog");

        gate.open(100);
        rooms_empty(&world, &engine).await;
        is_served(&world, &engine, &neighbour).await;
        assert_eq!(sent_to(&world, URL), 1, "no attempt began after the order");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_tenant_to_be_deleted_that_are_still_queued_are_neither_sent_nor_turned_over() {
    let world = World::new().await;
    let gate = world.sender.gate();
    let engine = backlog(&world).await;
    let neighbour = neighbour(&world).await;
    order_deletion(&world).await;
    gate.open(100);
    // If they were claimed again and again, time would stand still.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    let claims = world.faults.limits.lock().unwrap().len();
    assert!(claims <= 40, "{claims} claims");
    rooms_empty(&world, &engine).await;
    is_served(&world, &engine, &neighbour).await;
    assert_eq!(world.store.queued(), 19, "the eraser did not come yet");

    let (reads, claims) = (world.faults.count(Op::Messages), world.faults.count(Op::Claim));
    tokio::time::sleep(Duration::from_mins(2)).await;
    let reads = world.faults.count(Op::Messages) - reads;
    // What is ours and not in memory looks like a claim whose answer was lost: it is adopted once a minute.
    assert!(reads <= 2 * 19, "{reads} reads");
    let claims = world.faults.count(Op::Claim) - claims;
    assert!(claims <= 25, "only the net looks: {claims} claims");

    // Nor does a later life send them.
    engine.begin_shutdown();
    engine.ended().await;
    let engine = world.start_with(narrow());
    tokio::time::sleep(A_WHILE).await;
    rooms_empty(&world, &engine).await;
    is_served(&world, &engine, &neighbour).await;
    assert_eq!(sent_to(&world, URL), 1, "no attempt began after the order");
    erase(&world, Duration::ZERO).await;
    assert_eq!(world.store.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_message_is_missing_is_kept_though_others_of_its_batch_are_forgotten() {
    let world = World::new().await;
    let gate = world.sender.gate();
    let engine = backlog(&world).await;
    let neighbour = neighbour(&world).await;
    world.faults.no_messages.store(true, Ordering::SeqCst);
    order_deletion(&world).await;
    world.fixture.accepted(&neighbour).await;
    gate.open(100);
    world
        .until(A_WHILE, "all but the neighbour's row are forgotten", || {
            let status = engine.handle.status();
            (status.in_flight, status.waiting, status.refused) == (0, 0, 1)
        })
        .await;
    assert_eq!(sent_to(&world, OTHERS_URL), 0);
    world.faults.no_messages.store(false, Ordering::SeqCst);
    world
        .until(A_WHILE * 2, "the neighbour's webhook is sent", || {
            sent_to(&world, OTHERS_URL) == 1
        })
        .await;
    rooms_empty(&world, &engine).await;
    assert_eq!(sent_to(&world, URL), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_an_explosion_whose_answer_was_lost_is_not_sent_once_its_tenant_is_to_be_deleted() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let gate = world.sender.gate();
    let engine = world.start_with(narrow());
    world.publish(&engine).await;
    world.sender.sent(1).await;
    world.publish(&engine).await;
    world.faults.plan(Op::Settle, [Fault::After]);
    world
        .until(A_WHILE, "the explosion is written and not known to be", || {
            world.faults.are_over(Op::Settle)
        })
        .await;
    order_deletion(&world).await;
    gate.open(9);
    tokio::time::sleep(A_WHILE).await;
    rooms_empty(&world, &engine).await;
    assert_eq!((world.sender.requests().len(), world.store.queued()), (1, 1));
}
