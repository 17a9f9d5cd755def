//! A million messages that are due when the server starts: how fast it drains them, and whether claiming becomes
//! slower on the way.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Bench;
use super::rows::Rows;
use crate::bench::load::fate;
use crate::bench::numbers::{float, length, share};
use crate::bench::processes::{self, megabytes};
use crate::bench::results::Results;
use crate::bench::sink::Begin;
use crate::bench::stage::{Cast, Stage, Written};
use crate::bench::table;
use crate::interrupt;
use crate::postgres::{Connection, Postgres};

const ROWS: u64 = 1_000_000;
const ROWS_QUICK: u64 = 50_000;
const POLL: Duration = Duration::from_millis(20);
const STANDSTILL: Duration = Duration::from_mins(2);
/// Claims since the statistics were reset: how many rows, and how many milliseconds.
const CLAIMS: &str = "select coalesce(sum(rows), 0)::bigint, coalesce(sum(total_exec_time), 0)::text
    from pg_stat_statements where query ilike '%outbox_work%' and query ilike '%skip locked%'";

/// How it stood at some moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    arrived: u64,
    /// Rows claimed and milliseconds spent on it, where the database tells.
    claims: Option<(f64, f64)>,
}

impl Bench<'_> {
    /// Plays it; on PostgreSQL a second time while an old snapshot is held open.
    pub(super) fn backlog(
        &mut self,
        postgres: Option<&Postgres>,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        self.drain(postgres, false, results)?;
        if postgres.is_some() {
            self.drain(postgres, true, results)?;
        }
        Ok(())
    }

    fn drain(
        &mut self,
        postgres: Option<&Postgres>,
        snapshot: bool,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let messages = self.rows(ROWS, ROWS_QUICK);
        let mut stage = Stage::set(&Cast::product(&self.programs.product, postgres))?;
        self.application(&mut stage, 1)?;
        stage.process().stop();
        self.runs += 1;
        let rows = Rows {
            database: stage.database(),
            messages,
            now_ms: wall_clock()?,
        };
        self.fill(&mut stage, &rows.backlog(self.runs))?;
        let tells = prepare(&mut stage)?;
        let held = hold(&stage, postgres, snapshot)?;
        self.sink.begin(&Begin {
            run: self.runs,
            endpoints: 1,
            messages: length(messages),
            slow_ms: 0,
        })?;
        let before = (stage.written()?, stage.database_cpu());
        stage.process().start_again()?;
        let moments = self.watch(&mut stage, messages, tells)?;
        let name = if snapshot {
            "backlog, old snapshot"
        } else {
            "backlog"
        };
        note(&mut stage, name, &moments, before, results)?;
        self.judge(&stage, messages)?;
        drop(held);
        Ok(())
    }

    /// Looks until everything has arrived; how it stood at the beginning, after a tenth, before the last, at the end.
    fn watch(&mut self, stage: &mut Stage<'_>, messages: u64, tells: bool) -> anyhow::Result<[Moment; 4]> {
        let mut bounds = [0, messages / 10, messages - messages / 10, messages].into_iter();
        let mut moments = Vec::new();
        let mut bound = bounds.next();
        let (mut moved, mut seen) = (Instant::now(), 0);
        while let Some(wanted) = bound {
            interrupt::check()?;
            let arrived = self.sink.state()?.distinct;
            if arrived > seen {
                (moved, seen) = (Instant::now(), arrived);
            }
            if arrived >= wanted {
                moments.push(Moment {
                    at: Instant::now(),
                    arrived,
                    claims: if tells { claims(stage)? } else { None },
                });
                bound = bounds.next();
                continue;
            }
            ensure!(
                moved.elapsed() < STANDSTILL,
                "nothing arrives any more: {arrived} of {messages}; the server complains: {:?}",
                stage.complaints().others
            );
            stage.check()?;
            std::thread::sleep(POLL);
        }
        moments.try_into().ok().context("four moments")
    }

    fn judge(&mut self, stage: &Stage<'_>, messages: u64) -> anyhow::Result<()> {
        let file = stage.folder().join("fates");
        std::fs::write(&file, fate::ACCEPTED.to_le_bytes().repeat(length(messages)))?;
        let audit = self.sink.audit(&file)?;
        ensure!(
            audit.lost == 0,
            "LOST: {} of {messages} have not arrived",
            audit.lost
        );
        Ok(())
    }

    /// Fills rows in while nobody serves.
    pub(super) fn fill(&self, stage: &mut Stage<'_>, statements: &[String]) -> anyhow::Result<()> {
        let began = Instant::now();
        if stage.query("select 1")?.is_some() {
            for statement in statements {
                interrupt::check()?;
                stage.query(statement)?;
            }
            stage.query("vacuum analyze")?;
        } else {
            stage.run(
                self.programs.limits()?,
                &["sql"],
                statements.join(";\n").as_bytes(),
            )?;
        }
        println!("    filled in {:.0} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// How many rows to fill in.
    pub(super) fn rows(&self, usual: u64, quick: u64) -> u64 {
        self.options
            .rows
            .unwrap_or(if self.options.quick { quick } else { usual })
    }
}

/// Makes the database count its statements, where it can; whether it does.
fn prepare(stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    let loaded = stage.query("show shared_preload_libraries")?;
    let loaded = loaded.and_then(|rows| rows.first()?.first()?.clone());
    if !loaded.is_some_and(|libraries| libraries.contains("pg_stat_statements")) {
        return Ok(false);
    }
    stage.query("create extension if not exists pg_stat_statements")?;
    stage.query("select pg_stat_statements_reset()")?;
    Ok(true)
}

/// An old snapshot, for as long as the connection lives.
fn hold(
    stage: &Stage<'_>,
    postgres: Option<&Postgres>,
    snapshot: bool,
) -> anyhow::Result<Option<Connection>> {
    let (Some(port), Some(name), true) = (postgres.and_then(Postgres::port), stage.database_name(), snapshot)
    else {
        return Ok(None);
    };
    let mut connection = Connection::open(port, name)?;
    connection.query("begin isolation level repeatable read; select count(*) from outbox_work")?;
    Ok(Some(connection))
}

fn claims(stage: &mut Stage<'_>) -> anyhow::Result<Option<(f64, f64)>> {
    let rows = stage.query(CLAIMS)?;
    Ok(rows.and_then(|rows| {
        let row = rows.first()?;
        Some((
            row.first()?.as_ref()?.parse().ok()?,
            row.get(1)?.as_ref()?.parse().ok()?,
        ))
    }))
}

fn note(
    stage: &mut Stage<'_>,
    name: &str,
    moments: &[Moment; 4],
    before: (Written, u64),
    results: &mut Results,
) -> anyhow::Result<()> {
    let database = stage.database();
    let [start, early, late, end] = moments;
    let rate =
        |from: &Moment, to: &Moment| share(float(to.arrived - from.arrived), (to.at - from.at).as_secs_f64());
    let each = |count: u64| share(float(count), float(end.arrived));
    let server = processes::cpu(stage.server()?);
    let facts = [
        ("messages a second", rate(start, end)),
        (
            "messages a second, last tenth in first",
            share(rate(late, end), rate(start, early)),
        ),
        ("server CPU us a message", each(server) / 1e3),
        (
            "database CPU us a message",
            each(stage.database_cpu() - before.1) / 1e3,
        ),
        ("WAL bytes a message", each(stage.written()?.wal - before.0.wal)),
        (
            "MB at most",
            processes::peak(stage.server()?).map_or(0.0, megabytes),
        ),
    ];
    for (what, value) in facts {
        table::fact(&format!("{name}: {what}"), database, value, results);
    }
    let claim = |from: &Moment, to: &Moment| {
        let ((rows, millis), (rows_before, millis_before)) = (to.claims?, from.claims?);
        Some(share(millis - millis_before, rows - rows_before) * 1e3)
    };
    if let Some((first, last)) = claim(start, early).zip(claim(late, end)) {
        table::fact(
            &format!("{name}: claim us a row, first tenth"),
            database,
            first,
            results,
        );
        table::fact(
            &format!("{name}: claim us a row, last tenth"),
            database,
            last,
            results,
        );
        table::fact(
            &format!("{name}: claim, last tenth in first"),
            database,
            share(last, first),
            results,
        );
    }
    Ok(())
}

/// Milliseconds since 1970, for ids.
pub(super) fn wall_clock() -> anyhow::Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}
