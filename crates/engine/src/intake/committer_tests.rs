use std::time::Duration;

use postrider_application::ports::{WriteError, Written};
use postrider_domain::MessageId;
use uuid::Uuid;

use super::{
    testing::{DEADLINE, Scene, Try, answer, is_new, keyed},
    *,
};

fn id(n: u128) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(n))
}

fn is_refused(answer: &Result<Accepted, IntakeError>) -> bool {
    matches!(answer, Err(IntakeError::Store(StoreError::Internal(_))))
}

fn is_conflict(answer: &Result<Accepted, IntakeError>) -> bool {
    matches!(answer, Err(IntakeError::KeyConflict))
}

fn replays(answer: &Result<Accepted, IntakeError>, earlier: u128) -> bool {
    matches!(answer, Ok(Accepted::Replayed(found)) if *found == id(earlier))
}

#[tokio::test(start_paused = true)]
async fn what_waits_makes_one_batch_and_everybody_is_answered() {
    let mut scene = Scene::new();
    let published: Vec<_> = (0..20).map(|_| scene.publish()).collect();
    scene.run();
    for (_, answered) in published {
        assert!(is_new(&answer(answered).await));
    }
    assert_eq!(scene.sizes(), [20]);
    assert_eq!((scene.writer.store.queued(), scene.waiting.rows()), (20, 0));
    // Under little load a batch is one message.
    for _ in 0..3 {
        assert!(is_new(&answer(scene.publish().1).await));
    }
    assert_eq!(scene.sizes(), [20, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn equal_keys_of_a_batch_are_folded() {
    let mut scene = Scene::new();
    let [first, same, other, again] =
        [keyed(1, 7, 1), keyed(2, 7, 1), keyed(3, 7, 2), keyed(4, 7, 1)].map(|new| scene.push(new));
    let unrelated = scene.push(keyed(5, 8, 1));
    scene.run();
    assert!(is_new(&answer(first).await) && is_new(&answer(unrelated).await));
    assert!(replays(&answer(same).await, 1) && replays(&answer(again).await, 1));
    assert!(is_conflict(&answer(other).await));
    assert_eq!(scene.sizes(), [2]);
    assert_eq!(scene.writer.store.queued(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_the_first_of_a_key_fails_the_next_is_written_by_itself() {
    let mut scene = Scene::new();
    scene.writer.poison.lock().unwrap().insert(id(1));
    let [first, second, third, bystander] =
        [keyed(1, 7, 1), keyed(2, 7, 2), keyed(3, 7, 2), keyed(4, 8, 1)].map(|new| scene.push(new));
    scene.run();
    assert!(is_refused(&answer(first).await));
    assert!(
        is_new(&answer(second).await),
        "another body, and nothing is stored"
    );
    assert!(replays(&answer(third).await, 2));
    assert!(is_new(&answer(bystander).await));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_the_first_says_nothing_of_another_body() {
    let mut scene = Scene::new();
    let earlier = scene.writer.store.write(&[keyed(1, 7, 1)]).await.unwrap();
    assert_eq!(earlier.len(), 1);
    let [other, same, third] = [keyed(2, 7, 2), keyed(3, 7, 1), keyed(4, 7, 3)].map(|new| scene.push(new));
    scene.run();
    assert!(is_conflict(&answer(other).await));
    assert!(replays(&answer(same).await, 1));
    assert!(is_conflict(&answer(third).await));
    assert_eq!(scene.writer.store.queued(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_the_first_is_one_of_its_followers_too() {
    let mut scene = Scene::new();
    scene.writer.store.write(&[keyed(1, 7, 1)]).await.unwrap();
    let [first, same, other] = [keyed(2, 7, 1), keyed(3, 7, 1), keyed(4, 7, 2)].map(|new| scene.push(new));
    scene.run();
    assert!(replays(&answer(first).await, 1) && replays(&answer(same).await, 1));
    assert!(is_conflict(&answer(other).await));
    assert_eq!(scene.sizes(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_batch_is_written_in_parts_and_each_caller_has_the_true_answer() {
    const BATCH: usize = 64;
    for poisoned in [vec![0], vec![63], vec![5, 6, 40], (0..64).collect::<Vec<usize>>()] {
        let mut scene = Scene::new();
        let published: Vec<_> = (0..BATCH).map(|_| scene.publish()).collect();
        let poison = poisoned.iter().map(|index| published[*index].0);
        scene.writer.poison.lock().unwrap().extend(poison);
        scene.run();
        for (index, (_, answered)) in published.into_iter().enumerate() {
            let answer = answer(answered).await;
            let refused = poisoned.contains(&index);
            assert_eq!(is_refused(&answer), refused, "{answer:?}");
            assert_eq!(is_new(&answer), !refused, "{answer:?}");
        }
        assert_eq!(scene.writer.store.queued(), BATCH - poisoned.len());
        // Each one costs two writes a level at most, and all together no more than the whole tree has.
        let most = (1 + poisoned.len() * 2 * 6).min(2 * BATCH);
        assert!(scene.sizes().len() <= most, "{} writes", scene.sizes().len());
        assert_eq!(scene.waiting.rows(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_away_the_same_batch_is_tried_until_it_works() {
    let mut scene = Scene::new();
    scene.fail([Try::Unavailable; 3]);
    let published: Vec<_> = (0..5).map(|_| scene.publish()).collect();
    let begun = scene.clock.monotonic();
    scene.run();
    for (_, answered) in published {
        assert!(is_new(&answer(answered).await));
    }
    assert_eq!(scene.sizes(), [5; 4]);
    let took = scene.clock.monotonic().saturating_sub(begun);
    assert!(
        took >= Duration::from_millis(70) && took < Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_commit_is_found_out_by_writing_again() {
    for lost in [Try::LostAfterCommit, Try::LostBefore, Try::TooShort] {
        let mut scene = Scene::new();
        scene.fail([lost]);
        let published: Vec<_> = (0..5).map(|_| scene.publish()).collect();
        let with_key = scene.push(keyed(1, 7, 1));
        scene.run();
        for (_, answered) in published {
            assert!(is_new(&answer(answered).await), "{lost:?}");
        }
        assert!(is_new(&answer(with_key).await), "its own key is no replay");
        assert_eq!((scene.sizes(), scene.writer.store.queued()), (vec![6, 6], 6));
        let mut handed_off = 0;
        while let Ok(one) = scene.life.try_recv() {
            handed_off += 1;
            drop(one);
        }
        assert_eq!(handed_off, 6, "each once");
        assert_eq!(scene.engine.status().memory_rows, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waited_long_enough_is_told_the_truth_as_far_as_it_is_known() {
    let mut scene = Scene::new();
    *scene.writer.always.lock().unwrap() = Some(Try::LostBefore);
    let (_, uncertain) = scene.publish();
    scene.run();
    // The committer is at it already when this one comes.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (_, never_tried) = scene.publish();
    let uncertain = answer(uncertain).await;
    assert!(
        matches!(uncertain, Err(IntakeError::OutcomeUnknown(_))),
        "{uncertain:?}"
    );
    assert!(scene.clock.monotonic() >= DEADLINE);
    // It would be tried with what is left of its time; meanwhile the database is really away.
    *scene.writer.always.lock().unwrap() = Some(Try::Unavailable);
    let never_tried = answer(never_tried).await;
    assert!(
        matches!(never_tried, Err(IntakeError::Store(StoreError::Unavailable(_)))),
        "{never_tried:?}"
    );
    assert!(scene.clock.monotonic() < DEADLINE + Duration::from_secs(6));
    assert_eq!(scene.waiting.rows(), 0);
    assert_eq!(scene.engine.status().memory_rows, 0, "no place is kept for them");
    assert!(
        scene.sizes().len() < 20,
        "with growing waits: {:?}",
        scene.sizes()
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_given_up_and_repeated() {
    let mut scene = Scene::new();
    scene.fail([Try::Hangs]);
    let (_, answered) = scene.publish();
    let begun = scene.clock.monotonic();
    scene.run();
    assert!(is_new(&answer(answered).await));
    let took = scene.clock.monotonic().saturating_sub(begun);
    assert!(
        took >= IntakeOptions::default().write_timeout && took < DEADLINE,
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_write_holds_up_no_other_committer() {
    let mut scene = Scene::with(IntakeOptions {
        committers: 2,
        ..IntakeOptions::default()
    });
    scene.fail([Try::Hangs]);
    let (_, hangs) = scene.publish();
    scene.run();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begun = scene.clock.monotonic();
    for _ in 0..10 {
        assert!(is_new(&answer(scene.publish().1).await));
    }
    assert_eq!(scene.clock.monotonic(), begun);
    assert!(is_new(&answer(hangs).await));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_panics_leaves_the_outcome_unknown_and_the_others_alone() {
    let mut scene = Scene::new();
    scene.fail([Try::Panics]);
    let doomed: Vec<_> = (0..3).map(|_| scene.publish()).collect();
    scene.run();
    for (_, answered) in doomed {
        let answer = answer(answered).await;
        assert!(
            matches!(answer, Err(IntakeError::OutcomeUnknown(_))),
            "{answer:?}"
        );
    }
    assert_eq!(scene.waiting.rows(), 0, "their room is given back");
    assert_eq!(scene.engine.status().memory_rows, 0);
    assert!(is_new(&answer(scene.publish().1).await));
}

#[tokio::test(start_paused = true)]
async fn who_went_away_is_not_written() {
    let mut scene = Scene::new();
    let (_, stays) = scene.publish();
    drop(scene.publish());
    scene.run();
    assert!(is_new(&answer(stays).await));
    assert_eq!((scene.sizes(), scene.waiting.rows()), (vec![1], 0));
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_everybody_who_was_let_in_is_answered_and_nobody_else_is_let_in() {
    let mut scene = Scene::with(IntakeOptions {
        batch_rows: 10,
        ..IntakeOptions::default()
    });
    scene.fail([Try::Unavailable, Try::Unavailable]);
    let published: Vec<_> = (0..95).map(|_| scene.publish()).collect();
    scene.shutdown.cancel();
    scene.run();
    scene.ended().await;
    for (_, answered) in published {
        assert!(is_new(&answer(answered).await));
    }
    let late = scene.try_to_push(keyed(1, 1, 1));
    assert!(matches!(late, Err(IntakeError::Full)));
}

mockall::mock! {
    Writer {}
    #[async_trait]
    impl MessageWriter for Writer {
        async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;
        async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;
        async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_vanished_key_stood_in_the_way_of_is_written_again_in_a_round_of_its_own() {
    let scene = Scene::new();
    let (mut writer, mut order) = (MockWriter::new(), mockall::Sequence::new());
    let stored = Written::Stored { endpoints_version: 1 };
    let script = [
        (vec![1, 4], Ok(vec![Written::Again, stored])),
        // Its follower waits for the round after that.
        (
            vec![1],
            Err(WriteError::Unavailable(StoreError::Unavailable("away".into()))),
        ),
        (vec![1], Ok(vec![Written::KeyConflict])),
        (vec![2], Ok(vec![Written::Replayed(id(9))])),
    ];
    for (ids, answer) in script {
        let expected: Vec<_> = ids.into_iter().map(id).collect();
        writer
            .expect_write()
            .times(1)
            .in_sequence(&mut order)
            .return_once(move |batch| {
                let ids: Vec<_> = batch.iter().map(|new| new.message.id).collect();
                assert_eq!(ids, expected);
                answer
            });
    }
    let (intake, handle) = Intake::new(
        Arc::new(writer),
        &scene.engine,
        scene.clock.clone(),
        IntakeOptions::default(),
    )
    .unwrap();
    let deadline = scene.clock.monotonic() + DEADLINE;
    let news = [keyed(1, 7, 1), keyed(2, 7, 2), keyed(3, 7, 2), keyed(4, 8, 1)];
    let [first, second, third, other] = news.map(|new| handle.waiting.push(new, deadline, false).unwrap());
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    intake.run(shutdown).await;
    assert!(is_conflict(&answer(first).await));
    assert!(replays(&answer(second).await, 9) && replays(&answer(third).await, 9));
    assert!(is_new(&answer(other).await));
}
