use std::time::Duration;

use futures_util::FutureExt as _;

use super::{
    testing::{Answered, new_message},
    waiting::Pending,
    *,
};

const MIB: usize = 1 << 20;
const NEVER: Duration = Duration::MAX;

fn waiting(options: IntakeOptions) -> Arc<Waiting> {
    options.validate().unwrap();
    Arc::new(Waiting::new(&options))
}

/// Room for 16 messages.
fn small() -> Arc<Waiting> {
    waiting(IntakeOptions {
        max_rows: 16,
        ..IntakeOptions::default()
    })
}

fn push(waiting: &Arc<Waiting>, of: u128, bytes: usize) -> Result<Answered, IntakeError> {
    waiting.push(new_message(1, of, bytes), NEVER, false)
}

/// Pushes until it is refused: how many there were, and why no more.
fn fill(waiting: &Arc<Waiting>, of: u128, bytes: usize) -> (Vec<Answered>, IntakeError) {
    let mut answered = Vec::new();
    loop {
        match push(waiting, of, bytes) {
            Ok(one) => answered.push(one),
            Err(error) => return (answered, error),
        }
    }
}

fn take(waiting: &Waiting) -> Vec<Pending> {
    waiting.take().now_or_never().unwrap().unwrap()
}

#[test]
fn a_lone_tenant_has_three_quarters_and_one_among_others_a_quarter() {
    let waiting = small();
    let (first, why) = fill(&waiting, 1, 1);
    assert!(matches!(why, IntakeError::ShareExceeded));
    assert_eq!(first.len(), 12);
    // Who comes then finds room, and has no more than a share either.
    let (second, why) = fill(&waiting, 2, 1);
    assert!(matches!(why, IntakeError::Full), "{why:?}");
    assert_eq!(second.len(), 4);
    assert!(matches!(push(&waiting, 3, 1), Err(IntakeError::Full)));
    assert_eq!(waiting.rows(), 16);
}

#[test]
fn while_others_wait_the_share_is_a_quarter() {
    let waiting = small();
    let _one = push(&waiting, 9, 1).unwrap();
    for tenant in 1..4 {
        let (answered, why) = fill(&waiting, tenant, 1);
        assert_eq!(answered.len(), 4);
        assert!(matches!(why, IntakeError::ShareExceeded), "{why:?}");
        std::mem::forget(answered);
    }
    assert_eq!(waiting.rows(), 13);
}

#[test]
fn bytes_have_the_same_shares() {
    let waiting = waiting(IntakeOptions {
        max_bytes: 4 * MIB,
        ..IntakeOptions::default()
    });
    // Each with a little overhead.
    let (first, why) = fill(&waiting, 1, MIB / 4);
    assert!(matches!(why, IntakeError::ShareExceeded));
    assert_eq!(first.len(), 11);
    let (second, why) = fill(&waiting, 2, MIB / 8);
    assert!(matches!(why, IntakeError::ShareExceeded), "{why:?}");
    assert_eq!(second.len(), 7);
    assert!(matches!(push(&waiting, 3, MIB), Err(IntakeError::Full)));
    assert!(push(&waiting, 3, 7).is_ok());
}

#[test]
fn what_is_longer_than_a_share_finds_room_alone() {
    let waiting = waiting(IntakeOptions {
        max_bytes: 2 * MIB,
        ..IntakeOptions::default()
    });
    let _other = push(&waiting, 9, 1).unwrap();
    // A quarter is half a mebibyte.
    assert!(push(&waiting, 1, MIB).is_ok());
    assert!(matches!(push(&waiting, 1, 1), Err(IntakeError::ShareExceeded)));
    assert!(matches!(push(&waiting, 2, MIB), Err(IntakeError::Full)));
    drop(take(&waiting));
    assert_eq!(waiting.rows(), 0);
    // Longer than everything: only when nobody else is there.
    assert!(push(&waiting, 1, 3 * MIB).is_ok());
    assert!(matches!(push(&waiting, 2, 1), Err(IntakeError::Full)));
    assert_eq!(take(&waiting).len(), 1);
}

#[test]
fn room_is_taken_until_the_answer_whoever_goes_away() {
    let waiting = small();
    let (callers, _) = fill(&waiting, 1, 1);
    let batch = take(&waiting);
    assert_eq!((batch.len(), waiting.rows()), (12, 12), "under way they count");
    assert!(matches!(push(&waiting, 1, 1), Err(IntakeError::ShareExceeded)));
    drop(callers);
    assert!(batch.iter().all(Pending::is_abandoned));
    assert_eq!(waiting.rows(), 12);
    let mut batch = batch.into_iter();
    // Answered or dropped, as by a panic: it is the same.
    batch.next().unwrap().answer(Ok(Accepted::New));
    drop(batch.next());
    assert_eq!(waiting.rows(), 10);
    drop(batch);
    assert_eq!(waiting.rows(), 0);
    assert_eq!(fill(&waiting, 2, 1).0.len(), 12, "the shares are free again too");
}

#[test]
fn batches_are_bounded_by_rows_and_bytes_and_keep_the_order() {
    let waiting = waiting(IntakeOptions {
        batch_rows: 3,
        batch_bytes: MIB,
        ..IntakeOptions::default()
    });
    let sizes = [1, 1, 1, 1, MIB / 2, MIB / 2, 2 * MIB, 1];
    let _callers: Vec<_> = sizes
        .iter()
        .map(|bytes| push(&waiting, 1, *bytes).unwrap())
        .collect();
    let mut batches = Vec::new();
    for _ in 0..5 {
        let of = |pending: Pending| pending.new.message.payload.bytes().len();
        batches.push(take(&waiting).into_iter().map(of).collect::<Vec<_>>());
    }
    let expected = [
        vec![1, 1, 1],
        vec![1, MIB / 2],
        vec![MIB / 2],
        vec![2 * MIB],
        vec![1],
    ];
    assert_eq!(batches, expected);
}

#[tokio::test(start_paused = true)]
async fn every_committer_is_woken_while_there_is_more_and_at_the_end() {
    let waiting = waiting(IntakeOptions {
        batch_rows: 1,
        ..IntakeOptions::default()
    });
    let mut committers = JoinSet::new();
    for _ in 0..3 {
        let waiting = Arc::clone(&waiting);
        committers.spawn(async move {
            let mut taken = 0;
            while let Some(batch) = waiting.take().await {
                taken += batch.len();
                // So that the others are needed.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            taken
        });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let callers: Vec<_> = (0..6).map(|_| push(&waiting, 1, 1).unwrap()).collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(waiting.rows(), 3, "three at a time");
    waiting.close();
    assert!(matches!(push(&waiting, 2, 1), Err(IntakeError::Full)));
    let taken: Vec<usize> = committers.join_all().await;
    assert_eq!(taken.iter().sum::<usize>(), 6);
    assert_eq!(waiting.rows(), 0);
    drop(callers);
}

#[tokio::test(start_paused = true)]
async fn late_callers_are_answered_and_not_written() {
    let mut scene = testing::Scene::new();
    let (_, late) = scene.publish();
    tokio::time::sleep(testing::DEADLINE).await;
    let (_, in_time) = scene.publish();
    scene.run();
    let late = testing::answer(late).await;
    assert!(
        matches!(late, Err(IntakeError::Store(StoreError::Unavailable(_)))),
        "{late:?}"
    );
    assert!(testing::is_new(&testing::answer(in_time).await));
    assert_eq!(scene.sizes(), [1]);
}
