//! Several nodes, and the lives of one.

use std::sync::{Arc, atomic::Ordering};

use postrider_application::ports::{
    ClusterBarrier as _, EventLog as _, NodeLife as _, NodeRegistry as _, NodeSight as _, StartAt,
};
use postrider_testkit::contract::Harness as _;

use crate::{
    Installed, Relay, RelayError, RelayOptions, RelayPorts, RelaySignal,
    test_support::{Does, LEASE, NAME, World, subscription, until},
};

#[tokio::test(start_paused = true)]
async fn one_node_at_a_time_runs_it_and_another_takes_over() {
    let world = World::new().await;
    let (one, other) = (world.node().await, world.node().await);
    let first = world.log.append("a");
    one.signal.wake();
    other.signal.wake();
    until(async || world.position().await == first).await;
    assert_eq!(
        world.recorder.tries_of(first),
        1,
        "once, though there are two nodes"
    );
    assert_eq!(world.status().await.subscribers[0].node, Some(one.epoch));
    one.kill(&world).await;
    let second = world.log.append("a");
    other.signal.wake();
    until(async || world.position().await == second).await;
    assert_eq!(world.recorder.positions(), [first, second]);
    other.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_cannot_move_the_cursor_back() {
    let world = World::new().await;
    let first = world.log.append("a");
    world.recorder.does(first, Some(Does::IsAway));
    let paused = world.node().await;
    until(async || world.recorder.tries_of(first) > 1).await;
    // Its lease runs out, which it does not notice.
    world.harness.age(LEASE).await;
    world.recorder.does(first, None);
    let heir = world.node().await;
    let second = world.log.append("b");
    heir.signal.wake();
    until(async || world.position().await == second).await;
    until(async || world.recorder.tries_of(first) >= 3).await;
    assert_eq!(world.position().await, second);
    assert_eq!(world.status().await.subscribers[0].node, Some(heir.epoch));
    paused.kill(&world).await;
    heir.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_says_what_it_has_seen_and_says_so_anew_in_its_next_life() {
    let world = World::new().await;
    world.log.append("a");
    let node = world.node().await;
    until(async || world.status().await.nodes[0].seen == Some(1)).await;
    let second = world.log.append("b");
    node.signal.wake();
    until(async || world.status().await.nodes[0].seen == Some(second)).await;
    assert_eq!(
        *node.memory.heard.lock().unwrap(),
        [second],
        "it had heard of it before it said so"
    );
    let next = world.store.join(LEASE).await.unwrap();
    assert_eq!(world.store.unseen(Some(second)).await.unwrap().nodes, 1);
    node.life.set(Some(next));
    until(async || world.store.unseen(Some(second)).await.unwrap().nodes == 0).await;
    node.barrier.passed().await.unwrap();
    node.stop(&world).await;
}

/// Its engine may go on for as long as a drain takes, and by what it knows: whoever waits for all nodes waits for it.
#[tokio::test(start_paused = true)]
async fn a_node_that_ends_says_what_it_sees_until_it_is_gone_and_takes_no_event_more() {
    let world = World::new().await;
    let first = world.log.append("a");
    let node = world.node().await;
    until(async || world.position().await == first).await;
    node.shutdown.cancel();
    let second = world.log.append("a");
    node.signal.wake();
    until(async || world.store.unseen(Some(second)).await.unwrap().nodes == 0).await;
    node.barrier.passed().await.unwrap();
    assert_eq!(*node.memory.heard.lock().unwrap(), [second]);
    assert_eq!(world.recorder.positions(), [first]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_is_of_no_event_ends_the_relay_and_says_whose_it_was() {
    let world = World::new().await;
    world.log.append("a");
    world.recorder.panics_in_flush.store(true, Ordering::Relaxed);
    let mut node = world.node().await;
    let ended = node.ended().await;
    assert!(
        matches!(ended, Err(RelayError::SubscriberPanicked(NAME))),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_of_one_name_are_refused() {
    let world = World::new().await;
    let node = world.node().await;
    let store = Arc::new(world.store.clone());
    let ports = RelayPorts {
        log: world.log.clone(),
        cursors: store.clone(),
        sight: store.clone(),
        bell: store,
        life: node.life.clone(),
        metrics: world.metrics.clone(),
    };
    let installed = Installed {
        subscription: subscription(StartAt::Beginning),
        subscriber: world.recorder.clone(),
    };
    let both = vec![installed.clone(), installed];
    let opened = Relay::open(
        ports,
        RelaySignal::default(),
        Vec::new(),
        both,
        RelayOptions::default(),
    )
    .await;
    assert!(matches!(opened, Err(RelayError::DuplicateSubscriber(NAME))));
    assert!(node.life.holds(node.epoch) && world.log.head().await.unwrap() == 0);
    node.stop(&world).await;
}
