use super::*;
use crate::composition::test_support::Written;
use postrider_application::audit::{ActorKind, AuditOutcome};
use postrider_domain::{AuditEntryId, Timestamp};
use postrider_testkit::TokioClock;
use tokio::task::JoinSet;
use uuid::Uuid;

fn denial(number: u128, target: &str) -> AuditEntry {
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
async fn others_are_not_alike() {
    let running = Running::over(Arc::default());
    let plain = denial(0, "a");
    let actor = Actor {
        kind: ActorKind::ApiKey,
        ..plain.actor.clone()
    };
    for other in [
        plain.clone(),
        AuditEntry {
            tenant: None,
            ..plain.clone()
        },
        AuditEntry {
            actor,
            ..plain.clone()
        },
        AuditEntry {
            action: "endpoint.get".into(),
            ..plain.clone()
        },
        AuditEntry {
            target: None,
            ..plain
        },
    ] {
        running.denials.denied(other);
    }
    let written = running.stop().await;
    assert_eq!((written.len(), written[0].len()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_bounded_and_what_is_alike_still_counts() {
    let running = Running::over(Arc::default());
    for number in 0..5_000 {
        running.denials.denied(denial(number, &number.to_string()));
    }
    running.denials.denied(denial(9_999, "0"));
    assert_eq!(running.denials.0.waiting().dropped, 5_000 - MAX_WAITING as u64);
    let written = running.stop().await;
    assert_eq!(written[0].len(), MAX_WAITING);
    assert_eq!(shown(&written)[0][0], ("0", 2));
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
async fn what_cannot_be_written_is_tried_again() {
    let running = Running::over(Written::failing(2));
    running.denials.denied(denial(0, "a"));
    time::sleep(Duration::from_millis(1_500)).await;
    running.denials.denied(denial(1, "a"));
    time::sleep(Duration::from_secs(5)).await;
    let written = running.stop().await;
    assert_eq!(shown(&written), [vec![("a", 2)]]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_is_left_and_waits_for_no_silent_database() {
    let running = Running::over(Arc::default());
    running.denials.denied(denial(0, "a"));
    assert_eq!(shown(&running.stop().await), [vec![("a", 1)]]);

    let running = Running::over(Written::silent());
    running.denials.denied(denial(0, "a"));
    let stopped = time::timeout(2 * WRITE_TIMEOUT, running.stop()).await;
    assert_eq!(stopped.unwrap(), Vec::<Vec<AuditEntry>>::new());
}
