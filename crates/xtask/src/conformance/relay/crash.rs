//! The relay's node is killed in the middle of a storm of commands, several times: the sink is told of everything in
//! the log, each aggregate in order, and tenants hear of each event once.
//!
//! On PostgreSQL the node is killed that holds the sink's cursor, while the other serves; on SQLite the only one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::aside;
use super::log::{Event, Sql, Told};
use super::storm::{HANDS, Storm};
use crate::chance::Dice;
use crate::conformance::ground::{self, Ground};
use crate::conformance::recorder::Recorder;
use crate::conformance::stage::Stage;
use crate::conformance::statistics::Durations;
use crate::interrupt;
use crate::postgres::Postgres;
use crate::product::Database;
use crate::tenancy::client::{Client, text};

pub(super) const SINK: &str = "event-sink";
pub(super) const WEBHOOKS: &str = "operational-webhooks";
/// Everything comes by then: two leases, and retries of webhooks.
const COMES_WITHIN: Duration = Duration::from_mins(2);
const FLOWS_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// A dead node's lease runs for a while, so that there are fewer kills in the same time.
const KILLS_OF_ONE: usize = 6;
const KILLS_OF_TWO: usize = 3;

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let seed = stage.seed()?;
    println!("seed {seed}");
    let folder = tempfile::Builder::new().prefix("postrider-sink-").tempdir()?;
    for database in stage.databases() {
        // The sink's path is a link, so that it may lead elsewhere later.
        let sink = folder.path().join(format!("{}.jsonl", database.name()));
        let link = sink.with_extension("link");
        std::os::unix::fs::symlink(&sink, &link)?;
        let path = link.to_str().context("the temporary folder's name is not text")?;
        let settings = [("EVENTS__SINK", "file"), ("EVENTS__SINK_PATH", path)];
        stage.all_nodes(database, &settings, |postgres, ground| {
            let mut scene = Scene::set(database, postgres, ground, [sink, link.clone()])?;
            scene.storm(seed)?;
            aside::unknown_form(&mut scene)?;
            aside::full_disk(&mut scene)
        })?;
    }
    Ok(())
}

/// What is played with.
pub(super) struct Scene<'g> {
    database: Database,
    pub(super) ground: &'g mut Ground,
    pub(super) sql: Sql,
    /// The file that the sink's path leads to.
    pub(super) sink: PathBuf,
    /// The sink's path.
    pub(super) link: PathBuf,
    /// Gets the operational webhooks.
    recorder: Recorder,
    operational_endpoint: String,
    /// The log's head before anything that tenants are told of.
    from: i64,
    pub(super) kills: usize,
}

impl<'g> Scene<'g> {
    fn set(
        database: Database,
        postgres: Option<&Postgres>,
        ground: &'g mut Ground,
        [sink, link]: [PathBuf; 2],
    ) -> anyhow::Result<Self> {
        let recorder = Recorder::start(Duration::ZERO)?;
        let mut client = ground.client(0);
        let body = json!({ "name": "Operational", "uid": "operational" });
        let operational = text(&client.create("/v1/applications", &body)?, "id")?;
        let made = client.create(
            &format!("/v1/applications/{operational}/endpoints"),
            &json!({ "url": recorder.url("/operational") }),
        )?;
        let sql = Sql::of(postgres, ground.site.database(), ground.site.folder())?;
        let mut scene = Self {
            database,
            sql,
            sink,
            link,
            recorder,
            operational_endpoint: text(&made, "id")?,
            from: 0,
            kills: 0,
            ground,
        };
        scene.caught_up()?;
        let status = scene.status()?;
        scene.from = status["events"]["head"].as_i64().context("no head")?;
        Ok(scene)
    }

    pub(super) fn operator(&self) -> Client {
        self.ground.site.operator(&self.ground.nodes[0])
    }

    fn status(&self) -> anyhow::Result<Value> {
        self.operator().get("/v1/operator/status")
    }

    /// What the operator's status says of a subscriber.
    pub(super) fn subscriber(&self, name: &str) -> anyhow::Result<Value> {
        let status = self.status()?;
        let all = status["events"]["subscribers"].as_array().into_iter().flatten();
        let found = all.clone().find(|one| one["name"] == name);
        found
            .cloned()
            .with_context(|| format!("{name} is not listed: {status}"))
    }

    /// Waits until no subscriber lags; how long that took.
    pub(super) fn caught_up(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for name in [SINK, WEBHOOKS] {
            await_that(
                || Ok(self.subscriber(name)?["lag"] == 0),
                || format!("{name} does not catch up"),
            )?;
        }
        Ok(began.elapsed())
    }

    fn storm(&mut self, seed: u64) -> anyhow::Result<()> {
        let mut dice = Dice::new(seed);
        let mut client = self.ground.client(0);
        let applications = (0..HANDS)
            .map(|number| ground::application(&mut client, &format!("Storm {number}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let storm = Storm::over(self.ground);
        let began = Instant::now();
        let flows = thread::scope(|scope| {
            let hands: Vec<_> = applications
                .iter()
                .enumerate()
                .map(|(number, application)| {
                    let (storm, seed) = (&storm, dice.below(u64::MAX));
                    scope.spawn(move || storm.hand(number, application, seed))
                })
                .collect();
            let flows = self.kill_some(&mut dice);
            storm.stop();
            for hand in hands {
                hand.join().map_err(|_| anyhow::anyhow!("a hand panicked"))??;
            }
            flows
        })?;
        let took = began.elapsed();
        let caught_up = self.caught_up()?;
        let log = self.sql.events()?;
        let told = Told::read(&self.sink)?;
        told.judge(&log, self.kills)?;
        let (webhooks, again) = self.webhooks(&log)?;
        ensure!(
            webhooks > 0 && storm.answered.load(Ordering::SeqCst) > 0,
            "there was no storm: {webhooks} webhooks"
        );
        println!(
            "{}: {} commands answered, {} not, in {:.1} s with {} kills of the relay's node",
            self.database.name(),
            storm.answered.load(Ordering::SeqCst),
            storm.unknown.load(Ordering::SeqCst),
            took.as_secs_f64(),
            self.kills
        );
        let aggregates: BTreeSet<&str> = log.values().map(|event| event.aggregate.as_str()).collect();
        println!(
            "  {} events of {} aggregates in the log, each told to the sink, in order; {} told again, {} lines cut off",
            log.len(),
            aggregates.len(),
            told.repeats(),
            told.halves
        );
        println!(
            "  {webhooks} operational webhooks, one for each event that tenants hear of; {again} delivered again"
        );
        println!(
            "  from a kill until the sink is written to again: {flows}; caught up {:.1} s after the storm",
            caught_up.as_secs_f64()
        );
        Ok(())
    }

    /// From each kill, how long until the sink is written to again.
    fn kill_some(&mut self, dice: &mut Dice) -> anyhow::Result<Durations> {
        let alone = self.ground.nodes.len() == 1;
        let kills = if alone { KILLS_OF_ONE } else { KILLS_OF_TWO };
        let mut flows = Vec::new();
        // Nodes join in the order of their start, and later lives have higher epochs.
        let mut epochs = self.epochs()?;
        ensure!(
            epochs.len() == self.ground.nodes.len(),
            "nodes are not listed: {epochs:?}"
        );
        for _ in 0..kills {
            // Until it is at work.
            self.sink_grows()?;
            thread::sleep(Duration::from_micros(500_000 + dice.below(2_000_000)));
            let holder = self.subscriber(SINK)?["node"].as_i64();
            let holder = holder.with_context(|| format!("{SINK} is run by no node"))?;
            let victim = epochs.iter().position(|epoch| *epoch == holder);
            let victim = victim.with_context(|| format!("epoch {holder} is of no node: {epochs:?}"))?;
            let killed = Instant::now();
            self.ground.nodes[victim].kill_hard();
            self.kills += 1;
            if alone {
                self.ground.nodes[victim].start_again()?;
            }
            self.sink_grows()?;
            flows.push(killed.elapsed());
            if !alone {
                self.ground.nodes[victim].start_again()?;
            }
            let newest = self.epochs()?.into_iter().max();
            epochs[victim] = newest.context("no node lives")?;
        }
        Ok(Durations::of(flows))
    }

    /// Of the nodes that are not known to be dead; the dead one's stands for as long as its lease.
    fn epochs(&self) -> anyhow::Result<Vec<i64>> {
        // Whichever node answers.
        for node in &self.ground.nodes {
            let asked = self.ground.site.operator(node).get("/v1/operator/status");
            let Ok(status) = asked else { continue };
            let nodes = status["nodes"].as_array().into_iter().flatten();
            return Ok(nodes.filter_map(|node| node["epoch"].as_i64()).collect());
        }
        bail!("no node answers")
    }

    fn sink_grows(&self) -> anyhow::Result<()> {
        let before = length(&self.sink);
        let deadline = Instant::now() + FLOWS_WITHIN;
        while length(&self.sink) <= before {
            interrupt::check()?;
            ensure!(Instant::now() < deadline, "the sink is not written to any more");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until exactly one message came for each event that tenants are told of; how many, and how many deliveries
    /// came again.
    pub(super) fn webhooks(&self, log: &BTreeMap<i64, Event>) -> anyhow::Result<(usize, usize)> {
        let mut expected: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (_, event) in log.range(self.from + 1..) {
            if let Some(event_type) = event_type(&event.kind)
                && event.aggregate != self.operational_endpoint
            {
                *expected.entry((event_type, &event.aggregate)).or_default() += 1;
            }
        }
        let deadline = Instant::now() + COMES_WITHIN;
        loop {
            interrupt::check()?;
            let records = self.recorder.since(0);
            let mut messages: BTreeMap<&str, (String, String)> = BTreeMap::new();
            for record in &records {
                let body: Value = serde_json::from_slice(&record.body)?;
                let about = (text(&body, "type")?, text(&body["data"], "endpoint_id")?);
                messages.insert(record.id(), about);
            }
            let mut came: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for (event_type, endpoint) in messages.values() {
                *came.entry((event_type, endpoint)).or_default() += 1;
            }
            if let Some((about, count)) = came
                .iter()
                .find(|(about, count)| expected.get(*about).is_none_or(|wanted| *count > wanted))
            {
                bail!(
                    "{about:?} was told by {count} messages, the log has {:?}",
                    expected.get(about)
                );
            }
            if came == expected {
                return Ok((messages.len(), records.len() - messages.len()));
            }
            let lacks = expected
                .iter()
                .find(|(about, count)| came.get(*about) != Some(count));
            ensure!(
                Instant::now() < deadline,
                "{} of {} operational webhooks came; {lacks:?} lacks",
                messages.len(),
                expected.values().sum::<usize>()
            );
            thread::sleep(POLL * 10);
        }
    }
}

/// What tenants are told of an event of this kind.
fn event_type(kind: &str) -> Option<&str> {
    match kind {
        "endpoint.secret_rotated" => Some("secret.rotated"),
        "endpoint.created" | "endpoint.updated" | "endpoint.enabled" | "endpoint.disabled"
        | "endpoint.deleted" => Some(kind),
        _ => None,
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Asks until it is so.
pub(super) fn await_that(
    is_so: impl Fn() -> anyhow::Result<bool>,
    otherwise: impl Fn() -> String,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + FLOWS_WITHIN;
    while !is_so()? {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "{}", otherwise());
        thread::sleep(POLL * 5);
    }
    Ok(())
}
