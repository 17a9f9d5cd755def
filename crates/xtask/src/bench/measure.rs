//! One measurement: load, until everything has arrived and is settled, and what it cost.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::histogram::Summary;
use super::load::{self, Plan};
use super::numbers::{count, float, length, median, seconds, share, whole};
use super::processes;
use super::sink::{Audit, Begin, Sink, State};
use super::stage::{EVENT_TYPE, Stage, Written};
use crate::interrupt;

/// How long nothing may arrive while something is missing.
const STANDSTILL: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);
/// How long the server must be still before it counts as done.
const STILL: Duration = Duration::from_millis(300);
/// In that time, so much CPU is stillness, in nanoseconds.
const STILL_CPU: u64 = 15_000_000;
/// How long stillness is waited for.
const STILL_LIMIT: Duration = Duration::from_secs(15);
/// The answer to whoever asks more often than its limit allows.
const TOO_MANY_REQUESTS: u16 = 429;
/// The most that is expected of any server here, in messages a second: room for so many is made.
const MOST_RATE: f64 = 60_000.0;

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Where messages are published.
    pub(super) path: String,
    /// How many endpoints hear of each.
    pub(super) endpoints: usize,
    /// From how many connections.
    pub(super) connections: usize,
    /// For how long, in seconds.
    pub(super) seconds: f64,
    /// On a schedule of so many a second; without it, as fast as they are answered.
    pub(super) rate: Option<f64>,
    /// Whether each message has an event id.
    pub(super) keyed: bool,
    /// Whether the database writes a checkpoint in the middle.
    pub(super) checkpoint: bool,
    /// Whether the server is to come to rest afterwards; not while it has other work.
    pub(super) to_rest: bool,
}

impl Order {
    /// A closed loop from so many connections.
    pub(super) fn closed(path: String, endpoints: usize, connections: usize, seconds: f64) -> Self {
        Self {
            path,
            endpoints,
            connections,
            seconds,
            rate: None,
            keyed: false,
            checkpoint: false,
            to_rest: true,
        }
    }

    /// An open loop at this rate.
    pub(super) fn open(path: String, endpoints: usize, rate: f64, seconds: f64) -> Self {
        Self {
            rate: Some(rate),
            checkpoint: true,
            ..Self::closed(path, endpoints, 256, seconds)
        }
    }
}

/// CPU time a message, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Cpu {
    pub(super) server: f64,
    /// Nothing where the database's server cannot be seen: it has a cost then, and nobody knows which.
    pub(super) database: Option<f64>,
    pub(super) generator: f64,
    pub(super) receiver: f64,
}

impl Cpu {
    /// Of server and database, if both are known.
    pub(super) fn product(self) -> Option<f64> {
        Some(self.server + self.database?)
    }
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Measured {
    /// Answers with 202.
    pub(super) messages: u64,
    /// 202s a second.
    pub(super) accepted_per_s: f64,
    /// Messages a second until all were delivered; where nothing is delivered, the same as accepted.
    pub(super) delivered_per_s: f64,
    /// Accepted and not arrived; where no endpoint hears of anything, that is not asked.
    pub(super) lost: u64,
    /// Arrived more than once.
    pub(super) duplicates: u64,
    /// Refused for now (503).
    pub(super) refused: u64,
    /// Answered that nobody knows whether it was accepted (503, `outcome_unknown`).
    pub(super) unknown: u64,
    /// CPU a message.
    pub(super) cpu_us: Cpu,
    /// Bytes of write-ahead log a message.
    pub(super) wal_bytes: f64,
    /// Pages written whole into it, a message.
    pub(super) wal_whole_pages: f64,
    /// By how much the files of an embedded database grew, a message.
    pub(super) file_bytes: f64,
    /// The most resident memory of the server, in bytes.
    pub(super) peak_bytes: u64,
    /// From (scheduled) send to 202.
    pub(super) answer: Summary,
    /// From (scheduled) send to arrival.
    pub(super) end_to_end: Summary,
    /// The medians, over the seconds of the run, of that second's percentiles.
    pub(super) median_p50_us: f64,
    pub(super) median_p99_us: f64,
    /// The 99th percentile of each second.
    pub(super) p99_by_second_us: Vec<f64>,
    /// 202s by second.
    pub(super) accepted_by_second: Vec<u64>,
    /// Resident memory of the server by second, in bytes.
    pub(super) resident_by_second: Vec<u64>,
    /// The queue's length when the last 202 came, where it can be asked.
    pub(super) backlog: Option<u64>,
    /// How long from the last 202 until all had arrived, in seconds.
    pub(super) drained_s: f64,
}

/// Whatever is counted before and after.
struct Meter {
    server: u64,
    database: Option<u64>,
    receiver: u64,
    written: Written,
}

impl Meter {
    fn read(stage: &mut Stage<'_>, sink: &mut Sink) -> anyhow::Result<Self> {
        Ok(Self {
            written: stage.written()?,
            receiver: sink.state()?.cpu,
            server: stage.server_cpu()?,
            database: stage.database_cpu(),
        })
    }
}

/// Measures. `children` is the program that plays the load generator, `run` a number not used before.
pub(super) fn measure(
    stage: &mut Stage<'_>,
    sink: &mut Sink,
    children: &Path,
    run: u64,
    order: &Order,
) -> anyhow::Result<Measured> {
    let rate = order.rate.unwrap_or(MOST_RATE);
    sink.begin(&Begin {
        run,
        endpoints: order.endpoints,
        messages: length(whole(rate * order.seconds)) + 1,
        slow_ms: super::SLOW_MS,
    })?;
    let fates = stage.folder().join("fates");
    let plan = Plan {
        address: stage.address(),
        path: order.path.clone(),
        key: stage.key().to_owned(),
        run,
        connections: order.connections,
        seconds: order.seconds,
        messages: None,
        rate: order.rate,
        keyed: order.keyed,
        event_type: EVENT_TYPE.to_owned(),
    };
    stage.checkpoint()?;
    processes::reset_peak(stage.server()?);
    let before = Meter::read(stage, sink)?;
    let mut checkpoint_due = order.checkpoint;
    let (server, mut resident) = (stage.server()?, Vec::new());
    let report = load::run_plan(children, &plan, &fates, |elapsed| {
        if elapsed >= float(count(resident.len())) {
            stage.check()?;
            resident.push(processes::resident(server).context("the server's memory cannot be read")?);
        }
        if checkpoint_due && elapsed > order.seconds / 2.0 {
            checkpoint_due = false;
            stage.checkpoint()?;
        }
        Ok(())
    })?;
    judge_answers(&report)?;
    let backlog = stage.queued()?;
    let arrivals = await_arrivals(stage, sink, &report, &fates, order.endpoints)?;
    if order.to_rest {
        await_rest(stage)?;
    }
    stage.check()?;
    let after = Meter::read(stage, sink)?;
    let audit = sink.audit(&fates)?;
    judge(&audit, &report)?;
    let measured = put_together(order, &report, &audit, &arrivals, &before, &after);
    Ok(Measured {
        peak_bytes: stage.server_peak()?,
        resident_by_second: resident,
        backlog,
        ..measured
    })
}

/// Waits until every message has arrived at each of its endpoints.
fn await_arrivals(
    stage: &mut Stage<'_>,
    sink: &mut Sink,
    report: &load::Report,
    fates: &Path,
    endpoints: usize,
) -> anyhow::Result<State> {
    let wanted = report.accepted * count(endpoints);
    let (mut moved, mut seen) = (Instant::now(), 0);
    loop {
        interrupt::check()?;
        let seen_now = sink.state()?;
        // Some of what has arrived may be of publishes of which nobody knows whether they were accepted.
        if seen_now.distinct >= wanted && (report.unknown == 0 || sink.audit(fates)?.lost == 0) {
            return Ok(seen_now);
        }
        if seen_now.distinct > seen {
            (moved, seen) = (Instant::now(), seen_now.distinct);
        }
        if moved.elapsed() > STANDSTILL {
            bail!(
                "nothing arrived for a minute, and {} of {wanted} webhooks are missing ({} in the queue); the server \
                 complains: {:?}",
                wanted.saturating_sub(seen_now.distinct),
                stage
                    .queued()?
                    .map_or_else(|| "unknown".to_owned(), |rows| rows.to_string()),
                stage.complaints().others
            );
        }
        stage.check()?;
        std::thread::sleep(POLL);
    }
}

/// Waits until the queue is empty and the server has next to nothing to do.
fn await_rest(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let deadline = Instant::now() + STILL_LIMIT;
    while Instant::now() < deadline {
        interrupt::check()?;
        stage.check()?;
        let before = stage.server_cpu()?;
        std::thread::sleep(STILL);
        let still = stage.server_cpu()?.saturating_sub(before) <= STILL_CPU;
        if still && stage.queued()?.unwrap_or_default() == 0 {
            return Ok(());
        }
    }
    // Something else keeps it busy: what was measured says so by its CPU.
    Ok(())
}

/// The seconds that count: the first warms up, the last is cut off, and one of which nothing has arrived (the server stalled,
/// and a closed loop published nothing) has no percentiles.
fn counted(windows: &[Summary]) -> Vec<&Summary> {
    let inner = match windows.len() {
        0..=2 => windows,
        many => &windows[1..many - 1],
    };
    inner.iter().filter(|window| window.count > 0).collect()
}

/// The server answered as it must, and it is the server that was measured.
fn judge_answers(report: &load::Report) -> anyhow::Result<()> {
    ensure!(
        report.wrong.is_empty(),
        "the server answered: {}",
        report.wrong.join("; ")
    );
    ensure!(report.accepted > 0, "nothing was accepted: {:?}", report.refused);
    ensure!(
        !report.refused.contains_key(&TOO_MANY_REQUESTS),
        "a limit of requests was measured, not the server: {:?}",
        report.refused
    );
    Ok(())
}

fn judge(audit: &Audit, report: &load::Report) -> anyhow::Result<()> {
    ensure!(
        audit.lost == 0,
        "LOST: {} webhooks of {} accepted messages have not arrived, the first message {:?}",
        audit.lost,
        report.accepted,
        audit.first_lost
    );
    ensure!(
        audit.renamed == 0,
        "{} webhooks came under a wrong id",
        audit.renamed
    );
    ensure!(
        audit.uncalled == 0,
        "{} webhooks came whose publish was refused",
        audit.uncalled
    );
    Ok(())
}

fn put_together(
    order: &Order,
    report: &load::Report,
    audit: &Audit,
    arrivals: &State,
    before: &Meter,
    after: &Meter,
) -> Measured {
    let messages = float(report.accepted);
    let each = |total: u64| share(float(total), messages);
    let accepting = seconds(report.last_at.saturating_sub(report.first_at));
    let last_arrival = arrivals.last_at.max(report.last_at);
    let delivering = seconds(last_arrival.saturating_sub(report.first_at));
    let delivers = order.endpoints > 0;
    let windows = counted(&audit.windows);
    Measured {
        messages: report.accepted,
        accepted_per_s: share(messages, accepting),
        delivered_per_s: share(messages, if delivers { delivering } else { accepting }),
        lost: audit.lost,
        // What comes of an earlier run had come already: that run ended when it was complete.
        duplicates: audit.duplicates + arrivals.strangers,
        refused: report.refused.values().sum(),
        unknown: report.unknown,
        cpu_us: Cpu {
            server: each(after.server - before.server) / 1e3,
            database: after
                .database
                .zip(before.database)
                .map(|(after, before)| each(after.saturating_sub(before)) / 1e3),
            generator: each(report.cpu) / 1e3,
            receiver: each(after.receiver - before.receiver) / 1e3,
        },
        wal_bytes: each(after.written.wal - before.written.wal),
        wal_whole_pages: each(after.written.whole_pages - before.written.whole_pages),
        file_bytes: each(after.written.files.saturating_sub(before.written.files)),
        answer: report.latency,
        end_to_end: audit.latency,
        median_p50_us: median(windows.iter().map(|window| window.p50_us).collect()),
        median_p99_us: median(windows.iter().map(|window| window.p99_us).collect()),
        p99_by_second_us: audit.windows.iter().map(|window| window.p99_us).collect(),
        accepted_by_second: report.by_second.clone(),
        drained_s: if delivers {
            seconds(last_arrival - report.last_at)
        } else {
            0.0
        },
        ..Measured::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_in_which_nothing_arrived_makes_no_percentile_better() {
        let second = |count, p99_us| Summary {
            count,
            p99_us,
            ..Summary::default()
        };
        let windows = [
            second(9, 1.0),
            second(9, 5.0),
            second(0, 0.0),
            second(9, 7.0),
            second(2, 2.0),
        ];
        let counted: Vec<f64> = counted(&windows).iter().map(|window| window.p99_us).collect();
        assert_eq!(counted, [5.0, 7.0]);
    }

    #[test]
    fn a_load_that_met_a_limit_of_requests_is_no_measurement() {
        let mut report = load::Report {
            accepted: 1,
            ..load::Report::default()
        };
        report.refused.insert(503, 1);
        assert!(judge_answers(&report).is_ok());
        report.refused.insert(TOO_MANY_REQUESTS, 1);
        assert!(judge_answers(&report).is_err());
        assert!(judge_answers(&load::Report::default()).is_err());
    }
}
