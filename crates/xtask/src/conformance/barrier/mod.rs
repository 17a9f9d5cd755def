//! Two nodes: after a disable is answered neither begins an attempt, and an endpoint made on one is known to the other.
//!
//! What begins when is seen by the receiver: a request begins when its first byte is there. A byte that was sent just
//! before the answer may be seen just after it. How long that takes is measured while the trials run, by requests of
//! our own to the same receiver: an attempt is late if it is seen later after the answer than the slowest of them took.
//! Each that is seen after the answer at all is looked up: the time at which the product says that it began must be
//! before the answer as well.

mod created;
mod time;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use serde_json::json;

use super::check::hold;
use super::ground::{self, Ground, publish};
use super::recorder::{Record, Recorder};
use super::stage::Stage;
use super::statistics::Durations;
use crate::chance::Dice;
use crate::http::Client as Prober;
use crate::interrupt;
use crate::tenancy::client::text;

/// Between two messages of each of the two publishers.
const STEADY: Duration = Duration::from_millis(5);
const PROBE: Duration = Duration::from_millis(10);
/// How long after a disable nothing may come.
const WATCH: Duration = Duration::from_millis(150);
/// Every so often for longer: what a node looks up only now and then would come late.
const LONG_WATCH: Duration = Duration::from_secs(2);
const LONG_WATCH_EVERY: u32 = 50;
const FLOWS_WITHIN: Duration = Duration::from_secs(20);
const LISTED_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
const STEADY_PATH: &str = "/steady";
const PROBE_PATH: &str = "/probe";

/// Runs on two nodes.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let trials = stage.options.trials;
    let seed = stage.seed()?;
    stage.two_nodes(&[], |_, ground| {
        disabled(ground, trials, seed)?;
        created::run(ground, trials)
    })
}

/// Where messages flow while an endpoint is disabled and enabled again.
struct Flow<'a> {
    ground: &'a Ground,
    application: String,
    endpoint: String,
    recorder: Recorder,
    stop: AtomicBool,
    /// When each of our own requests to the receiver was sent, by its number.
    probes: Mutex<Vec<Instant>>,
}

/// The moment of an answer, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Answered {
    at: Instant,
    /// Microseconds since 1970.
    micros: i128,
}

impl Answered {
    fn now() -> anyhow::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self {
            at: Instant::now(),
            micros: i128::try_from(since.as_micros())?,
        })
    }
}

/// A request of the product that was seen after the answer.
#[derive(Debug)]
struct After {
    /// Its number, from 0.
    trial: u32,
    /// The message's id.
    message: String,
    /// How long after the answer its first byte was seen.
    by: Duration,
    answered: Answered,
}

fn disabled(ground: &Ground, trials: u32, seed: u64) -> anyhow::Result<()> {
    let recorder = Recorder::start(Duration::ZERO)?;
    let mut client = ground.client(0);
    let application = ground::application(&mut client, "Barrier")?;
    let made = client.create(
        &format!("/v1/applications/{application}/endpoints"),
        &json!({ "url": recorder.url(STEADY_PATH) }),
    )?;
    let flow = Flow {
        ground,
        application,
        endpoint: text(&made, "id")?,
        recorder,
        stop: AtomicBool::new(false),
        probes: Mutex::default(),
    };
    let (after, published) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..ground.nodes.len())
            .map(|node| {
                scope.spawn({
                    let flow = &flow;
                    move || flow.publish(node)
                })
            })
            .collect();
        let prober = scope.spawn(|| flow.probe());
        let after = flow.trials(trials, seed);
        flow.stop.store(true, Ordering::SeqCst);
        let mut published = Vec::new();
        for publisher in publishers {
            published.push(
                publisher
                    .join()
                    .map_err(|_| anyhow::anyhow!("a publisher panicked"))??,
            );
        }
        prober
            .join()
            .map_err(|_| anyhow::anyhow!("the prober panicked"))??;
        anyhow::Ok((after?, published))
    })?;
    flow.judge(&after, &published, trials)
}

impl Flow<'_> {
    /// Publishes steadily at this node; how many.
    fn publish(&self, node: usize) -> anyhow::Result<usize> {
        let mut client = self.ground.client(node);
        let mut count = 0;
        while !self.stop.load(Ordering::SeqCst) {
            publish(&mut client, &self.application, "steady.beat")?;
            count += 1;
            thread::sleep(STEADY);
        }
        Ok(count)
    }

    /// Sends requests of our own, and notes when.
    fn probe(&self) -> anyhow::Result<()> {
        let client = Prober::new(self.recorder.address(), FLOWS_WITHIN);
        while !self.stop.load(Ordering::SeqCst) {
            let number = {
                let mut probes = lock(&self.probes);
                probes.push(Instant::now());
                probes.len() - 1
            };
            client.post_json(PROBE_PATH, &[("webhook-id", &number.to_string())], b"{}")?;
            thread::sleep(PROBE);
        }
        Ok(())
    }

    fn trials(&self, trials: u32, seed: u64) -> anyhow::Result<Vec<After>> {
        let mut dice = Dice::new(seed);
        let mut clients = [self.ground.client(0), self.ground.client(1)];
        let path = format!(
            "/v1/applications/{}/endpoints/{}",
            self.application, self.endpoint
        );
        let mut after = Vec::new();
        for trial in 0..trials {
            interrupt::check()?;
            // By turns: each node must wait for the other.
            let client = &mut clients[usize::try_from(trial % 2)?];
            if trial > 0 {
                client.expect(200, "POST", &format!("{path}/enable"), None)?;
            }
            self.await_flow()?;
            thread::sleep(Duration::from_micros(dice.below(20_000)));
            client.expect(200, "POST", &format!("{path}/disable"), None)?;
            let answered = Answered::now()?;
            // Some of it may have begun before; it is told apart by its moment.
            let known = self.recorder.count().saturating_sub(64);
            let watch = if (trial + 1).is_multiple_of(LONG_WATCH_EVERY) {
                LONG_WATCH
            } else {
                WATCH
            };
            thread::sleep(watch);
            after.extend(
                self.recorder
                    .since(known)
                    .iter()
                    .filter(|record| record.path == STEADY_PATH && record.began > answered.at)
                    .map(|record| After {
                        trial,
                        message: record.id().to_owned(),
                        by: record.began.duration_since(answered.at),
                        answered,
                    }),
            );
        }
        Ok(after)
    }

    /// Waits until attempts arrive.
    fn await_flow(&self) -> anyhow::Result<()> {
        let enabled = Instant::now();
        let mut seen = self.recorder.count();
        loop {
            interrupt::check()?;
            let news = self.recorder.since(seen);
            seen += news.len();
            if news
                .iter()
                .any(|record| record.path == STEADY_PATH && record.began > enabled)
            {
                return Ok(());
            }
            ensure!(
                enabled.elapsed() < FLOWS_WITHIN,
                "nothing arrives although the endpoint is enabled"
            );
            thread::sleep(POLL);
        }
    }

    fn judge(&self, after: &[After], published: &[usize], trials: u32) -> anyhow::Result<()> {
        let records = self.recorder.since(0);
        let under_way = self.under_way(&records);
        let allowance = under_way.worst();
        let mut problems = Vec::new();
        let (mut late, mut afterwards) = (0, 0);
        for one in after {
            let by = one.by.as_secs_f64() * 1e3;
            if one.by > allowance {
                late += 1;
                problems.push(format!(
                    "trial {}: {} seen {by:.2} ms after the answer",
                    one.trial, one.message
                ));
            }
            match self.began(&one.message)? {
                None => problems.push(format!(
                    "trial {}: {} seen after the answer, and the API lists no attempt of it",
                    one.trial, one.message
                )),
                Some(began) if began > one.answered.micros => {
                    afterwards += 1;
                    let by = began - one.answered.micros;
                    problems.push(format!(
                        "trial {}: {} began {by} µs after the answer",
                        one.trial, one.message
                    ));
                }
                Some(_) => {}
            }
        }
        ensure!(
            published.iter().all(|count| *count > 0),
            "a node took no messages: {published:?}"
        );
        let deliveries = records.iter().filter(|record| record.path == STEADY_PATH).count();
        println!(
            "{trials} disables by turns at two nodes: {} messages published at them ({published:?}), {deliveries} \
             attempts seen",
            published.iter().sum::<usize>()
        );
        println!("  a request of our own to the receiver: {under_way}");
        println!(
            "  seen after the answer: {}, the latest by {:.2} ms; later than the slowest of ours: {}; begun after it by \
             the API's account: {}",
            after.len(),
            after
                .iter()
                .map(|one| one.by)
                .max()
                .unwrap_or_default()
                .as_secs_f64()
                * 1e3,
            late,
            afterwards
        );
        hold(&problems)
    }

    /// How long our own requests were under way.
    fn under_way(&self, records: &[Record]) -> Durations {
        let sent = lock(&self.probes);
        let took = records
            .iter()
            .filter(|record| record.path == PROBE_PATH)
            .filter_map(|record| {
                Some(
                    record
                        .began
                        .duration_since(*sent.get(record.id().parse::<usize>().ok()?)?),
                )
            });
        Durations::of(took.collect())
    }

    /// When the message's last attempt began, in microseconds since 1970, as the API lists it.
    fn began(&self, message: &str) -> anyhow::Result<Option<i128>> {
        let mut client = self.ground.client(0);
        let path = format!(
            "/v1/applications/{}/messages/{message}/deliveries/{}/attempts",
            self.application, self.endpoint
        );
        let deadline = Instant::now() + LISTED_WITHIN;
        while Instant::now() < deadline {
            interrupt::check()?;
            let answer = client.ask("GET", &path, None)?;
            if answer.status == 200 {
                let attempts = answer.json()?;
                let last = attempts["data"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|attempt| attempt["started_at"].as_str())
                    .filter_map(time::micros)
                    .max();
                if last.is_some() {
                    return Ok(last);
                }
            }
            thread::sleep(POLL * 10);
        }
        Ok(None)
    }
}

/// A panic elsewhere while the lock was held leaves a list that is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
