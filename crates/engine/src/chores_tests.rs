use std::sync::Mutex;

use super::*;
use async_trait::async_trait;
use postrider_application::{
    audit::AuditEntry,
    ports::{FailingEndpoint, NewMessage, WriteError, Written},
};
use postrider_domain::{ApiKeyId, ApplicationId, EndpointId, TenantId, Timestamp, Version};
use tokio::time::Instant;
use uuid::Uuid;

mockall::mock! {
    Writer {}
    #[async_trait]
    impl MessageWriter for Writer {
        async fn write(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;
        async fn write_all(&self, batch: &[NewMessage]) -> Result<Vec<Written>, WriteError>;
        async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
    }
}

mockall::mock! {
    History {}
    #[async_trait]
    impl Partitions for History {
        async fn make_ahead(&self, ahead: Duration) -> Result<u32, StoreError>;
    }
}

mockall::mock! {
    Health {}
    #[async_trait]
    impl EndpointHealth for Health {
        async fn failing_for(
            &self,
            at_least: Duration,
            limit: u32,
        ) -> Result<Vec<FailingEndpoint>, StoreError>;
    }
}

mockall::mock! {
    Guard {}
    #[async_trait]
    impl EndpointGuard for Guard {
        async fn disable(
            &self,
            tenant: TenantId,
            application: ApplicationId,
            endpoint: EndpointId,
            why: DisableReason,
            seen: Option<Version>,
        ) -> Result<Change, StoreError>;
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

pub(super) const MINUTE: Duration = Duration::from_mins(1);

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

fn idle_writer() -> MockWriter {
    let mut writer = MockWriter::new();
    writer.expect_forget_expired_keys().returning(|_| Ok(0));
    writer
}

fn idle_history() -> MockHistory {
    let mut history = MockHistory::new();
    history.expect_make_ahead().returning(|_| Ok(0));
    history
}

fn idle_health() -> MockHealth {
    let mut health = MockHealth::new();
    health.expect_failing_for().returning(|_, _| Ok(Vec::new()));
    health
}

fn ports(writer: MockWriter, house: MockHouse) -> ChoresPorts {
    ChoresPorts {
        writer: Arc::new(writer),
        housekeeping: Arc::new(house),
        partitions: Arc::new(idle_history()),
        health: Arc::new(idle_health()),
        guard: Arc::new(MockGuard::new()),
        clock: Arc::new(postrider_testkit::memory::TestClock::new()),
    }
}

/// Ports behind which there is nothing to be done.
pub(super) fn idle_ports() -> ChoresPorts {
    ports(idle_writer(), idle_house())
}

async fn run(writer: MockWriter, house: MockHouse, done: CancellationToken) {
    run_with(ports(writer, house), ChoresOptions::default(), done).await;
}

pub(super) async fn run_with(ports: ChoresPorts, options: ChoresOptions, done: CancellationToken) {
    let chores = Chores::new(ports, options);
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
    let (mut writer, mut order) = (MockWriter::new(), mockall::Sequence::new());
    let answers = [Ok(BATCH), Ok(BATCH), Ok(7), Err(()), Ok(0)];
    let last = answers.len();
    let done = CancellationToken::new();
    for (index, answer) in answers.into_iter().enumerate() {
        let done = done.clone();
        writer
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
    run(writer, idle_house(), done).await;
}

#[tokio::test(start_paused = true)]
async fn expired_identities_are_forgotten_too_though_the_keys_fail() {
    let (mut writer, mut house, mut order) = (MockWriter::new(), MockHouse::new(), mockall::Sequence::new());
    writer.expect_forget_expired_keys().returning(|_| away(()));
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
    run(writer, house, done).await;
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
    run(idle_writer(), house, done).await;
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
    run(idle_writer(), house, done).await;
    let rounds = [1, 1, 2, 2, 3].map(|round| MINUTE * round);
    assert_eq!(*times.lock().unwrap(), rounds);
}

#[tokio::test(start_paused = true)]
async fn an_endless_erasure_holds_up_no_forgetting() {
    let (mut writer, mut house) = (MockWriter::new(), MockHouse::new());
    let done = CancellationToken::new();
    house.expect_forget_expired().returning(|_| Ok(0));
    house.expect_erase().returning(|_, _| Ok(removed()));
    let (token, mut rounds) = (done.clone(), 0);
    writer.expect_forget_expired_keys().returning(move |_| {
        rounds += 1;
        if rounds == 3 {
            token.cancel();
        }
        Ok(0)
    });
    run(writer, house, done).await;
}

#[tokio::test(start_paused = true)]
async fn partitions_are_made_at_once_and_again_after_a_failure() {
    let done = CancellationToken::new();
    let (start, times) = (now(), Arc::new(Mutex::new(Vec::new())));
    let mut history = MockHistory::new();
    let (mut answers, noted, token) = (
        [Ok(3), Err(()), Ok(0), Ok(1)].into_iter(),
        Arc::clone(&times),
        done.clone(),
    );
    history.expect_make_ahead().times(4).returning(move |ahead| {
        assert_eq!(ahead, Duration::from_hours(7 * 24));
        noted.lock().unwrap().push(now() - start);
        let answer = answers.next().unwrap();
        if answers.len() == 0 {
            token.cancel();
        }
        answer.or_else(away)
    });
    let ports = ChoresPorts {
        partitions: Arc::new(history),
        ..idle_ports()
    };
    run_with(ports, ChoresOptions::default(), done).await;
    let expected = [0, 1, 2, 3].map(|round| MINUTE * round);
    assert_eq!(*times.lock().unwrap(), expected);
}

/// At version `n`.
fn failing(n: u32, lasted: Duration) -> FailingEndpoint {
    let since = Timestamp::from_micros(0);
    FailingEndpoint {
        tenant: tenant(),
        application: ApplicationId::from_uuid(Uuid::from_u128(7)),
        endpoint: EndpointId::from_uuid(Uuid::from_u128(n.into())),
        version: Version(n),
        since,
        last_at: since.plus(lasted),
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_only_failed_for_long_enough_are_disabled_and_no_others() {
    const FIVE_DAYS: Duration = FailingPolicy::DEFAULT_DISABLE_AFTER;
    let done = CancellationToken::new();
    let (mut health, mut guard) = (MockHealth::new(), MockGuard::new());
    // The second is named too early.
    let found = vec![
        failing(1, FIVE_DAYS),
        failing(2, FIVE_DAYS.checked_sub(MINUTE).unwrap()),
        failing(3, FIVE_DAYS * 2),
    ];
    let mut rounds = [Ok(vec![]), Err(()), Ok(found)].into_iter();
    health.expect_failing_for().returning(move |at_least, limit| {
        assert_eq!((at_least, limit), (FIVE_DAYS, FAILING_AT_ONCE));
        rounds.next().unwrap_or(Ok(vec![])).or_else(away)
    });
    let (disabled, token) = (Arc::new(Mutex::new(Vec::new())), done.clone());
    let noted = Arc::clone(&disabled);
    guard
        .expect_disable()
        .times(2)
        .returning(move |whose, application, endpoint, why, seen| {
            assert_eq!(
                (whose, application),
                (tenant(), failing(1, FIVE_DAYS).application)
            );
            assert_eq!(why, DisableReason::Failing);
            let mut noted = noted.lock().unwrap();
            noted.push((endpoint, seen));
            if noted.len() == 2 {
                token.cancel();
            }
            Ok(Change::Made)
        });
    let ports = ChoresPorts {
        health: Arc::new(health),
        guard: Arc::new(guard),
        ..idle_ports()
    };
    run_with(ports, ChoresOptions::default(), done).await;
    let expected = [1, 3].map(|n| (failing(n, FIVE_DAYS).endpoint, Some(Version(n))));
    assert_eq!(*disabled.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_disabled_where_nobody_is_to_be() {
    let done = CancellationToken::new();
    let mut health = MockHealth::new();
    health.expect_failing_for().never();
    let ports = ChoresPorts {
        health: Arc::new(health),
        ..idle_ports()
    };
    let options = ChoresOptions {
        failing: FailingPolicy::NEVER,
        ..ChoresOptions::default()
    };
    let end = done.clone();
    tokio::join!(run_with(ports, options, done), async move {
        time::sleep(MINUTE * 10).await;
        end.cancel();
    });
}
