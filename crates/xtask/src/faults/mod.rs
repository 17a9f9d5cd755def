//! `cargo xtask faults`: what was answered with 202 must arrive, whatever is killed in the middle.

mod arrivals;
mod publisher;
mod report;
mod rolling;
mod round;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::chance;
use crate::interrupt;
use crate::postgres::{Postgres, Settings, Way};
use crate::product::{Binary, Database, Which};
use round::Plan;

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often each fault strikes on each database, at another moment each time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Strike with this fault only (may be repeated)
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Run only on this database (may be repeated)
    #[arg(long, value_name = "DATABASE")]
    database: Vec<Database>,
    /// How many messages are published in a round
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// How many of them must be accepted, and queued or in flight, when the fault strikes
    #[arg(long, default_value_t = 2_000)]
    unfinished: usize,
    /// How many seconds a killed PostgreSQL stays away (a node's lease lasts 15)
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=60))]
    away: u64,
    /// How often `rolling` restarts each node
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    restarts: u32,
    /// Decides the moments; a run prints its own
    #[arg(long)]
    seed: Option<u64>,
    /// Use this way to a throw-away PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    #[command(flatten)]
    which: Which,
}

/// What strikes while messages are accepted and delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    /// `kill -9` of postrider
    Kill,
    /// SIGTERM to postrider, which then ends in order
    Terminate,
    /// `kill -9` of PostgreSQL
    Database,
    /// Two nodes behind a proxy, restarted one after the other
    Rolling,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Kill, Self::Terminate, Self::Database, Self::Rolling];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of postrider",
            Self::Terminate => "SIGTERM to postrider",
            Self::Database => "kill -9 of PostgreSQL",
            Self::Rolling => "rolling restart of two nodes behind a proxy",
        }
    }

    /// An embedded database has no process of its own to kill, and serves one node.
    fn strikes(self, database: Database) -> bool {
        !matches!(self, Self::Database | Self::Rolling) || database == Database::Postgres
    }
}

/// Plays all rounds; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let rounds = rounds(options);
    ensure!(!rounds.is_empty(), "this fault cannot strike on this database");
    let binary = Binary::get(&options.which)?;
    let mut postgres = if rounds.iter().any(|(database, _)| *database == Database::Postgres) {
        let server = Postgres::start_throw_away(options.postgres, Settings::DURABLE)?;
        println!("{server}, durable");
        Some(server)
    } else {
        None
    };
    let base = options.seed.map_or_else(chance::seed, Ok)?;
    println!("seed {base}");
    let mut failed = 0;
    for (number, (database, fault)) in rounds.iter().enumerate() {
        let plan = Plan {
            fault: *fault,
            messages: options.messages,
            unfinished: options.unfinished,
            away: Duration::from_secs(options.away),
            seed: base.wrapping_add(u64::try_from(number)?),
        };
        let began = Instant::now();
        println!(
            "\n{} on {} (round {} of {})",
            fault.name(),
            database.name(),
            number + 1,
            rounds.len()
        );
        let server = postgres.as_mut().filter(|_| *database == Database::Postgres);
        let outcome = match (fault, server) {
            (Fault::Rolling, Some(server)) => rolling::play(options.restarts, &binary, server),
            (_, server) => round::play(plan, &binary, server),
        };
        // What was started is stopped on the way out; nothing more is tried after a signal.
        interrupt::check()?;
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("  held ({seconds:.1} s)"),
            Err(error) => {
                failed += 1;
                println!("  FAILED ({seconds:.1} s): {error:#}");
            }
        }
    }
    println!(
        "\n{} rounds held, {failed} failed (seed {base})",
        rounds.len() - failed
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Which fault strikes on which database, one after the other.
fn rounds(options: &Options) -> Vec<(Database, Fault)> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        for database in Database::ALL {
            for fault in Fault::ALL {
                let wanted = (options.database.is_empty() || options.database.contains(&database))
                    && (options.fault.is_empty() || options.fault.contains(&fault));
                if wanted && fault.strikes(database) {
                    rounds.push((database, fault));
                }
            }
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn of(arguments: &[&str]) -> Vec<(Database, Fault)> {
        let words = std::iter::once(&"faults").chain(arguments);
        rounds(&Line::try_parse_from(words).unwrap().options)
    }

    #[test]
    fn every_fault_strikes_wherever_it_can() {
        assert_eq!(of(&[]).len(), 6);
        assert_eq!(of(&["--rounds", "3"]).len(), 18);
        assert_eq!(of(&["--fault", "kill"]).len(), 2);
        assert_eq!(of(&["--fault", "database", "--database", "sqlite"]), []);
        assert_eq!(
            of(&["--fault", "rolling"]),
            [(Database::Postgres, Fault::Rolling)]
        );
        assert_eq!(
            of(&["--database", "sqlite"]),
            [
                (Database::Sqlite, Fault::Kill),
                (Database::Sqlite, Fault::Terminate)
            ]
        );
    }
}
