//! `cargo xtask recovery`: backup and restore as docs/runbook.md tells it, by the very scripts of deploy/recovery, on
//! the real binary. What was accepted before the point must be there and arrive; what is lost or repeated is counted.

mod postgres;
mod scene;
mod sqlite;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::product::{Binary, Database, Which};
use crate::{cargo, interrupt, process};

const SCRIPTS: &str = "deploy/recovery";
const SCRIPT_LIMIT: Duration = Duration::from_mins(5);

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run only on this database (may be repeated)
    #[arg(long, value_name = "DATABASE")]
    database: Vec<Database>,
    /// How many messages are published in each of the phases
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    messages: u32,
    #[command(flatten)]
    which: Which,
}

/// Runs on the chosen databases; the last line says how many held.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let binary = Binary::get(&options.which)?;
    let databases: Vec<Database> = Database::ALL
        .into_iter()
        .filter(|database| options.database.is_empty() || options.database.contains(database))
        .collect();
    let mut failed = 0;
    for database in &databases {
        let began = Instant::now();
        println!("\n== Restore of {}", database.name());
        let outcome = match database {
            Database::Sqlite => sqlite::run(&binary, options.messages),
            Database::Postgres => postgres::run(&binary, options.messages),
        };
        interrupt::check()?;
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("== Restore of {}: held ({seconds:.1} s)", database.name()),
            Err(error) => {
                failed += 1;
                println!(
                    "== Restore of {}: FAILED ({seconds:.1} s): {error:#}",
                    database.name()
                );
            }
        }
    }
    println!("\n{} passed, {failed} failed", databases.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The scripts, where every account can run them.
fn copy_scripts(to: &Path) -> anyhow::Result<PathBuf> {
    let target = to.join("scripts");
    std::fs::create_dir(&target)?;
    for entry in std::fs::read_dir(cargo::workspace_root().join(SCRIPTS)).context(SCRIPTS)? {
        let entry = entry?;
        std::fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(target)
}

/// Runs a script to its good end; the last line that it said.
fn script(command: &mut Command) -> anyhow::Result<String> {
    let said = process::capture(command, SCRIPT_LIMIT)?;
    Ok(said.lines().next_back().unwrap_or_default().trim().to_owned())
}
