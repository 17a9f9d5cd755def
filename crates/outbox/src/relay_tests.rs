use super::*;
use crate::{
    SubscriberError,
    test_support::{Does, LONG, Log, Recorder, Running, Tries, now, options, recorder, unpolled},
};
use async_trait::async_trait;
use postrider_application::ports::LoggedEvent;
use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::{Notify, mpsc};

#[tokio::test(start_paused = true)]
async fn events_come_in_commit_order_from_the_head_on() {
    let log = Arc::<Log>::default();
    log.append("old.one");
    log.append("old.two");
    let (subscriber, mut tries) = recorder("a", Does::Takes);
    let relay = Running::start(&log, &[&subscriber], options()).await;
    // More than two batches at once, then one more.
    (0..8).for_each(|_| {
        log.append("new");
    });
    assert_eq!(tries.positions(8).await, (3..=10).collect::<Vec<_>>());
    log.append("new");
    assert_eq!(tries.positions(1).await, [11]);
    relay.stop().await;
    assert!(tries.no_more(), "each was told once");
}

#[tokio::test(start_paused = true)]
async fn only_wanted_kinds_are_told_and_the_others_do_not_hold_it_up() {
    let log = Arc::<Log>::default();
    let (tries, seen) = mpsc::unbounded_channel();
    let wants = |kind: &str| kind == "session.ended";
    let subscriber = Arc::new(Recorder {
        name: "a",
        wants,
        does: Mutex::new(Does::Takes),
        tries,
    });
    let relay = Running::start(&log, &[&subscriber], options()).await;
    for kind in [
        "x",
        "x",
        "x",
        "session.ended",
        "x",
        "x",
        "x",
        "x",
        "session.ended",
    ] {
        log.append(kind);
    }
    assert_eq!(Tries(seen).positions(2).await, [4, 9]);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_heard_at_once_and_polling_is_the_net() {
    let log = Arc::<Log>::default();
    let (subscriber, mut tries) = recorder("a", Does::Takes);
    let relay = Running::start(&log, &[&subscriber], unpolled()).await;
    for position in 1..=3 {
        let committed = now();
        log.append("x");
        relay.signal.wake();
        assert_eq!(tries.0.recv().await.unwrap(), (position, committed));
    }
    relay.stop().await;

    let relay = Running::start(&log, &[&subscriber], options()).await;
    let started = now();
    // Let it read the empty rest first; then another node commits, and nobody tells.
    tokio::time::sleep(Duration::from_millis(300)).await;
    log.append("x");
    assert_eq!(
        tries.0.recv().await.unwrap(),
        (4, started + Duration::from_secs(1))
    );
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_the_work_is_not_lost() {
    /// Commits another event and wakes the relay while it handles one.
    struct Commits {
        log: Arc<Log>,
        signal: Mutex<Option<RelaySignal>>,
        done: Notify,
    }

    #[async_trait]
    impl Subscriber for Commits {
        fn name(&self) -> &'static str {
            "commits"
        }

        fn wants(&self, _: &str) -> bool {
            true
        }

        async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
            if event.position < 5 {
                self.log.append("x");
                self.signal.lock().unwrap().as_ref().unwrap().wake();
            } else {
                self.done.notify_one();
            }
            Ok(())
        }
    }

    let log = Arc::<Log>::default();
    let commits = Arc::new(Commits {
        log: log.clone(),
        signal: Mutex::default(),
        done: Notify::new(),
    });
    let relay = Relay::at_head(log.clone(), vec![commits.clone()], unpolled())
        .await
        .unwrap();
    *commits.signal.lock().unwrap() = Some(relay.signal());
    let (started, shutdown, mut task) = (now(), CancellationToken::new(), JoinSet::new());
    log.append("x");
    task.spawn(relay.run(shutdown.clone()));
    commits.done.notified().await;
    assert_eq!(now(), started);
    shutdown.cancel();
    task.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failing_subscriber_recovers_without_skipping_and_holds_up_only_itself() {
    let log = Arc::<Log>::default();
    let (failing, mut its_tries) = recorder("failing", Does::FailsTimes(3));
    let (sound, mut sound_tries) = recorder("sound", Does::Takes);
    let relay = Running::start(&log, &[&failing, &sound], unpolled()).await;
    let started = now();
    (0..5).for_each(|_| {
        log.append("x");
    });
    relay.signal.wake();
    for position in 1..=5 {
        assert_eq!(sound_tries.0.recv().await.unwrap(), (position, started));
    }
    // Three failures of the first event with growing pauses, its success, then the others, none skipped.
    let mut pauses = Vec::new();
    for expected in [1, 1, 1, 1, 2, 3, 4, 5] {
        let (position, at) = its_tries.0.recv().await.unwrap();
        assert_eq!(position, expected);
        pauses.push((at - started).as_millis());
    }
    assert_eq!(pauses, [0, 100, 300, 700, 700, 700, 700, 700]);
    relay.stop().await;
    assert!(its_tries.no_more() && sound_tries.no_more());
}

#[tokio::test(start_paused = true)]
async fn pauses_are_capped() {
    let log = Arc::<Log>::default();
    let (failing, mut tries) = recorder("failing", Does::FailsTimes(u32::MAX));
    let relay = Running::start(&log, &[&failing], unpolled()).await;
    log.append("x");
    relay.signal.wake();
    let mut last = now();
    for _ in 0..8 {
        last = tries.0.recv().await.unwrap().1;
    }
    for _ in 0..5 {
        let (position, at) = tries.0.recv().await.unwrap();
        assert_eq!((position, at - last), (1, RelayOptions::default().retry_cap));
        last = at;
    }
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_hangs_is_tried_again() {
    let log = Arc::<Log>::default();
    let (hanging, mut tries) = recorder("hanging", Does::HangsTimes(1));
    let relay = Running::start(&log, &[&hanging], unpolled()).await;
    let started = now();
    log.append("x");
    relay.signal.wake();
    assert_eq!(tries.0.recv().await.unwrap(), (1, started));
    let again = started + RelayOptions::default().handle_timeout + RelayOptions::default().retry_first;
    assert_eq!(tries.0.recv().await.unwrap(), (1, again));
    relay.stop().await;
    assert!(tries.no_more());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_for_a_while_loses_nothing() {
    let log = Arc::<Log>::default();
    let (subscriber, mut tries) = recorder("a", Does::Takes);
    log.failing_reads.store(2, Ordering::SeqCst);
    let relay = Running::start(&log, &[&subscriber], unpolled()).await;
    let started = now();
    log.append("x");
    log.append("x");
    let at = started + Duration::from_millis(300);
    assert_eq!(tries.0.recv().await.unwrap(), (1, at));
    assert_eq!(tries.0.recv().await.unwrap(), (2, at));
    assert_eq!(log.reads.load(Ordering::SeqCst), 3);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn idle_and_pausing_relays_stop_at_once() {
    let log = Arc::<Log>::default();
    let (idle, _) = recorder("idle", Does::Takes);
    let (failing, mut tries) = recorder("failing", Does::FailsTimes(u32::MAX));
    let slow = RelayOptions {
        retry_first: LONG,
        retry_cap: LONG,
        ..unpolled()
    };
    let relay = Running::start(&log, &[&idle, &failing], slow).await;
    log.append("x");
    relay.signal.wake();
    assert_eq!(tries.positions(1).await, [1]);
    let told = now();
    relay.stop().await;
    assert_eq!(now(), told);
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_event_at_hand_finish_and_begins_no_other() {
    /// Finishes when the test says so.
    struct Gated {
        begun: AtomicU32,
        started: Notify,
        may_finish: Notify,
        finished: Mutex<Vec<i64>>,
    }

    #[async_trait]
    impl Subscriber for Gated {
        fn name(&self) -> &'static str {
            "gated"
        }

        fn wants(&self, _: &str) -> bool {
            true
        }

        async fn handle(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.started.notify_one();
            self.may_finish.notified().await;
            self.finished.lock().unwrap().push(event.position);
            Ok(())
        }
    }

    let log = Arc::<Log>::default();
    let gated = Arc::new(Gated {
        begun: AtomicU32::new(0),
        started: Notify::new(),
        may_finish: Notify::new(),
        finished: Mutex::default(),
    });
    let relay = Relay::at_head(log.clone(), vec![gated.clone()], unpolled())
        .await
        .unwrap();
    let (shutdown, mut task) = (CancellationToken::new(), JoinSet::new());
    (0..3).for_each(|_| {
        log.append("x");
    });
    task.spawn(relay.run(shutdown.clone()));
    gated.started.notified().await;
    shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(task.try_join_next().is_none(), "it waits for the event at hand");
    gated.may_finish.notify_one();
    task.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(*gated.finished.lock().unwrap(), [1]);
    assert_eq!(gated.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_relay_and_says_whose_it_was() {
    let log = Arc::<Log>::default();
    let (sound, mut tries) = recorder("sound", Does::Takes);
    let (panicking, _) = recorder("panicking", Does::Panics);
    let mut relay = Running::start(&log, &[&sound, &panicking], unpolled()).await;
    log.append("x");
    relay.signal.wake();
    let error = relay.ended().await.unwrap_err();
    assert!(matches!(error, RelayError::SubscriberPanicked(name) if name == "panicking"));
    assert_eq!(tries.positions(1).await, [1]);
    assert!(
        !relay.shutdown.is_cancelled(),
        "what the node does about it is not ours to decide"
    );
}

#[tokio::test]
async fn names_are_unique() {
    let ((a, _), (b, _)) = (recorder("a", Does::Takes), recorder("a", Does::Takes));
    let relay = Relay::at_head(Arc::<Log>::default(), vec![a, b], options()).await;
    assert!(matches!(relay, Err(RelayError::DuplicateSubscriber(name)) if name == "a"));
}

#[tokio::test(start_paused = true)]
async fn a_relay_without_subscribers_works_until_shutdown_too() {
    let mut relay = Running::start(&Arc::default(), &[], options()).await;
    let still_there = tokio::time::timeout(LONG, relay.task.join_next()).await;
    assert!(still_there.is_err());
    relay.stop().await;
}
