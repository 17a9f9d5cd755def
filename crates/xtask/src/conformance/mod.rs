//! `cargo xtask conformance`: the real binary on real input, judged by software that is not ours.

mod check;
mod examples;
mod payloads;
mod python;
mod retries;
mod unprivileged;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;

use crate::postgres::{Postgres, Settings, Way};
use crate::postgres_ways;
use crate::product::{Binary, Database, Installation, Running, Which};

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run only this part (may be repeated)
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Run only on this database (may be repeated)
    #[arg(long, value_name = "DATABASE")]
    database: Vec<Database>,
    /// Use this way to a throw-away PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    #[command(flatten)]
    which: Which,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Every way to a throw-away PostgreSQL
    PostgresWays,
    /// GitHub's example payloads, verified by the official libraries
    Payloads,
    /// A receiver that fails twice
    Retries,
    /// `dev --once` as root and as an ordinary user
    Unprivileged,
}

impl Part {
    const ALL: [Self; 4] = [
        Self::PostgresWays,
        Self::Payloads,
        Self::Retries,
        Self::Unprivileged,
    ];

    fn needs_the_binary(self) -> bool {
        self != Self::PostgresWays
    }

    fn needs_databases(self) -> bool {
        matches!(self, Self::Payloads | Self::Retries)
    }
}

/// The databases to run on, with a server for PostgreSQL.
struct Databases {
    chosen: Vec<Database>,
    postgres: Option<Postgres>,
}

impl Databases {
    fn start(options: &Options) -> anyhow::Result<Self> {
        let chosen = chosen(&options.database, &Database::ALL);
        let postgres = if chosen.contains(&Database::Postgres) {
            Some(Postgres::start_throw_away(options.postgres, Settings::DURABLE)?)
        } else {
            None
        };
        if let Some(server) = &postgres {
            println!("{server}");
        }
        Ok(Self { chosen, postgres })
    }

    /// Begins a new installation on each and hands it over, one after the other.
    fn each(
        &self,
        binary: &Binary,
        mut job: impl FnMut(Database, &Running) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for &database in &self.chosen {
            let server = self.postgres.as_ref().filter(|_| database == Database::Postgres);
            let running = Running::begin(Installation::new(binary, server)?)?;
            job(database, &running).map_err(|error| error.context(format!("on {}", database.name())))?;
            let complaints = running.complaints();
            for (said, count) in complaints.others.iter().take(5) {
                println!("  logged {count} times: {said}");
            }
            ensure!(
                complaints.panics.is_empty(),
                "the server panicked: {}",
                complaints.panics.join(" | ")
            );
        }
        Ok(())
    }
}

/// Runs the chosen parts; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let parts = chosen(&options.only, &Part::ALL);
    let binary = if parts.iter().any(|part| part.needs_the_binary()) {
        Some(Binary::get(&options.which)?)
    } else {
        None
    };
    let databases = if parts.iter().any(|part| part.needs_databases()) {
        Some(Databases::start(options)?)
    } else {
        None
    };
    let mut failed = 0;
    for part in &parts {
        let began = Instant::now();
        println!("\n== {part:?}");
        let outcome = match (part, &binary, &databases) {
            (Part::Payloads, Some(binary), Some(databases)) => payloads::run(binary, databases),
            (Part::Retries, Some(binary), Some(databases)) => retries::run(binary, databases),
            (Part::Unprivileged, Some(binary), _) => unprivileged::run(binary),
            _ => ways(),
        };
        // What was started is stopped on the way out; nothing more is tried after a signal.
        crate::interrupt::check()?;
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("== {part:?}: held ({seconds:.1} s)"),
            Err(error) => {
                failed += 1;
                println!("== {part:?}: FAILED ({seconds:.1} s): {error:#}");
            }
        }
    }
    println!("\n{} parts held, {failed} failed", parts.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn ways() -> anyhow::Result<()> {
    let code = postgres_ways::run()?;
    ensure!(code == ExitCode::SUCCESS, "a way that should work here does not");
    Ok(())
}

/// Without a choice: all.
fn chosen<T: Copy + PartialEq>(named: &[T], all: &[T]) -> Vec<T> {
    all.iter()
        .copied()
        .filter(|one| named.is_empty() || named.contains(one))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_choice_everything_is_tried() {
        assert_eq!(chosen(&[], &Part::ALL).len(), 4);
        assert_eq!(chosen(&[Part::Retries], &Part::ALL), [Part::Retries]);
        assert!(!Part::PostgresWays.needs_the_binary() && Part::Retries.needs_databases());
    }
}
