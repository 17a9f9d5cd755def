//! A day of history goes, by the product's own retention, while somebody reads and others write; beside it, the same
//! day as a DELETE.

mod days;
mod statements;
mod traffic;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::ground::Ground;
use super::stage::Stage;
use super::statistics::ratio;
use crate::interrupt;
use crate::postgres::{Connection, Postgres};
use days::{Day, HISTORY};
use traffic::Traffic;
use watch::Watched;

/// The most that a day is kept beyond its time is a round; here a second.
const SETTINGS: &[(&str, &str)] = &[
    ("RETENTION__INTERVAL_S", "1"),
    ("RETENTION__MESSAGES_DAYS", "32"),
    ("RETENTION__PAYLOADS_DAYS", "32"),
    ("RETENTION__ATTEMPTS_DAYS", "32"),
];
const KEPT_DAYS: u64 = 32;
/// The product's advisory lock of retention: whoever has it is at it, and nobody else.
const ADVISORY_LOCK: u64 = 0x706f_7374_001b;
/// How long others are looked at with nothing going on.
const BEFORE: Duration = Duration::from_secs(5);
/// How long the reader keeps its snapshot while retention wants the day.
const READS_FOR: Duration = Duration::from_secs(20);
/// By then a day is gone that nobody reads any more.
const GONE_WITHIN: Duration = Duration::from_mins(2);
/// Retention waits for two seconds at a time; a look may be late.
const MOST_WAITED: Duration = Duration::from_secs(4);
/// A statement's line is written when it is over, which is seen before.
const LOG_IS_BEHIND: Duration = Duration::from_secs(1);
/// How long one statement may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// The days that are laid, and what becomes of them.
struct Days {
    /// Goes while somebody reads it.
    read: Day,
    /// Goes while nobody else is at work, once the queue refers to it no more.
    alone: Day,
    /// Is deleted row by row.
    deleted: Day,
    /// Stays.
    kept: Day,
    /// Of each.
    rows: u64,
}

/// Runs on one node.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let rows = u64::from(stage.options.attempts) / 4;
    stage.on_postgres(SETTINGS, |postgres, ground| {
        let show = Show::new(postgres, ground)?;
        // Of sessions that begin from now on; other parts use the server after us.
        postgres.query("alter role postrider set log_min_duration_statement = 0")?;
        let played = show.play(rows);
        postgres.query("alter role postrider reset log_min_duration_statement")?;
        played
    })
}

struct Show<'s> {
    postgres: &'s Postgres,
    ground: &'s Ground,
    port: u16,
    database: String,
}

impl<'s> Show<'s> {
    fn new(postgres: &'s Postgres, ground: &'s Ground) -> anyhow::Result<Self> {
        Ok(Self {
            port: postgres.port().context("a server of ours has a port")?,
            database: ground
                .site
                .database()
                .context("the installation has no database")?
                .to_owned(),
            postgres,
            ground,
        })
    }

    fn connection(&self) -> anyhow::Result<Connection> {
        let connection = Connection::open(self.port, &self.database)?;
        connection.wait_up_to(PATIENCE)?;
        Ok(connection)
    }

    fn play(&self, rows: u64) -> anyhow::Result<()> {
        let mut ours = self.connection()?;
        // Until it is let go, no node drops anything.
        ours.query(&format!("select pg_advisory_lock({ADVISORY_LOCK})"))?;
        let days = Self::lay(&mut ours, rows)?;
        let ((), before) = self.with_others(|| sleep(BEFORE))?;
        println!("\nwith nothing going on\n{}", before.1);
        self.while_read(&mut ours, &days, &before.1)?;
        let dropped = self.alone(&mut ours, &days)?;
        let deleted = self.deleted(&mut ours, &days)?;
        println!("\na day of {rows} messages, payloads, deliveries and attempts each");
        println!(
            "  {:<44} {:>14} {:>14} {:>10}",
            "", "the partition", "DELETE", "ratio"
        );
        for (what, unit, of) in [
            (
                "until it is gone, with a round a second",
                "ms",
                (dropped.ms, deleted.ms),
            ),
            (
                "time of its statements",
                "ms",
                (dropped.statements_ms, deleted.statements_ms),
            ),
            ("WAL", "KiB", (dropped.wal_kib, deleted.wal_kib)),
            ("on disk before", "KiB", (dropped.before_kib, deleted.before_kib)),
            (
                "on disk afterwards",
                "KiB",
                (dropped.after_kib, deleted.after_kib),
            ),
        ] {
            let times = if of.0 > 0.0 {
                format!("{:.1}", of.1 / of.0)
            } else {
                "-".to_owned()
            };
            println!(
                "  {:<44} {:>14.0} {:>14.0} {times:>10}",
                format!("{what}, {unit}"),
                of.0,
                of.1
            );
        }
        Ok(())
    }

    fn lay(ours: &mut Connection, rows: u64) -> anyhow::Result<Days> {
        let began = Instant::now();
        let today = days::number(ours, "select (extract(epoch from now()) / 86400)::bigint - 1")?;
        let ago = |days: u64| Day(today - days);
        let days = Days {
            read: ago(KEPT_DAYS + 3),
            alone: ago(KEPT_DAYS + 2),
            deleted: ago(KEPT_DAYS - 2),
            kept: ago(KEPT_DAYS - 3),
            rows,
        };
        let all = [days.read, days.alone, days.deleted, days.kept];
        // What is between them belongs to the one before, and is empty.
        days::cut(
            ours,
            &[
                all[0],
                all[1],
                ago(KEPT_DAYS + 1),
                all[2],
                all[3],
                ago(KEPT_DAYS - 4),
            ],
        )?;
        for day in all {
            days::fill(ours, day, rows)?;
        }
        ours.query("analyze messages, payloads, deliveries, attempts")?;
        days::hold_back(ours, days.alone)?;
        println!(
            "{} days of {rows} attempts each, with messages, payloads and deliveries: {:.0} s",
            all.len(),
            began.elapsed().as_secs_f64()
        );
        Ok(days)
    }

    /// Does something while others write and read, and somebody looks at locks.
    fn with_others<T>(
        &self,
        job: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, (Watched, Traffic))> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| watch::watch(self.port, &self.database, &stop));
            let sql = scope.spawn(|| traffic::statements(self.port, &self.database, &stop));
            let rest = scope
                .spawn(|| traffic::requests(self.ground.client(0), &self.ground.company.application, &stop));
            let done = job();
            stop.store(true, Ordering::Relaxed);
            let panicked = |_| anyhow::anyhow!("a thread panicked");
            let watched = watch.join().map_err(panicked)??;
            let sql = sql.join().map_err(panicked)??;
            let rest = rest.join().map_err(panicked)??;
            Ok((done?, (watched, sql.and(rest))))
        })
    }

    /// Somebody has read the tables and keeps the snapshot: retention waits, again and again, and nobody behind it.
    fn while_read(&self, ours: &mut Connection, days: &Days, before: &Traffic) -> anyhow::Result<()> {
        let mut reader = self.connection()?;
        reader.query("begin isolation level repeatable read")?;
        let count = |reader: &mut Connection| {
            HISTORY
                .iter()
                .map(|(table, column)| {
                    let until = days.alone.first_id();
                    days::number(
                        reader,
                        &format!("select count(*) from {table} where {column} < '{until}'"),
                    )
                })
                .collect::<anyhow::Result<Vec<_>>>()
        };
        let seen = count(&mut reader)?;
        ensure!(seen == [days.rows; 4], "the reader sees {seen:?}");
        let mark = self.log_length();
        ours.query(&format!("select pg_advisory_unlock({ADVISORY_LOCK})"))?;
        let ((), (watched, traffic)) = self.with_others(|| sleep(READS_FOR))?;
        println!("\na reader keeps a snapshot of the day for {READS_FOR:?}\n{watched}\n{traffic}");
        println!(
            "  the slowest is {:.1} times the slowest with nothing going on",
            ratio(traffic.slowest(), before.slowest())
        );
        self.said(mark)?;
        let (attached, tables) = days::left(ours, days.read)?;
        println!(
            "  of 4 partitions of the day new statements still see {attached}; {tables} tables are there"
        );
        let again = count(&mut reader)?;
        ensure!(again == seen, "the reader saw {seen:?}, and now {again:?}");
        println!("  the reader sees what it saw: {again:?}");
        ensure!(tables == 4, "the day went while somebody read it");
        ensure!(
            watched.saw_it(),
            "retention was not seen to wait for the reader: nobody was looked at"
        );
        judge(&watched)?;

        let mark = self.log_length();
        let began = Instant::now();
        let (gone, (watched, traffic)) = self.with_others(|| {
            reader.query("commit")?;
            self.gone(days.read)
        })?;
        println!(
            "\nthe reader lets go: the day is gone {:.1} s later\n{watched}\n{traffic}",
            gone.duration_since(began).as_secs_f64()
        );
        self.said(mark)?;
        judge(&watched)?;
        let (attached, _) = days::left(ours, days.alone)?;
        ensure!(attached == 4, "a day went that the queue refers to");
        println!("  the next day stays: the queue refers to it");
        Ok(())
    }

    /// The next day, once the queue refers to it no more: nobody else is at work, so that all that is written is its.
    fn alone(&self, ours: &mut Connection, days: &Days) -> anyhow::Result<Cost> {
        // A snapshot of other tables, as a backup or a report has.
        let mut elsewhere = self.elsewhere()?;
        ours.query("checkpoint")?;
        let before = days::bytes(ours, days.alone)?;
        let (mark, wal) = (self.log_length(), days::wal(ours)?);
        let began = Instant::now();
        days::let_go(ours)?;
        let gone = self.gone(days.alone)?;
        let wal = days::wal(ours)? - wal;
        println!("\nthe queue refers to the day no more, and nobody reads it");
        let statements = self.said(mark)?;
        elsewhere.query("commit")?;
        Ok(Cost {
            ms: gone.duration_since(began).as_secs_f64() * 1e3,
            statements_ms: statements,
            wal_kib: kib(wal),
            before_kib: kib(before),
            after_kib: kib(days::bytes(ours, days.alone)?),
        })
    }

    /// A day of the same size, row by row.
    fn deleted(&self, ours: &mut Connection, days: &Days) -> anyhow::Result<Cost> {
        let mut elsewhere = self.elsewhere()?;
        ours.query("checkpoint")?;
        ours.query(&format!("set application_name = '{}'", watch::COMPARED))?;
        let before = days::bytes(ours, days.deleted)?;
        let wal = days::wal(ours)?;
        let (took, (watched, traffic)) = self.with_others(|| {
            let began = Instant::now();
            for (table, column) in HISTORY {
                let (from, to) = (days.deleted.first_id(), days.kept.first_id());
                ours.query(&format!(
                    "delete from {table} where {column} >= '{from}' and {column} < '{to}'"
                ))?;
            }
            Ok(began.elapsed())
        })?;
        let wal = days::wal(ours)? - wal;
        println!("\nthe same as DELETE\n{watched}\n{traffic}");
        for (table, _) in HISTORY {
            ours.query(&format!("vacuum {}", days.deleted.partition(table)))?;
        }
        let after = days::bytes(ours, days.deleted)?;
        elsewhere.query("commit")?;
        Ok(Cost {
            ms: took.as_secs_f64() * 1e3,
            statements_ms: took.as_secs_f64() * 1e3,
            wal_kib: kib(wal),
            before_kib: kib(before),
            after_kib: kib(after),
        })
    }

    fn elsewhere(&self) -> anyhow::Result<Connection> {
        let mut reader = self.connection()?;
        reader.query("begin isolation level repeatable read")?;
        reader.query("select count(*) from tenants")?;
        Ok(reader)
    }

    /// When nothing is left of the day.
    fn gone(&self, day: Day) -> anyhow::Result<Instant> {
        let mut looks = self.connection()?;
        let deadline = Instant::now() + GONE_WITHIN;
        while days::left(&mut looks, day)?.1 > 0 {
            ensure!(
                Instant::now() < deadline,
                "a day is not gone after {GONE_WITHIN:?}"
            );
            sleep(Duration::from_millis(20))?;
        }
        Ok(Instant::now())
    }

    fn log_length(&self) -> usize {
        self.postgres.log().map_or(0, |log| log.len())
    }

    /// Prints what the server's log says of statements on partitions since then; how long they took, in milliseconds.
    fn said(&self, since: usize) -> anyhow::Result<f64> {
        sleep(LOG_IS_BEHIND)?;
        let log = self.postgres.log().unwrap_or_default();
        let statements = statements::read(log.get(since..).unwrap_or_default());
        println!("  statements, by the server's log:");
        for (text, found) in &statements {
            println!("    {found}  {text}");
        }
        Ok(statements.values().map(statements::Took::sum).sum())
    }
}

/// What it cost to be rid of a day.
struct Cost {
    ms: f64,
    statements_ms: f64,
    wal_kib: f64,
    before_kib: f64,
    after_kib: f64,
}

#[expect(clippy::cast_precision_loss, reason = "sizes below the petabyte are exact")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

/// Nobody waits behind retention, and it never waits for long.
fn judge(watched: &Watched) -> anyhow::Result<()> {
    ensure!(
        watched.behind.is_zero(),
        "somebody waited {:?} behind retention",
        watched.behind
    );
    let waited = watched.waited();
    ensure!(waited < MOST_WAITED, "retention waited {waited:?} at a stretch");
    Ok(())
}

fn sleep(time: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(20).min(time));
    }
    Ok(())
}
