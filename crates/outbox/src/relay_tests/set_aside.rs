//! What is refused, and what waits for it.

use std::time::Duration;

use postrider_application::ports::{AggregateKey, EventForm, RelayCursors as _};

use crate::test_support::{Does, NAME, World, until};

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
