//! Endpoints made at one node, each with a message published at once at the other.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::json;

use crate::conformance::ground::{self, Ground, publish};
use crate::conformance::recorder::Recorder;
use crate::conformance::statistics::Durations;
use crate::interrupt;

/// Less than the product allows for an application.
const ENDPOINTS_OF_AN_APPLICATION: u32 = 50;
const ARRIVES_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(2);

/// Makes them all, then waits for all.
pub(super) fn run(ground: &Ground, trials: u32) -> anyhow::Result<()> {
    let recorder = Recorder::start(Duration::ZERO)?;
    let (mut here, mut there) = (ground.client(0), ground.client(1));
    let mut application = String::new();
    let mut expected: BTreeMap<String, (String, Instant)> = BTreeMap::new();
    for trial in 0..trials {
        interrupt::check()?;
        if trial.is_multiple_of(ENDPOINTS_OF_AN_APPLICATION) {
            application = ground::application(&mut here, &format!("Barrier {trial}"))?;
            // From now on the second node knows the application's endpoints: none.
            publish(&mut there, &application, "barrier.warm")?;
        }
        let (event_type, path) = (format!("barrier.trial_{trial}"), format!("/created/{trial}"));
        here.create(
            &format!("/v1/applications/{application}/endpoints"),
            &json!({ "url": recorder.url(&path), "event_types": [event_type] }),
        )?;
        let message = publish(&mut there, &application, &event_type)?;
        expected.insert(path, (message, Instant::now()));
    }
    let took = await_all(&recorder, expected)?;
    println!(
        "{trials} endpoints made at one node, a message published at once at the other: all delivered; {took}"
    );
    Ok(())
}

/// Waits until each path has got its message; from the publish's answer to each.
fn await_all(
    recorder: &Recorder,
    mut expected: BTreeMap<String, (String, Instant)>,
) -> anyhow::Result<Durations> {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    let trials = expected.len();
    let mut took = Vec::new();
    let mut seen = 0;
    while !expected.is_empty() {
        interrupt::check()?;
        let news = recorder.since(seen);
        seen += news.len();
        for record in news {
            let Some((message, published)) = expected.remove(&record.path) else {
                bail!("{} got another message: {}", record.path, record.id());
            };
            ensure!(
                message == record.id(),
                "{} got {}, not {message}",
                record.path,
                record.id()
            );
            took.push(record.began.saturating_duration_since(published));
        }
        if Instant::now() >= deadline {
            bail!(
                "{} of {trials} messages were not delivered, {:?} for one",
                expected.len(),
                expected.first_key_value()
            );
        }
        thread::sleep(POLL);
    }
    Ok(Durations::of(took))
}
