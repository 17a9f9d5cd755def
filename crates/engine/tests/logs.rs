//! What the engine logs when everything goes wrong, and what it does not.
//!
//! In a binary of its own, as the traces are: who listens is the affair of the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    io,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use postrider_application::ports::WorkSignal as _;
use postrider_domain::deliveries::CapturedBody;
use postrider_testkit::Answer;
use support::{
    faulty::{Fault, Op},
    secrets::{URL, tells_no_secret},
    world::World,
};
use tracing_subscriber::fmt::format::FmtSpan;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const A_MOMENT: Duration = Duration::from_secs(2);

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_is_logged_without_urls_payloads_answers_and_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    world.endpoint(URL).await;
    let body = CapturedBody {
        bytes: b"said in confidence".to_vec(),
        ..CapturedBody::default()
    };
    world.sender.script(
        URL,
        [Answer::WithBody(500, body.clone()), Answer::WithBody(410, body)],
    );
    for (op, fault) in [
        (Op::Claim, Fault::Before),
        (Op::Messages, Fault::Before),
        (Op::Settle, Fault::After),
    ] {
        world.faults.plan(op, [fault]);
    }
    let engine = world.start();
    world.faults.no_secrets.store(true, Ordering::SeqCst);
    let message = world.publish_traced(PARENT).await;
    engine.handle.work_queued();
    tokio::time::sleep(A_MOMENT).await;
    world.faults.no_secrets.store(false, Ordering::SeqCst);
    world.sender.sent(2).await;
    world.settled_within(A_MOMENT).await;
    assert_eq!(world.statuses(message).await, ["failed"]);
    engine.begin_shutdown();
    engine.ended().await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "connection reset",
        "cannot read messages and endpoints",
        "nothing can be sent",
        "a settle failed",
        "one.example",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    tells_no_secret(&text);
}
