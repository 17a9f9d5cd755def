use std::sync::Mutex;

use super::*;
use async_trait::async_trait;
use postrider_application::{
    access::ApplicationScope,
    audit::AuditEntry,
    ports::{AcceptMessage, Accepted, IntakeError},
};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

mockall::mock! {
    Intake {}
    #[async_trait]
    impl MessageIntake for Intake {
        async fn accept(
            &self,
            scope: &ApplicationScope,
            message: AcceptMessage,
        ) -> Result<Accepted, IntakeError>;
        async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
    }
}

mockall::mock! {
    House {}
    #[async_trait]
    impl Housekeeping for House {
        async fn forget_expired(&self, limit: u32) -> Result<u32, StoreError>;
        async fn erase(&self, limit: u32, grace: Duration) -> Result<ErasureStep, StoreError>;
        async fn record_key_uses(&self, uses: &[(TenantId, ApiKeyId, Timestamp)]) -> Result<(), StoreError>;
        async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;
    }
}

const MINUTE: Duration = Duration::from_mins(1);

fn away<T>(_: ()) -> Result<T, StoreError> {
    Err(StoreError::Unavailable("away".into()))
}

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::nil())
}

fn removed() -> ErasureStep {
    ErasureStep::Removed {
        tenant: tenant(),
        rows: 10,
    }
}

fn idle_house() -> MockHouse {
    let mut house = MockHouse::new();
    house.expect_forget_expired().returning(|_| Ok(0));
    house.expect_erase().returning(|_, _| Ok(ErasureStep::Nothing));
    house
}

fn idle_intake() -> MockIntake {
    let mut intake = MockIntake::new();
    intake.expect_forget_expired_keys().returning(|_| Ok(0));
    intake
}

async fn run(intake: MockIntake, house: MockHouse, done: CancellationToken) {
    let chores = Chores::new(Arc::new(intake), Arc::new(house), ChoresOptions::default());
    let ended = time::timeout(Duration::from_hours(24), chores.run(done)).await;
    assert!(ended.is_ok(), "the script was not played to its end");
}

/// A house whose eraser plays `script`, one step a call, and ends the chores with the last; and when each step was.
fn scripted(
    script: Vec<Result<ErasureStep, StoreError>>,
    done: &CancellationToken,
) -> (MockHouse, Arc<Mutex<Vec<Duration>>>) {
    let (start, times) = (now(), Arc::new(Mutex::new(Vec::new())));
    let (mut house, mut script, done) = (MockHouse::new(), script.into_iter(), done.clone());
    let noted = times.clone();
    house.expect_forget_expired().returning(|_| Ok(0));
    house.expect_erase().returning(move |limit, grace| {
        assert_eq!((limit, grace), (BATCH, MINUTE));
        let mut noted = noted.lock().unwrap();
        noted.push(now() - start);
        let step = script.next().unwrap();
        if script.len() == 0 {
            done.cancel();
        }
        step
    });
    (house, times)
}

#[expect(clippy::disallowed_methods, reason = "the paused clock of these tests")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_round_goes_on_while_batches_are_full_and_survives_failures() {
    let (mut intake, mut order) = (MockIntake::new(), mockall::Sequence::new());
    let answers = [Ok(BATCH), Ok(BATCH), Ok(7), Err(()), Ok(0)];
    let last = answers.len();
    let done = CancellationToken::new();
    for (index, answer) in answers.into_iter().enumerate() {
        let done = done.clone();
        intake
            .expect_forget_expired_keys()
            .times(1)
            .in_sequence(&mut order)
            .return_once(move |limit| {
                assert_eq!(limit, BATCH);
                if index + 1 == last {
                    done.cancel();
                }
                answer.or_else(away)
            });
    }
    // Three rounds of a minute each: three batches, a failure, nothing left.
    run(intake, idle_house(), done).await;
}

#[tokio::test(start_paused = true)]
async fn expired_identities_are_forgotten_too_though_the_keys_fail() {
    let (mut intake, mut house, mut order) = (MockIntake::new(), MockHouse::new(), mockall::Sequence::new());
    intake.expect_forget_expired_keys().returning(|_| away(()));
    house.expect_erase().returning(|_, _| Ok(ErasureStep::Nothing));
    let done = CancellationToken::new();
    for (answer, last) in [(Ok(BATCH), false), (Err(()), false), (Ok(3), true)] {
        let done = done.clone();
        house
            .expect_forget_expired()
            .times(1)
            .in_sequence(&mut order)
            .return_once(move |limit| {
                assert_eq!(limit, BATCH);
                if last {
                    done.cancel();
                }
                answer.or_else(away)
            });
    }
    run(intake, house, done).await;
}

#[tokio::test(start_paused = true)]
async fn an_erasure_goes_on_after_short_pauses_until_nothing_is_left() {
    let done = CancellationToken::new();
    let mut script: Vec<_> = (0..ERASE_STEPS + 2).map(|_| Ok(removed())).collect();
    script.push(Ok(ErasureStep::Erased {
        tenant: tenant(),
        rows: vec![("messages".to_owned(), 10)],
    }));
    script.push(Ok(ErasureStep::Nothing));
    script.push(Ok(ErasureStep::Nothing));
    let (house, times) = scripted(script, &done);
    run(idle_intake(), house, done).await;
    let times = times.lock().unwrap();
    let (first, second) = times.split_at(ERASE_STEPS as usize);
    assert!(first.iter().all(|at| *at == MINUTE), "{first:?}");
    let (second, third) = second.split_at(4);
    assert!(second.iter().all(|at| *at == MINUTE + ERASE_PAUSE), "{second:?}");
    assert_eq!(third, [MINUTE + ERASE_PAUSE + MINUTE], "then it rests");
}

#[tokio::test(start_paused = true)]
async fn an_eraser_rests_where_another_node_is_at_it_or_the_database_is_away() {
    let done = CancellationToken::new();
    let script = vec![
        Ok(removed()),
        Ok(ErasureStep::Busy),
        Ok(removed()),
        away(()),
        Ok(ErasureStep::Nothing),
    ];
    let (house, times) = scripted(script, &done);
    run(idle_intake(), house, done).await;
    let rounds = [1, 1, 2, 2, 3].map(|round| MINUTE * round);
    assert_eq!(*times.lock().unwrap(), rounds);
}

#[tokio::test(start_paused = true)]
async fn an_endless_erasure_holds_up_no_forgetting() {
    let (mut intake, mut house) = (MockIntake::new(), MockHouse::new());
    let done = CancellationToken::new();
    house.expect_forget_expired().returning(|_| Ok(0));
    house.expect_erase().returning(|_, _| Ok(removed()));
    let (token, mut rounds) = (done.clone(), 0);
    intake.expect_forget_expired_keys().returning(move |_| {
        rounds += 1;
        if rounds == 3 {
            token.cancel();
        }
        Ok(0)
    });
    run(intake, house, done).await;
}
