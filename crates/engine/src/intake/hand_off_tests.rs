//! Whose a message is from the beginning.

use std::time::Duration;

use futures_util::FutureExt as _;
use postrider_application::ports::{Clock as _, Epoch};

use super::testing::{Answered, Scene, Try, answer, is_new, new_message};
use crate::{EngineOptions, lease::Lease};

const A_WHILE: Duration = Duration::from_secs(1);
const FIRST: Option<Epoch> = Some(Epoch(1));
const SECOND: Option<Epoch> = Some(Epoch(2));

/// Whether the engine was told to look at the queue.
fn is_woken(scene: &Scene) -> bool {
    scene.engine.shared.work.notified().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn what_has_a_place_goes_to_the_engine_and_the_queue_is_not_looked_at() {
    let mut scene = Scene::new();
    let (id, answered) = scene.publish();
    scene.run();
    assert!(is_new(&answer(answered).await));
    assert_eq!(scene.owners(0), [FIRST]);
    let handed_off = scene.life.recv().await.unwrap();
    let work = &handed_off.work;
    assert_eq!((work.message, work.work.claim, work.endpoint), (id, 0, None));
    assert_eq!(work.payload_bytes, 7);
    assert_eq!(
        (
            scene.engine.status().memory_rows,
            scene.engine.status().memory_bytes
        ),
        (1, 7)
    );
    assert!(!is_woken(&scene));
    assert_eq!(scene.claimable().await, 0);
    drop(handed_off);
    assert_eq!(
        (
            scene.engine.status().memory_rows,
            scene.engine.status().memory_bytes
        ),
        (0, 0)
    );
}

/// Publishes one, which must be anybody's.
async fn is_anybodys(scene: &mut Scene, answered: Answered) {
    scene.run();
    assert!(is_new(&answer(answered).await));
    assert_eq!(scene.owners(0), [None]);
    assert!(is_woken(scene), "somebody must look at the queue");
    assert_eq!(scene.claimable().await, 1);
    assert!(scene.life.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn without_an_engine_it_is_anybodys() {
    let mut scene = Scene::new();
    scene.engine.shared.door.close();
    let (_, answered) = scene.publish();
    is_anybodys(&mut scene, answered).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_lease_ran_out_it_is_anybodys() {
    let mut scene = Scene::new();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let (_, answered) = scene.publish();
    is_anybodys(&mut scene, answered).await;
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_full_of_rows_it_is_anybodys() {
    let mut scene = Scene::new();
    let budget = scene.engine.shared.budget.clone();
    // The last quarter is for rows that were accepted before.
    let rows = EngineOptions::default().max_rows_in_memory() / 4 * 3;
    let _taken = budget.take_rows(rows).unwrap();
    let (_, answered) = scene.publish();
    is_anybodys(&mut scene, answered).await;
    assert_eq!(scene.engine.status().memory_rows, rows);
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_full_of_bytes_it_is_anybodys() {
    let mut scene = Scene::new();
    let all = EngineOptions::default().max_memory_bytes;
    let _taken = scene.engine.shared.budget.take_bytes(all - 100).unwrap();
    let answered = scene.push(new_message(1, 1, 101));
    is_anybodys(&mut scene, answered).await;
    assert_eq!(scene.engine.status().memory_bytes, all - 100);
    assert_eq!(
        scene.engine.status().memory_rows,
        0,
        "the row's place is given back"
    );
}

/// The engine's first life ends, and another begins.
fn begin_another_life(scene: &mut Scene) {
    scene.engine.shared.door.close();
    let lease = Lease::for_test(Epoch(2), scene.clock.clone(), Duration::from_hours(1));
    scene.life = scene.engine.shared.door.open(&lease);
    scene.lease = lease;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_goes_to_the_next_life() {
    let mut scene = Scene::new();
    scene.fail([Try::Unavailable]);
    let (id, answered) = scene.publish();
    scene.run();
    tokio::time::sleep(Duration::from_millis(1)).await;
    begin_another_life(&mut scene);
    assert!(is_new(&answer(answered).await));
    assert_eq!((scene.owners(0), scene.owners(1)), (vec![FIRST], vec![SECOND]));
    assert_eq!(scene.life.recv().await.unwrap().work.message, id);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_written_stays_with_the_life_that_it_was_written_for() {
    for lost in [Try::LostBefore, Try::LostAfterCommit] {
        let mut scene = Scene::new();
        scene.fail([lost]);
        let (_, answered) = scene.publish();
        scene.run();
        tokio::time::sleep(Duration::from_millis(1)).await;
        begin_another_life(&mut scene);
        assert!(is_new(&answer(answered).await));
        // Under another owner the row would be the first one's, and delivered by the second as well.
        assert_eq!((scene.owners(0), scene.owners(1)), (vec![FIRST], vec![FIRST]));
        assert!(scene.life.try_recv().is_err());
        assert_eq!(scene.engine.status().memory_rows, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_found_no_place_at_first_may_find_one_later() {
    let mut scene = Scene::new();
    scene.engine.shared.door.close();
    scene.fail([Try::Unavailable]);
    let (id, answered) = scene.publish();
    scene.run();
    tokio::time::sleep(Duration::from_millis(1)).await;
    begin_another_life(&mut scene);
    assert!(is_new(&answer(answered).await));
    assert_eq!((scene.owners(0), scene.owners(1)), (vec![None], vec![SECOND]));
    assert_eq!(scene.life.recv().await.unwrap().work.message, id);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_by_whoever_is_not_written() {
    let mut scene = Scene::new();
    let doomed: Vec<_> = (0..8).map(|_| scene.publish()).collect();
    scene
        .writer
        .poison
        .lock()
        .unwrap()
        .extend(doomed.iter().map(|(id, _)| *id));
    scene.run();
    for (_, answered) in doomed {
        assert!(!is_new(&answer(answered).await));
    }
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(
        (
            scene.engine.status().memory_rows,
            scene.engine.status().memory_bytes
        ),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_is_anybodys_until_its_time_comes() {
    let mut scene = Scene::new();
    let later = |id, at| {
        let new = new_message(id, 1, 7);
        let message = postrider_domain::messages::Message {
            deliver_at: Some(at),
            ..(*new.message).clone()
        };
        scene.push(postrider_application::ports::NewMessage {
            message: std::sync::Arc::new(message),
            ..new
        })
    };
    let now = scene.clock.now();
    let (scheduled, due) = (later(1, now.plus(A_WHILE)), later(2, now));
    scene.run();
    assert!(is_new(&answer(scheduled).await) && is_new(&answer(due).await));
    assert_eq!(scene.owners(0), [None, FIRST], "what is due is this node's");
    assert!(is_woken(&scene), "somebody must look when the next row is due");
    assert_eq!(scene.claimable().await, 0);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(scene.claimable().await, 1);
    assert!(scene.life.recv().await.is_some() && scene.life.try_recv().is_err());
}
