use super::*;
use crate::composition::test_support::Written;
use postrider_application::audit::{Actor, ActorKind, AuditOutcome};
use postrider_domain::{AuditEntryId, TenantId, Timestamp};
use postrider_testkit::TokioClock;
use tokio::task::JoinSet;
use uuid::Uuid;

pub(super) fn denial(number: u128, target: &str) -> AuditEntry {
    AuditEntry {
        id: AuditEntryId::from_uuid(Uuid::from_u128(number)),
        tenant: Some(TenantId::from_uuid(Uuid::from_u128(1))),
        at: Timestamp::from_micros(0),
        actor: Actor {
            kind: ActorKind::User,
            id: "usr_1".into(),
        },
        action: "endpoint.create".into(),
        target: Some(target.to_owned()),
        outcome: AuditOutcome::Denied,
        times: 1,
        address: None,
        request_id: None,
    }
}

struct Running {
    denials: Denials,
    log: Arc<Written>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn over(log: Arc<Written>) -> Self {
        let (denials, shutdown, mut tasks) = (Denials::default(), CancellationToken::new(), JoinSet::new());
        let clock = Arc::new(TokioClock::of_this_machine());
        let writer = DenialWriter::new(&denials, log.clone(), clock);
        tasks.spawn(writer.run(shutdown.clone()));
        Self {
            denials,
            log,
            shutdown,
            tasks,
        }
    }

    async fn stop(mut self) -> Vec<Vec<AuditEntry>> {
        self.shutdown.cancel();
        assert!(self.tasks.join_next().await.unwrap().is_ok());
        self.log.audit.lock().unwrap().clone()
    }
}

/// Targets and times of what was written, batch by batch.
fn shown(batches: &[Vec<AuditEntry>]) -> Vec<Vec<(&str, u32)>> {
    batches
        .iter()
        .map(|batch| {
            batch
                .iter()
                .map(|entry| (entry.target.as_deref().unwrap(), entry.times))
                .collect()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn denials_alike_are_counted_and_written_once_a_second() {
    let running = Running::over(Arc::default());
    for number in 0..5 {
        running.denials.denied(denial(number, "a"));
    }
    running.denials.denied(denial(5, "b"));
    time::sleep(Duration::from_millis(999)).await;
    assert!(running.log.audit.lock().unwrap().is_empty());
    running.denials.denied(denial(6, "a"));
    time::sleep(Duration::from_millis(10)).await;
    running.denials.denied(denial(7, "a"));
    time::sleep(Duration::from_secs(2)).await;
    let written = running.stop().await;
    assert_eq!(shown(&written), [vec![("a", 6), ("b", 1)], vec![("a", 1)]]);
    assert_eq!(written[0][0].id, denial(0, "a").id, "the first of them says when");
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_said_once_a_minute() {
    let (denials, log) = (Denials::default(), Arc::new(Written::default()));
    let clock = Arc::new(TokioClock::of_this_machine());
    let mut writer = DenialWriter::new(&denials, log, clock);
    let drop_one = || denials.0.waiting().dropped += 1;
    drop_one();
    writer.write().await;
    assert_eq!(denials.0.waiting().dropped, 0, "said");
    drop_one();
    time::sleep(Duration::from_secs(59)).await;
    writer.write().await;
    assert_eq!(denials.0.waiting().dropped, 1, "not yet");
    drop_one();
    time::sleep(Duration::from_secs(1)).await;
    writer.write().await;
    assert_eq!(denials.0.waiting().dropped, 0, "both were said");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_tried_again_as_it_is() {
    let running = Running::over(Written::failing(2));
    running.denials.denied(denial(0, "a"));
    time::sleep(Duration::from_millis(1_500)).await;
    // Later ones follow in a batch of their own.
    running.denials.denied(denial(1, "a"));
    time::sleep(Duration::from_secs(6)).await;
    let written = running.log.audit.lock().unwrap().clone();
    assert_eq!(shown(&written), [[("a", 1)], [("a", 1)]]);
    assert_eq!(written[1][0].id, denial(1, "a").id);
    assert_eq!(running.denials.0.waiting().dropped, 0);
    assert_eq!(running.stop().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_though_nobody_heard_of_it_is_written_once_and_nothing_is_lost() {
    let running = Running::over(Written::unheard(1));
    running.denials.denied(denial(0, "a"));
    running.denials.denied(denial(1, "a"));
    time::sleep(Duration::from_secs(5)).await;
    // While the write hangs.
    running.denials.denied(denial(2, "a"));
    time::sleep(WRITE_TIMEOUT * 2).await;
    assert_eq!(running.denials.0.waiting().dropped, 0);
    assert_eq!(shown(&running.stop().await), [[("a", 2)], [("a", 1)]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_tried_so_often_and_then_counted_as_dropped() {
    let (denials, log) = (Denials::default(), Written::failing(TRIES as usize));
    let clock = Arc::new(TokioClock::of_this_machine());
    let mut writer = DenialWriter::new(&denials, log.clone(), clock);
    // It was said just now that some were dropped: the count is still there to be read.
    writer.complained_at = Some(writer.clock.monotonic());
    for number in 0..3 {
        denials.denied(denial(number, "a"));
    }
    denials.denied(denial(3, "b"));
    let mut pauses = Vec::new();
    for _ in 1..TRIES {
        writer.write().await;
        pauses.push(writer.failed.as_ref().unwrap().pause().as_secs());
        assert_eq!(denials.0.waiting().dropped, 0);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60]);
    writer.write().await;
    assert_eq!(denials.0.waiting().dropped, 4);
    denials.denied(denial(4, "c"));
    writer.write().await;
    let written = log.audit.lock().unwrap().clone();
    assert_eq!(shown(&written), [[("c", 1)]], "the next is not concerned");
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_is_left_and_waits_for_no_silent_database() {
    let running = Running::over(Arc::default());
    running.denials.denied(denial(0, "a"));
    assert_eq!(shown(&running.stop().await), [[("a", 1)]]);

    // What failed before, too.
    let running = Running::over(Written::failing(1));
    running.denials.denied(denial(0, "a"));
    time::sleep(Duration::from_millis(1_500)).await;
    running.denials.denied(denial(1, "b"));
    assert_eq!(shown(&running.stop().await), [[("a", 1)], [("b", 1)]]);

    let running = Running::over(Written::silent());
    running.denials.denied(denial(0, "a"));
    time::sleep(GATHER + WRITE_TIMEOUT + Duration::from_millis(500)).await;
    running.denials.denied(denial(1, "b"));
    let denials = running.denials.clone();
    let stopped = time::timeout(WRITE_TIMEOUT + Duration::from_secs(1), running.stop()).await;
    assert_eq!(stopped.unwrap(), Vec::<Vec<AuditEntry>>::new());
    assert_eq!(denials.0.waiting().dropped, 0, "and says that both were dropped");
}
