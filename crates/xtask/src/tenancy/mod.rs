//! `cargo xtask tenancy`: keys are rotated under load, what is revoked is refused everywhere, and a large tenant is
//! exported and erased without a row left.

pub(crate) mod client;
pub(crate) mod company;
mod load;
mod master;
mod revocation;
mod rotation;
mod scale;
pub(crate) mod site;

pub(crate) use scale::Watch;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;

use crate::interrupt;
use crate::postgres::{Postgres, Settings, Way};
use crate::product::{Binary, Database, Which};

/// More messages than this are published to the optimised binary: the other is too slow.
const MANY_MESSAGES: usize = 20_000;

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many messages the tenant has that is exported and erased
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    messages: u32,
    /// Run only these parts
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    parts: Vec<Part>,
    /// Run only on these databases
    #[arg(long, value_name = "DATABASES", value_delimiter = ',')]
    databases: Vec<Database>,
    /// Use this way to a throw-away PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    #[command(flatten)]
    which: Which,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Signing keys and the master key are rotated while people work
    Rotation,
    /// What is revoked at one node is refused by another
    Revocation,
    /// A large tenant is exported and erased
    Scale,
}

type Play = fn(&Binary, Database, Option<&Postgres>, &Options) -> anyhow::Result<()>;

impl Part {
    const ALL: [Self; 3] = [Self::Rotation, Self::Revocation, Self::Scale];

    /// Two nodes need a database that is a server.
    fn runs_on(self, database: Database) -> bool {
        self != Self::Revocation || database == Database::Postgres
    }

    fn play(self) -> Play {
        match self {
            Self::Rotation => rotation::run,
            Self::Revocation => revocation::run,
            Self::Scale => scale::run,
        }
    }
}

/// Runs the chosen parts; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let plan = plan(options);
    ensure!(!plan.is_empty(), "this part does not run on this database");
    let large = plan.iter().any(|(part, _)| *part == Part::Scale)
        && usize::try_from(options.messages)? > MANY_MESSAGES;
    let which = if large {
        options.which.clone().optimised()
    } else {
        options.which.clone()
    };
    let binary = Binary::get(&which)?;
    let postgres = if plan.iter().any(|(_, database)| *database == Database::Postgres) {
        let server = Postgres::start_throw_away(options.postgres, Settings::DURABLE)?;
        println!("{server}, durable");
        Some(server)
    } else {
        None
    };
    let mut failed = 0;
    for (part, database) in &plan {
        let began = Instant::now();
        let title = format!("{part:?} on {}", database.name());
        println!("\n== {title}");
        let server = postgres.as_ref().filter(|_| *database == Database::Postgres);
        let outcome = part.play()(&binary, *database, server, options);
        // What was started is stopped on the way out; nothing more is tried after a signal.
        interrupt::check()?;
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("== {title}: held ({seconds:.1} s)"),
            Err(error) => {
                failed += 1;
                println!("== {title}: FAILED ({seconds:.1} s): {error:#}");
            }
        }
    }
    println!("\n{} held, {failed} failed", plan.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Which part runs on which database, one after the other.
fn plan(options: &Options) -> Vec<(Part, Database)> {
    let parts = chosen(&options.parts, &Part::ALL);
    let databases = chosen(&options.databases, &Database::ALL);
    parts
        .into_iter()
        .flat_map(|part| databases.iter().map(move |database| (part, *database)))
        .filter(|(part, database)| part.runs_on(*database))
        .collect()
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

    fn of(arguments: &[&str]) -> anyhow::Result<Vec<(Part, Database)>> {
        let words = std::iter::once(&"tenancy").chain(arguments);
        Ok(plan(&Line::try_parse_from(words)?.options))
    }

    #[test]
    fn every_part_runs_wherever_it_can() {
        assert_eq!(of(&[]).unwrap().len(), 5);
        assert_eq!(of(&["--parts", "rotation,scale"]).unwrap().len(), 4);
        assert_eq!(
            of(&["--parts", "revocation", "--databases", "sqlite,postgres"]).unwrap(),
            [(Part::Revocation, Database::Postgres)]
        );
        assert_eq!(
            of(&["--parts", "revocation", "--databases", "sqlite"]).unwrap(),
            []
        );
        assert!(of(&["--messages", "5"]).is_err());
    }
}
