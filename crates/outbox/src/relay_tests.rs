//! Given, when, then over memory; the clock is tokio's and stands still, so that pauses pass at once.

use std::{sync::atomic::Ordering, time::Duration};

use postrider_application::ports::{
    AggregateKey, ClusterBarrier as _, EventForm, EventLog as _, NodeLife as _, NodeRegistry as _,
    NodeSight as _, RelayCursors as _, StartAt,
};
use postrider_testkit::contract::Harness as _;

use super::*;
use crate::Unknown;
use crate::test_support::{Does, LEASE, NAME, World, now, until};

#[tokio::test(start_paused = true)]
async fn everything_is_taken_in_order_and_the_cursor_follows() {
    let world = World::new().await;
    let all: Vec<i64> = (0..10).map(|n| world.log.append(&format!("a{n}"))).collect();
    let node = world.node().await;
    until(async || world.position().await == 10).await;
    assert_eq!(world.recorder.positions(), all);
    assert!(
        *world.recorder.flushes.lock().unwrap() >= 4,
        "before the cursor moves"
    );
    let later = world.log.append("a1");
    node.signal.wake();
    until(async || world.position().await == later).await;
    assert_eq!(world.recorder.positions().last(), Some(&later));
    assert_eq!(
        *node.memory.heard.lock().unwrap(),
        [later],
        "a node remembers nothing of before"
    );
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_subscriber_begins_where_it_is_declared_to() {
    for (start, first) in [(StartAt::Beginning, 1), (StartAt::After(3), 4)] {
        let mut world = World::new().await;
        world.start = start;
        for _ in 0..5 {
            world.log.append("a");
        }
        let node = world.node().await;
        until(async || world.position().await == 5).await;
        assert_eq!(world.recorder.positions().first(), Some(&first), "{start:?}");
        node.stop(&world).await;
        // It goes on where it was, whatever it is declared to.
        world.start = StartAt::Beginning;
        world.log.append("a");
        let node = world.node().await;
        until(async || world.position().await == 6).await;
        assert_eq!(world.recorder.tries_of(5), 1, "{start:?}");
        node.stop(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_set_aside_with_its_aggregate_and_the_rest_flows() {
    let world = World::new().await;
    let bad = world.log.append("a");
    world.recorder.does(bad, Some(Does::Refuses));
    let (b, behind, c) = (
        world.log.append("b"),
        world.log.append("a"),
        world.log.append("c"),
    );
    let node = world.node().await;
    until(async || world.position().await == c).await;
    assert_eq!(world.recorder.positions(), [b, c]);
    assert_eq!(world.recorder.tries_of(bad), 4, "as often as the options say");
    assert_eq!(world.recorder.tries_of(behind), 0, "it waits");
    assert_eq!(world.dead().await, [bad]);
    let subscriber = world.status().await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (1, 1));
    assert_eq!(*world.metrics.set_aside.lock().unwrap(), 1);

    // Asked for, it is refused again, and stays; once it is good, it goes, and what waits for it after it.
    assert!(world.retry(bad).await);
    until(async || world.recorder.tries_of(bad) == 8).await;
    until(async || world.store.to_deliver_again(NAME, 1).await.unwrap().is_empty()).await;
    assert_eq!(world.dead().await, [bad]);
    world.recorder.does(bad, None);
    let later = world.log.append("a");
    assert!(world.retry(bad).await);
    until(async || world.recorder.positions().contains(&later)).await;
    assert_eq!(world.recorder.positions(), [b, c, bad, behind, later]);
    until(async || world.position().await == later).await;
    assert_eq!(world.dead().await, [0; 0]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waited_and_is_refused_holds_back_those_after_it() {
    let world = World::new().await;
    let (first, second, third) = (
        world.log.append("a"),
        world.log.append("a"),
        world.log.append("a"),
    );
    world.recorder.does(first, Some(Does::Refuses));
    world.recorder.does(second, Some(Does::Refuses));
    let node = world.node().await;
    until(async || world.position().await == third).await;
    assert!(!world.retry(second).await, "it only waits");
    world.recorder.does(first, None);
    assert!(world.retry(first).await);
    until(async || world.dead().await == [second]).await;
    assert_eq!(world.recorder.positions(), [first]);
    world.recorder.does(second, None);
    assert!(world.retry(second).await);
    until(async || world.dead().await.is_empty()).await;
    until(async || world.recorder.positions() == [first, second, third]).await;
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_away_loses_nothing_and_sets_nothing_aside() {
    let world = World::new().await;
    let (first, second) = (world.log.append("a"), world.log.append("b"));
    world.recorder.does(first, Some(Does::IsAway));
    let node = world.node().await;
    until(async || world.recorder.tries_of(first) > 20).await;
    assert_eq!((world.position().await, world.dead().await.len()), (0, 0));
    world.recorder.does(first, None);
    until(async || world.position().await == second).await;
    assert_eq!(world.recorder.positions(), [first, second]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up_and_counts_as_away() {
    let world = World::new().await;
    let (first, second) = (world.log.append("a"), world.log.append("b"));
    world.recorder.does(first, Some(Does::Hangs));
    let before = now();
    let node = world.node().await;
    let tries = world.options.max_attempts * 3;
    until(async || world.recorder.tries_of(first) > tries as usize).await;
    assert!(now() - before >= world.options.handle_timeout * tries);
    assert_eq!((world.position().await, world.dead().await.len()), (0, 0));
    // What it waited for is back.
    world.recorder.does(first, None);
    until(async || world.position().await == second).await;
    assert_eq!(world.recorder.positions(), [first, second]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_over_an_event_refuses_it_and_the_rest_flows() {
    let world = World::new().await;
    let (bad, other, behind) = (
        world.log.append("a"),
        world.log.append("b"),
        world.log.append("a"),
    );
    world.recorder.does(bad, Some(Does::Panics));
    let node = world.node().await;
    until(async || world.position().await == behind).await;
    assert_eq!(world.recorder.positions(), [other]);
    assert_eq!(world.recorder.tries_of(bad), 4, "as often as the options say");
    assert_eq!(world.dead().await, [bad]);
    let key = AggregateKey {
        tenant: None,
        aggregate: "a".to_owned(),
    };
    let letter = world.store.first_set_aside(NAME, &key).await.unwrap().unwrap();
    assert_eq!(letter.error.as_deref(), Some("panicked"));
    world.recorder.does(bad, None);
    assert!(world.retry(bad).await);
    until(async || world.recorder.positions() == [other, bad, behind]).await;
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_form_is_set_aside_unseen_until_a_release_knows_it() {
    let world = World::new().await;
    let odd = world.log.append_of("a", "parcel.sent", EventForm::Unknown);
    let behind = world.log.append("a");
    let other = world.log.append("b");
    let node = world.node().await;
    until(async || world.position().await == other).await;
    assert_eq!(world.recorder.positions(), [other]);
    assert_eq!((world.recorder.tries_of(odd), world.dead().await), (0, vec![odd]));
    node.stop(&world).await;
    // Taken over by a release that does not know it either, and then by one that does.
    let node = world.node().await;
    until(async || world.status().await.subscribers[0].node == Some(node.epoch)).await;
    node.stop(&world).await;
    assert_eq!(world.recorder.positions(), [other]);
    world.log.know(odd);
    let node = world.node().await;
    until(async || world.recorder.positions() == [other, odd, behind]).await;
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_set_aside_is_bounded_and_then_it_stands_still() {
    let mut world = World::new().await;
    world.options.max_set_aside = 2;
    let bad = world.log.append("a");
    world.recorder.does(bad, Some(Does::Refuses));
    for _ in 0..3 {
        world.log.append("a");
    }
    let last = world.log.append("b");
    let node = world.node().await;
    until(async || world.position().await == 2).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(world.position().await, 2, "it stands still");
    assert_eq!(world.recorder.positions(), [0; 0]);
    world.recorder.does(bad, None);
    assert!(world.retry(bad).await);
    until(async || world.position().await == last).await;
    assert_eq!(world.recorder.positions(), [1, 2, 3, 4, 5]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn one_aggregate_takes_up_only_its_share_of_the_room_and_nothing_of_it_is_lost() {
    one_aggregate_takes_up_only_its_share(3).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_large_batch_has_no_room_for_is_read_again() {
    one_aggregate_takes_up_only_its_share(100).await;
}

async fn one_aggregate_takes_up_only_its_share(batch: u32) {
    let mut world = World::new().await;
    world.options.batch = batch;
    world.options.max_set_aside = 4;
    world.options.max_waiting = 2;
    let bad = world.log.append("a");
    world.recorder.does(bad, Some(Does::Refuses));
    let mut of_a = vec![bad];
    for _ in 0..7 {
        of_a.push(world.log.append("a"));
    }
    let last = world.log.append("b");
    let node = world.node().await;
    until(async || world.position().await == last).await;
    assert_eq!(world.recorder.positions(), [last], "all others flow");
    let subscriber = world.status().await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (1, 2));
    // Another node, which has to learn what is written down; and one amid those that are not is refused in its turn.
    node.stop(&world).await;
    let worse = of_a[5];
    world.recorder.does(bad, None);
    world.recorder.does(worse, Some(Does::Refuses));
    let node = world.node().await;
    assert!(world.retry(bad).await);
    until(async || world.dead().await == [worse]).await;
    of_a.push(world.log.append("a"));
    node.signal.wake();
    until(async || world.position().await == of_a[8]).await;
    world.recorder.does(worse, None);
    assert!(world.retry(worse).await);
    until(async || world.recorder.positions().len() == 10).await;
    assert_eq!(world.recorder.positions()[1..], of_a);
    assert_eq!(world.dead().await, [0; 0]);
    // Nothing of it waits any more.
    let next = world.log.append("a");
    node.signal.wake();
    until(async || world.position().await == next).await;
    assert_eq!(world.recorder.positions().last(), Some(&next));
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_is_passed_over_and_what_waits_for_it_follows() {
    let world = World::new().await;
    let bad = world.log.append("a");
    world.recorder.does(bad, Some(Does::Refuses));
    let behind = world.log.append("a");
    let node = world.node().await;
    until(async || world.position().await == behind).await;
    assert_eq!(world.discard(behind).await, None, "it only waits");
    let tries = world.recorder.tries_of(bad);
    assert_eq!(world.discard(bad).await, Some(1));
    until(async || world.recorder.positions() == [behind]).await;
    assert_eq!(world.recorder.tries_of(bad), tries);
    let later = world.log.append("a");
    node.signal.wake();
    until(async || world.position().await == later).await;
    assert_eq!(
        world.recorder.positions(),
        [behind, later],
        "nothing is held back any more"
    );
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_hands_events_on_as_they_are_is_told_of_unknown_ones() {
    let mut world = World::new().await;
    world.unknown = Unknown::Told;
    let odd = world.log.append_of("a", "parcel.sent", EventForm::Unknown);
    let behind = world.log.append("a");
    let node = world.node().await;
    until(async || world.position().await == behind).await;
    assert_eq!(world.recorder.positions(), [odd, behind]);
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_none_of_its_business_is_passed_over_a_batch_at_a_time() {
    let world = World::new().await;
    for _ in 0..6 {
        world.log.append("a");
    }
    *world.recorder.passes.lock().unwrap() = [1, 2, 3, 5].into();
    let node = world.node().await;
    until(async || world.position().await == 6).await;
    assert_eq!(world.recorder.positions(), [4, 6]);
    assert_eq!(
        *world.recorder.asked.lock().unwrap(),
        [3, 3],
        "once for each batch"
    );
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn several_aggregates_are_told_at_once_and_each_in_order() {
    let mut world = World::new().await;
    world.at_once = 2;
    world.options.batch = 10;
    let slow = world.log.append("a");
    world.recorder.does(slow, Some(Does::IsAway));
    let others = [
        world.log.append("b"),
        world.log.append("a"),
        world.log.append("b"),
    ];
    let node = world.node().await;
    until(async || world.recorder.positions() == [others[0], others[2]]).await;
    assert_eq!(world.position().await, 0, "the first is not taken");
    world.recorder.does(slow, None);
    until(async || world.position().await == others[2]).await;
    assert_eq!(
        world.recorder.positions(),
        [others[0], others[2], slow, others[1]]
    );
    node.stop(&world).await;
}

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

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_read_later() {
    let world = World::new().await;
    let last = world.log.append("a");
    *world.log.failures.lock().unwrap() = 10;
    let node = world.node().await;
    until(async || world.position().await == last).await;
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_never_answered_is_given_up_and_made_again() {
    let world = World::new().await;
    let first = world.log.append("a");
    // Of the node's own way along the log, and of the subscriber's.
    *world.log.silences.lock().unwrap() = 2;
    let node = world.node().await;
    until(async || world.position().await == first).await;
    *world.log.silences.lock().unwrap() = 2;
    let second = world.log.append("a");
    node.signal.wake();
    until(async || world.position().await == second).await;
    until(async || *node.memory.heard.lock().unwrap() == [second]).await;
    node.stop(&world).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_looks_once_an_interval_and_no_more() {
    let world = World::new().await;
    let node = world.node().await;
    until(async || world.status().await.subscribers[0].node.is_some()).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = *world.log.reads.lock().unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let reads = *world.log.reads.lock().unwrap() - before;
    assert!((11..=13).contains(&reads), "{reads}");
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
        subscription: crate::test_support::subscription(StartAt::Beginning),
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
