//! A replay of what an endpoint lacks, because it was created later: exactly that, with progress, across a kill -9.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::ground::{self, Ground, publish};
use super::recorder::{Record, Recorder};
use super::stage::Stage;
use crate::interrupt;
use crate::product::Database;
use crate::tenancy::client::{Client, text};

const WANTED: &str = "replay.wanted";
const OTHER: &str = "replay.other";
/// Before the endpoint exists, and wanted by it.
const MISSED: usize = 5_000;
/// Before the endpoint exists, and not wanted by it.
const UNWANTED: usize = 200;
/// After the endpoint exists: it gets them by itself.
const GOT: usize = 500;
const PUBLISHERS: usize = 8;
/// What the receiver takes for each: the replay lasts long enough to be killed in its middle.
const PACE: Duration = Duration::from_millis(15);
const LIMIT: Duration = Duration::from_mins(4);
const QUIET: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
/// The server is killed once the replay has queued this many.
const KILL_AT: u64 = 1_500;
/// What was answered earlier than this before the kill is settled: it must not come again.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
/// Few at a time, so that what the kill may repeat is little.
const SETTINGS: &[(&str, &str)] = &[("DELIVERY__MAX_IN_FLIGHT_PER_ENDPOINT", "16")];

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.each(SETTINGS, on)
}

fn on(database: Database, ground: &mut Ground) -> anyhow::Result<()> {
    let recorder = Recorder::start(PACE)?;
    let mut client = ground.client(0);
    let application = ground::application(&mut client, "Replay")?;
    let missed = publish_many(ground, &application, WANTED, MISSED)?;
    publish_many(ground, &application, OTHER, UNWANTED)?;
    let made = client.create(
        &format!("/v1/applications/{application}/endpoints"),
        &json!({ "url": recorder.url("/late"), "event_types": [WANTED] }),
    )?;
    let endpoint = text(&made, "id")?;
    let got = publish_many(ground, &application, WANTED, GOT)?;
    await_arrivals(&recorder, &got, Instant::now() + LIMIT)?;
    let early: Vec<String> = ids(&recorder.since(0));
    ensure!(
        early.iter().all(|id| got.contains(id)),
        "the endpoint got messages of before it was there, without a replay"
    );

    let path = format!("/v1/applications/{application}/endpoints/{endpoint}/replays");
    let body = json!({ "mode": "missing", "from": "2020-01-01T00:00:00Z" });
    let began = Instant::now();
    let replay = text(&client.expect(202, "POST", &path, Some(&body))?, "id")?;
    let mut course = Course::of(format!("{path}/{replay}"));
    course.follow(&mut client, |seen| seen.queued >= KILL_AT)?;
    ensure!(
        !course.is_over(),
        "the replay was over before it could be killed: {:?}",
        course.last()
    );
    ground.nodes[0].kill_hard();
    // Dead by now: what began before it is told from what begins after the next start.
    let killed = Instant::now();
    let at_kill = recorder.count();
    ground.nodes[0].start_again()?;
    let mut client = ground.client(0);
    course.follow(&mut client, |seen| seen.status != "running")?;
    let all: BTreeSet<String> = missed.union(&got).cloned().collect();
    await_arrivals(&recorder, &all, began + LIMIT)?;
    let took = began.elapsed();
    quiet(&recorder)?;

    let counts = judge(&recorder.since(0), &all, killed)?;
    course.judge(MISSED)?;
    println!(
        "{}: {MISSED} messages of before the endpoint, {GOT} of after, {UNWANTED} unwanted: the replay delivered the \
         {MISSED} that it lacked, in {:.1} s",
        database.name(),
        took.as_secs_f64()
    );
    println!(
        "  progress was seen {} times, rising; killed when {} were queued and {} had arrived; {} came twice, all of \
         them first sent in the {} s before the kill",
        course.seen.len(),
        course.queued_at_kill,
        at_kill - GOT,
        counts,
        SETTLED_WITHIN.as_secs(),
    );
    Ok(())
}

/// What the replay said of itself, each time that it said something new.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    status: String,
    considered: u64,
    queued: u64,
}

#[derive(Debug)]
struct Course {
    path: String,
    seen: Vec<Progress>,
    queued_at_kill: u64,
}

impl Course {
    fn of(path: String) -> Self {
        Self {
            path,
            seen: Vec::new(),
            queued_at_kill: 0,
        }
    }

    /// Asks until this is so, or the replay is over.
    fn follow(&mut self, client: &mut Client, until: impl Fn(&Progress) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            interrupt::check()?;
            let now = progress(&client.get(&self.path)?)?;
            let enough = until(&now);
            if self.seen.last() != Some(&now) {
                self.seen.push(now);
            }
            if enough || self.is_over() {
                if !self.is_over() {
                    self.queued_at_kill = self.last().map_or(0, |last| last.queued);
                }
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the replay stands still: {:?}",
                self.last()
            );
            thread::sleep(POLL);
        }
    }

    fn last(&self) -> Option<&Progress> {
        self.seen.last()
    }

    fn is_over(&self) -> bool {
        self.last().is_some_and(|last| last.status != "running")
    }

    /// It rose, never fell (also not by the kill), and counted each message once.
    fn judge(&self, missed: usize) -> anyhow::Result<()> {
        for pair in self.seen.windows(2) {
            ensure!(
                pair[0].considered <= pair[1].considered && pair[0].queued <= pair[1].queued,
                "progress fell: {pair:?}"
            );
        }
        let last = self.last().context("nothing was seen")?;
        ensure!(last.status == "completed", "the replay ended as {last:?}");
        ensure!(
            last.queued == u64::try_from(missed)?,
            "the replay says that it queued {} of {missed}",
            last.queued
        );
        let rising: BTreeSet<u64> = self.seen.iter().map(|one| one.queued).collect();
        ensure!(rising.len() > 2, "no progress was seen in between: {rising:?}");
        Ok(())
    }
}

fn progress(answer: &Value) -> anyhow::Result<Progress> {
    let counts = &answer["progress"];
    let number = |name: &str| {
        counts[name]
            .as_u64()
            .with_context(|| format!("the replay has no `progress.{name}`: {answer}"))
    };
    Ok(Progress {
        status: text(answer, "status")?,
        considered: number("considered")?,
        queued: number("queued")?,
    })
}

/// From several connections; the ids.
fn publish_many(
    ground: &Ground,
    application: &str,
    event_type: &str,
    count: usize,
) -> anyhow::Result<BTreeSet<String>> {
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = ground.client(0);
                    let share = (number..count).step_by(PUBLISHERS);
                    share
                        .map(|_| {
                            interrupt::check()?;
                            publish(&mut client, application, event_type)
                        })
                        .collect::<anyhow::Result<Vec<_>>>()
                })
            })
            .collect();
        let mut all = BTreeSet::new();
        for publisher in publishers {
            match publisher.join() {
                Ok(ids) => all.extend(ids?),
                Err(_) => bail!("a publisher panicked"),
            }
        }
        ensure!(
            all.len() == count,
            "{} messages of {count} have ids of their own",
            all.len()
        );
        Ok(all)
    })
}

fn ids(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.id().to_owned()).collect()
}

/// Waits until each of these has arrived.
fn await_arrivals(recorder: &Recorder, ids: &BTreeSet<String>, deadline: Instant) -> anyhow::Result<()> {
    let mut missing = ids.clone();
    let mut seen = 0;
    while !missing.is_empty() {
        interrupt::check()?;
        let news = recorder.since(seen);
        seen += news.len();
        for record in news {
            missing.remove(record.id());
        }
        if Instant::now() >= deadline {
            bail!(
                "{} messages did not arrive, {:?} for one",
                missing.len(),
                missing.first()
            );
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until nothing has come for a while.
fn quiet(recorder: &Recorder) -> anyhow::Result<()> {
    let mut count = recorder.count();
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        interrupt::check()?;
        thread::sleep(POLL);
        if recorder.count() != count {
            count = recorder.count();
            since = Instant::now();
        }
    }
    Ok(())
}

/// How many came more than once. Each must be wanted, and none may be repeated that was settled before the kill, or
/// came only after it.
fn judge(records: &[Record], wanted: &BTreeSet<String>, killed: Instant) -> anyhow::Result<usize> {
    let mut arrivals: BTreeMap<&str, Vec<Instant>> = BTreeMap::new();
    for record in records {
        ensure!(wanted.contains(record.id()), "{} was not wanted", record.id());
        arrivals.entry(record.id()).or_default().push(record.began);
    }
    let mut repeated = 0;
    for (id, moments) in arrivals {
        if moments.len() == 1 {
            continue;
        }
        repeated += 1;
        let under_way = moments[0] <= killed && killed.duration_since(moments[0]) <= SETTLED_WITHIN;
        ensure!(
            under_way && moments.len() == 2,
            "{id} came {} times, and was not under way at the kill",
            moments.len()
        );
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, began: Instant) -> Record {
        Record {
            began,
            path: "/late".to_owned(),
            headers: vec![("webhook-id".to_owned(), id.to_owned())],
            body: Vec::new(),
        }
    }

    #[test]
    fn only_what_was_under_way_may_come_twice() {
        let begin = Instant::now();
        let killed = begin + Duration::from_mins(1);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let wanted = ["a", "b"].map(str::to_owned).into();
        let judge = |records: &[(&str, u64)]| {
            let records: Vec<_> = records.iter().map(|(id, s)| record(id, at(*s))).collect();
            judge(&records, &wanted, killed)
        };
        assert_eq!(judge(&[("a", 1), ("b", 59), ("b", 70)]).unwrap(), 1);
        assert!(judge(&[("a", 1), ("a", 70)]).is_err(), "settled long before");
        assert!(judge(&[("a", 70), ("a", 71)]).is_err(), "first after the kill");
        assert!(judge(&[("c", 1)]).is_err(), "not wanted");
    }

    #[test]
    fn progress_must_rise_and_count_right() {
        let course = |queued: &[u64]| {
            let mut course = Course::of(String::new());
            for (number, queued) in (1..).zip(queued) {
                let status = if number == 4 { "completed" } else { "running" };
                course.seen.push(Progress {
                    status: status.to_owned(),
                    considered: *queued,
                    queued: *queued,
                });
            }
            course
        };
        assert!(course(&[0, 3, 7, 9]).judge(9).is_ok());
        assert!(course(&[0, 7, 3, 9]).judge(9).is_err());
        assert!(course(&[0, 3, 7, 9]).judge(8).is_err());
        assert!(course(&[0, 3, 7]).judge(7).is_err());
    }
}
