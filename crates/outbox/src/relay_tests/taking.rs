//! How events come to a subscriber.

use std::time::Duration;

use postrider_application::ports::{EventForm, StartAt};

use crate::{
    Unknown,
    test_support::{Does, World, now, until},
};

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
