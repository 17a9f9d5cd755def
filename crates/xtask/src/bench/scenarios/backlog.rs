//! A million messages that are due when the server starts: how fast it drains them, and whether claiming becomes
//! slower on the way.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Bench;
use super::rows::Rows;
use crate::bench::load::fate;
use crate::bench::numbers::{float, length, share};
use crate::bench::processes::megabytes;
use crate::bench::results::Results;
use crate::bench::sink::Begin;
use crate::bench::stage::{Cast, Stage, Written};
use crate::bench::table;
use crate::interrupt;
use crate::postgres::{Connection, Postgres};
use crate::product::Database;

const ROWS: u64 = 1_000_000;
const ROWS_QUICK: u64 = 50_000;
const POLL: Duration = Duration::from_millis(20);
const STANDSTILL: Duration = Duration::from_mins(2);
/// Claims since the statistics were reset: how many rows, and how many milliseconds. What settles skips what is locked as
/// well, and has the queue in it too; only what claims updates the queue after it.
const CLAIMS: &str = "select coalesce(sum(rows), 0)::bigint, coalesce(sum(total_exec_time), 0)::text
    from pg_stat_statements where query ilike '%skip locked%update outbox_work w set owner = %'";

/// How it stood at some moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    arrived: u64,
    /// What claiming has done so far, where the database tells.
    claims: Option<Claims>,
}

/// Rows claimed, and milliseconds spent on it.
#[derive(Debug, Clone, Copy)]
struct Claims {
    rows: f64,
    millis: f64,
}

impl Claims {
    /// Microseconds a row since then; nothing if no row was claimed since.
    fn each_since(self, then: Self) -> Option<f64> {
        let rows = self.rows - then.rows;
        (rows > 0.0).then(|| (self.millis - then.millis) / rows * 1e3)
    }
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
        let again = self.judge(&stage, messages)?;
        table::fact(
            &format!("{name}: arrived again"),
            stage.database(),
            float(again),
            results,
        );
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
                    claims: tells.then(|| claims(stage)).transpose()?,
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

    /// An error if a message has not arrived; how many arrivals were of one that had arrived already.
    fn judge(&mut self, stage: &Stage<'_>, messages: u64) -> anyhow::Result<u64> {
        let file = stage.folder().join("fates");
        std::fs::write(&file, fate::ACCEPTED.to_le_bytes().repeat(length(messages)))?;
        let audit = self.sink.audit(&file)?;
        ensure!(
            audit.lost == 0,
            "LOST: {} of {messages} have not arrived",
            audit.lost
        );
        Ok(audit.duplicates)
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

fn claims(stage: &mut Stage<'_>) -> anyhow::Result<Claims> {
    let rows = stage.query(CLAIMS)?.unwrap_or_default();
    let column = |column: usize| rows.first()?.get(column)?.as_ref()?.parse().ok();
    let claims = column(0)
        .zip(column(1))
        .map(|(rows, millis)| Claims { rows, millis });
    claims.context("no statistics of claims")
}

fn note(
    stage: &mut Stage<'_>,
    name: &str,
    moments: &[Moment; 4],
    before: (Written, Option<u64>),
    results: &mut Results,
) -> anyhow::Result<()> {
    let database = stage.database();
    let [start, early, late, end] = moments;
    let rate =
        |from: &Moment, to: &Moment| share(float(to.arrived - from.arrived), (to.at - from.at).as_secs_f64());
    let each = |count: u64| share(float(count), float(end.arrived));
    let mut facts = vec![
        ("messages a second", rate(start, end)),
        (
            "messages a second, last tenth in first",
            share(rate(late, end), rate(start, early)),
        ),
        ("server CPU us a message", each(stage.server_cpu()?) / 1e3),
        ("WAL bytes a message", each(stage.written()?.wal - before.0.wal)),
        ("MB at most", megabytes(stage.server_peak()?)),
    ];
    if let Some((after, before)) = stage.database_cpu().zip(before.1) {
        let cpu = each(after.saturating_sub(before)) / 1e3;
        facts.push(("database CPU us a message", cpu));
    }
    for (what, value) in facts {
        table::fact(&format!("{name}: {what}"), database, value, results);
    }
    note_claims(name, database, moments, results)
}

/// What claiming a row took at the beginning and at the end, where the database tells.
fn note_claims(
    name: &str,
    database: Database,
    moments: &[Moment; 4],
    results: &mut Results,
) -> anyhow::Result<()> {
    let [Some(start), Some(early), Some(late), Some(end)] = moments.map(|moment| moment.claims) else {
        return Ok(());
    };
    ensure!(
        end.each_since(start).is_some(),
        "no statement that claims is among the database's statistics"
    );
    let (Some(first), Some(last)) = (early.each_since(start), end.each_since(late)) else {
        println!(
            "    {name}: too few rows to compare claims: the last tenth was claimed before the others had arrived"
        );
        return Ok(());
    };
    for (what, value) in [
        ("claim us a row, first tenth", first),
        ("claim us a row, last tenth", last),
        ("claim, last tenth in first", share(last, first)),
    ] {
        table::fact(&format!("{name}: {what}"), database, value, results);
    }
    Ok(())
}

/// Milliseconds since 1970, for ids.
pub(super) fn wall_clock() -> anyhow::Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_claimed_costs_nothing_that_could_be_told() {
        let claims = |rows, millis| Claims { rows, millis };
        let each = claims(300.0, 7.0).each_since(claims(100.0, 3.0)).unwrap();
        assert!((each - 20.0).abs() < 1e-9);
        assert_eq!(claims(100.0, 7.0).each_since(claims(100.0, 3.0)), None);
    }
}
