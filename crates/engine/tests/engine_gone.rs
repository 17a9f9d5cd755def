//! The engine over the memory store, in paused time: what is deleted while messages of it wait.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{ApplicationRepository as _, Repository, Store as _, UnitOfWork as _, WorkSignal as _},
};
use postrider_domain::{
    applications::Application,
    endpoints::{Endpoint, EndpointRef},
};
use postrider_testkit::Answer;
use support::world::World;

const URL: &str = "https://one.example/hook";
const SOON: Duration = Duration::from_millis(100);
const A_WHILE: Duration = Duration::from_mins(1);

impl World {
    async fn delete_application(&self) {
        let (scope, id) = (&self.tenancy.scope, self.customer.id);
        let mut tx = self.fixture.store().begin(scope).await.unwrap();
        let found = Repository::<Application>::find(&mut tx, scope, &id).await;
        let mut application = found.unwrap().unwrap();
        tx.endpoints_changed(scope, id).await.unwrap();
        tx.delete_endpoints(scope, id).await.unwrap();
        application.delete(self.clock.now());
        tx.save(scope, &mut application).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_deleted_application_goes_to_nobody_and_leaves_the_queue() {
    let world = World::new().await;
    world.endpoint(URL).await;
    let message = world.fixture.accepted(&world.customer).await;
    world.delete_application().await;
    let engine = world.start();
    engine.handle.work_queued();
    world.settled_within(SOON).await;
    assert!(world.sender.requests().is_empty());
    assert!(world.deliveries(message).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_a_deleted_application_is_cancelled_when_its_turn_comes() {
    let world = World::new().await;
    world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(503)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.sender.sent(1).await;
    world.delete_application().await;
    world.settled_within(A_WHILE).await;
    assert_eq!(world.statuses(message).await, ["cancelled"]);
    assert_eq!(world.sender.requests().len(), 1, "nothing was sent any more");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_to_a_deleted_endpoint_is_cancelled_when_its_turn_comes() {
    let world = World::new().await;
    let id = world.endpoint(URL).await;
    let other = "https://two.example/";
    world.endpoint(other).await;
    world.sender.script(URL, [Answer::Status(503)]);
    let engine = world.start();
    let message = world.publish(&engine).await;
    world.sender.sent(2).await;
    let key = (world.customer.id, EndpointRef::Id(id));
    let mut endpoint: Endpoint = world.fixture.find(&world.tenancy.scope, &key).await.unwrap();
    endpoint.delete();
    world
        .fixture
        .delete(&world.tenancy.scope, endpoint)
        .await
        .unwrap();
    world
        .fixture
        .endpoints_changed(&world.tenancy, &world.customer)
        .await;
    world.settled_within(A_WHILE).await;
    let mut statuses = world.statuses(message).await;
    statuses.sort_unstable();
    assert_eq!(statuses, ["cancelled", "delivered"]);
    assert_eq!(world.sender.requests().len(), 2);
}
