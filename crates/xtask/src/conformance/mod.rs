//! `cargo xtask conformance`: the real binary on real input, judged by software that is not ours.

mod api;
mod barrier;
mod check;
mod clients;
mod concurrency;
mod examples;
mod ground;
mod lifecycle;
mod lint;
mod metrics;
mod payloads;
mod python;
mod raw;
mod recorder;
mod relay;
mod replay;
mod retention;
mod retries;
mod signatures;
mod stage;
mod statistics;
pub(crate) mod tools;
mod traces;
mod unprivileged;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::postgres::Way;
use crate::postgres_ways;
use crate::product::{Binary, Database, Which};
use stage::{Databases, Stage};

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run only this part (may be repeated)
    #[arg(long = "part", visible_alias = "only", value_name = "PART")]
    part: Vec<Part>,
    /// Run only on this database (may be repeated)
    #[arg(long, value_name = "DATABASE")]
    database: Vec<Database>,
    /// Use this way to a throw-away PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    /// Repeat a run of `api`: the seed that it printed
    #[arg(long)]
    seed: Option<u64>,
    /// How many cases `api` makes up for an operation in each of its phases
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_examples: u32,
    /// How many trials `barrier` and `relay` make
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: u32,
    /// How many attempts `retention` lays, over four days
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(400..=100_000_000))]
    attempts: u32,
    #[command(flatten)]
    which: Which,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Every way to a throw-away PostgreSQL
    PostgresWays,
    /// The OpenAPI document, under two linters
    Lint,
    /// GitHub's example payloads, verified by the official libraries
    Payloads,
    /// A receiver that fails twice
    Retries,
    /// `dev --once` as root and as an ordinary user; a server that may write its data directory only
    Unprivileged,
    /// Starts that must wait or must not, ends that take too long, and what `doctor` finds
    Lifecycle,
    /// Every operation, fuzzed from the OpenAPI document
    Api,
    /// TypeScript and Python clients, generated from the document, send a message
    Clients,
    /// Signatures of both kinds in four libraries, across a rotation
    Signatures,
    /// One result for many concurrent requests of the same id or key
    Concurrency,
    /// A replay of what an endpoint lacks, with a kill -9 in the middle
    Replay,
    /// Two nodes: no attempt after a disable, and no message lost to a new endpoint
    Barrier,
    /// What a node shows of itself, against the documented list of metrics
    Metrics,
    /// Bytes that no client sends: what is too long, broken, smuggled, or does not end
    Raw,
    /// The event log's relay: kill -9 amid a storm of commands, an unknown event, a full disk; two nodes: how soon one
    /// sees what the other did, and what an idle system asks its database
    Relay,
    /// A million attempts: a day of them goes while somebody reads it, beside a DELETE of as many
    Retention,
    /// The trace of a message that fails once, in an OTLP back end with Jaeger's API
    Traces,
}

impl Part {
    const ALL: [Self; 17] = [
        Self::PostgresWays,
        Self::Lint,
        Self::Payloads,
        Self::Retries,
        Self::Unprivileged,
        Self::Lifecycle,
        Self::Api,
        Self::Clients,
        Self::Signatures,
        Self::Concurrency,
        Self::Replay,
        Self::Metrics,
        Self::Raw,
        Self::Barrier,
        Self::Relay,
        Self::Retention,
        Self::Traces,
    ];

    fn needs_the_binary(self) -> bool {
        !matches!(self, Self::PostgresWays)
    }

    fn needs_databases(self) -> bool {
        !matches!(self, Self::PostgresWays | Self::Lint | Self::Unprivileged)
    }

    /// Two nodes need a database that is a server; days are partitions there only.
    fn needs_postgres(self) -> bool {
        matches!(self, Self::Barrier | Self::Retention)
    }
}

/// Runs the chosen parts; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let (parts, left_out) = plan(options);
    ensure!(!parts.is_empty(), "{left_out:?} needs PostgreSQL");
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
        let outcome = play(*part, binary.as_ref(), databases.as_ref(), options);
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
    if !left_out.is_empty() {
        println!("\nnot tried without PostgreSQL: {left_out:?}");
    }
    println!("\n{} parts held, {failed} failed", parts.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn play(
    part: Part,
    binary: Option<&Binary>,
    databases: Option<&Databases>,
    options: &Options,
) -> anyhow::Result<()> {
    let binary = || binary.context("no binary");
    let stage = || {
        anyhow::Ok(Stage {
            binary: binary()?,
            databases: databases.context("no database")?,
            options,
        })
    };
    match part {
        Part::PostgresWays => ways(),
        Part::Lint => lint::run(binary()?),
        Part::Unprivileged => unprivileged::run(binary()?),
        Part::Lifecycle => lifecycle::run(&stage()?),
        Part::Payloads => payloads::run(&stage()?),
        Part::Retries => retries::run(&stage()?),
        Part::Traces => traces::run(&stage()?),
        Part::Api => api::run(&stage()?),
        Part::Clients => clients::run(&stage()?),
        Part::Signatures => signatures::run(&stage()?),
        Part::Concurrency => concurrency::run(&stage()?),
        Part::Replay => replay::run(&stage()?),
        Part::Metrics => metrics::run(&stage()?),
        Part::Raw => raw::run(&stage()?),
        Part::Barrier => barrier::run(&stage()?),
        Part::Relay => relay::run(&stage()?),
        Part::Retention => retention::run(&stage()?),
    }
}

fn ways() -> anyhow::Result<()> {
    let code = postgres_ways::run()?;
    ensure!(code == ExitCode::SUCCESS, "a way that should work here does not");
    Ok(())
}

/// The chosen parts: those that can run on the chosen databases, and those that cannot.
fn plan(options: &Options) -> (Vec<Part>, Vec<Part>) {
    let postgres = chosen(&options.database, &Database::ALL).contains(&Database::Postgres);
    chosen(&options.part, &Part::ALL)
        .into_iter()
        .partition(|part| postgres || !part.needs_postgres())
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
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn of(arguments: &[&str]) -> (Vec<Part>, Vec<Part>) {
        let words = std::iter::once(&"conformance").chain(arguments);
        plan(&Line::try_parse_from(words).unwrap().options)
    }

    #[test]
    fn without_a_choice_everything_is_tried() {
        assert_eq!(of(&[]), (Part::ALL.to_vec(), vec![]));
        assert_eq!(of(&["--part", "retries"]).0, [Part::Retries]);
        assert_eq!(
            of(&["--only", "api", "--part", "lint"]).0,
            [Part::Lint, Part::Api]
        );
        assert!(!Part::PostgresWays.needs_the_binary() && Part::Retries.needs_databases());
    }

    #[test]
    fn what_needs_postgres_is_left_out_on_sqlite_and_named() {
        let (tried, left_out) = of(&["--database", "sqlite"]);
        assert!(tried.contains(&Part::Replay));
        assert_eq!(left_out, [Part::Barrier, Part::Retention]);
        let barrier = of(&["--database", "sqlite", "--part", "barrier"]);
        assert_eq!(barrier, (vec![], vec![Part::Barrier]));
    }
}
