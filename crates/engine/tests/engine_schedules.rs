//! Messages that are delivered later, and messages whose payload was expunged before they were.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        Cancellation, Expunged, MessageRepository as _, NewMessage, Store as _, UnitOfWork as _,
        WorkSignal as _,
    },
};
use postrider_domain::{MessageId, messages::Message};
use postrider_testkit::Answer;
use support::{node::Running, world::World};

const URL: &str = "https://one.example/hook";
const HOUR: Duration = Duration::from_hours(1);
const A_WHILE: Duration = Duration::from_secs(10);

/// A message that is due after `wait`.
async fn schedule(world: &World, engine: &Running, wait: Duration) -> MessageId {
    let message = Message {
        deliver_at: Some(world.clock.now().plus(wait)),
        ..world.fixture.message(&world.customer)
    };
    let id = message.id;
    let new = NewMessage {
        message: Arc::new(message),
        dedup: None,
        owner: None,
    };
    world.fixture.ports().writer.write(&[new]).await.unwrap();
    engine.handle.work_queued();
    id
}

async fn expunge(world: &World, message: MessageId) {
    let scope = &world.tenancy.scope;
    let mut tx = world.store.begin(scope).await.unwrap();
    let outcome = tx.expunge_payload(scope, world.customer.id, message).await;
    assert_eq!(outcome.unwrap(), Expunged::Now);
    tx.commit(Record::InHistory).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_message_is_sent_in_time_and_not_before() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    tokio::time::sleep(A_WHILE).await;
    schedule(&world, &engine, HOUR).await;
    tokio::time::sleep(HOUR.checked_sub(Duration::from_secs(1)).unwrap()).await;
    assert!(world.sender.requests().is_empty());
    world.settled_within(Duration::from_secs(3)).await;
    assert_eq!(world.sender.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_message_is_never_sent() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    let id = schedule(&world, &engine, HOUR).await;
    tokio::time::sleep(HOUR / 2).await;
    let scope = &world.tenancy.scope;
    let mut tx = world.store.begin(scope).await.unwrap();
    let outcome = tx.cancel_message(scope, world.customer.id, id).await.unwrap();
    assert_eq!(outcome, Cancellation::Cancelled);
    tx.commit(Record::InHistory).await.unwrap();
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.store.queued(), 0);
    assert!(world.sender.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_without_its_payload_is_delivered_to_nobody() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let engine = world.start();
    let id = schedule(&world, &engine, HOUR).await;
    expunge(&world, id).await;
    tokio::time::sleep(HOUR).await;
    world.settled_within(A_WHILE).await;
    assert!(world.deliveries(id).await.is_empty());
    assert!(world.sender.requests().is_empty());
    // And the engine goes on.
    world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.sender.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_without_its_payload_is_cancelled_when_its_turn_comes() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(500)]);
    let engine = world.start();
    let id = world.publish(&engine).await;
    world.sender.sent(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    expunge(&world, id).await;
    world.settled_within(HOUR).await;
    assert_eq!(world.statuses(id).await, ["cancelled"]);
    assert_eq!(world.sender.requests().len(), 1);
    world.publish(&engine).await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.sender.requests().len(), 2);
}
