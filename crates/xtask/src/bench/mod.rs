//! `cargo xtask bench`: the real binary on real databases, measured from outside, beside its own limits.

mod clock;
mod events;
mod histogram;
mod http1;
mod load;
mod machine;
mod measure;
mod numbers;
mod payload;
mod peer;
mod processes;
mod programs;
mod results;
mod scenarios;
mod sink;
mod stage;
mod table;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::interrupt;
use crate::postgres::{Postgres, Settings, Way};
use crate::product::{Database, Which};

pub use load::{LoadOptions, run as run_load};
use machine::Machine;
use programs::Programs;
use results::Results;
use scenarios::{Bench, Scenario};
pub use sink::{SinkOptions, run as run_sink};

/// How long the slow endpoint takes to answer, in milliseconds.
const SLOW_MS: u64 = 30_000;

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// On which database
    #[arg(long, default_value = "both")]
    database: Databases,
    /// How long each scenario publishes
    #[arg(long, default_value_t = 15.0, value_name = "SECONDS", value_parser = length_of_a_load)]
    seconds: f64,
    /// Play these scenarios only (several with commas)
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Seconds instead of minutes: figures to look at, not to quote
    #[arg(long)]
    quick: bool,
    /// How many rows there are in `slow`, `scale` and `backlog`, instead of as many as the targets say
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    rows: Option<u64>,
    /// Write everything that was measured to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use this way to a throw-away PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    /// Build no `limits` example, run this one
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Build no optimised copy of this tool, run this one as load generator and receiver
    #[arg(long, value_name = "FILE")]
    children: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Which databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Databases {
    Sqlite,
    Postgres,
    Both,
}

impl Databases {
    fn list(self) -> Vec<Database> {
        match self {
            Self::Sqlite => vec![Database::Sqlite],
            Self::Postgres => vec![Database::Postgres],
            Self::Both => vec![Database::Postgres, Database::Sqlite],
        }
    }
}

impl Options {
    /// How long a scenario publishes.
    fn seconds(&self) -> f64 {
        if self.quick {
            self.seconds.min(4.0)
        } else {
            self.seconds
        }
    }

    fn scenarios(&self) -> Vec<Scenario> {
        if self.scenario.is_empty() {
            Scenario::USUAL.to_vec()
        } else {
            self.scenario.clone()
        }
    }
}

/// Seconds, from one to an hour: what is shorter measures nothing.
fn length_of_a_load(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=3_600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("not from 1 to 3600".to_owned())
    }
}

/// Measures everything that is wanted; fails only if the server misbehaves.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let programs = Programs::get(
        &options.which,
        options.limits.as_deref(),
        options.children.as_deref(),
    )?;
    let databases = options.database.list();
    let postgres = if databases.contains(&Database::Postgres) {
        let mut server = Postgres::start_throw_away(options.postgres, Settings::DURABLE)?;
        if options.scenarios().contains(&Scenario::Backlog) {
            count_statements(&mut server)?;
        }
        Some(server)
    } else {
        None
    };
    let machine = Machine::look(&std::env::temp_dir(), postgres.as_ref().map(ToString::to_string))?;
    print!("{}", table::machine(&machine));
    let mut bench = Bench::new(&programs, options)?;
    let mut results = Results::new(machine, options.seconds());
    let mut failures = Vec::new();
    for database in databases {
        let server = postgres.as_ref().filter(|_| database == Database::Postgres);
        for scenario in options.scenarios() {
            let played = bench.play(scenario, server, &mut results);
            interrupt::check()?;
            if let Err(error) = played {
                println!("{} on {} FAILED: {error:#}", scenario.name(), database.name());
                failures.push(format!("{} on {}: {error:#}", scenario.name(), database.name()));
            }
        }
    }
    results.failures = failures;
    results.targets = targets::judge(&results);
    print!("\n{}", table::results(&results));
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&results)?;
        std::fs::write(file, json + "\n").with_context(|| file.display().to_string())?;
    }
    Ok(if results.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes the server count statements, where it has the library for it.
fn count_statements(server: &mut Postgres) -> anyhow::Result<()> {
    const KNOWN: &str = "select 1 from pg_available_extensions where name = 'pg_stat_statements'";
    if server.query(KNOWN)?.is_empty() {
        return Ok(());
    }
    server.query("alter system set shared_preload_libraries = 'pg_stat_statements'")?;
    server.stop()?;
    server.start_again()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_has_a_length_that_can_be_measured() {
        assert!(length_of_a_load("2.5").is_ok());
        for wrong in ["0", "-1", "NaN", "inf", "4000", "soon"] {
            assert!(length_of_a_load(wrong).is_err(), "{wrong}");
        }
    }
}
