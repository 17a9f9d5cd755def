//! The limits that `cargo xtask bench` holds the product against, made of the product's own parts:
//!
//! * `serve --intake discard`: the real server, which answers 202 without storing;
//! * `serve --intake plain`: the real server, which stores each message by a transaction of its own;
//! * `batches`: the same rows in batches, by the database alone;
//! * `client`: the sender against a receiver, without anything around it;
//! * `sql`: runs statements on an installation that nobody serves, to fill it with rows.
//!
//! No product: what it accepts it loses.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user on standard output and standard error"
)]

#[path = "../../src/args.rs"]
mod args;
mod batches;
mod client;
#[path = "../../src/configuration/mod.rs"]
#[expect(dead_code, reason = "the product's own, of which `serve` here needs less")]
mod configuration;
#[path = "../../src/ending.rs"]
#[expect(dead_code, reason = "the product's own, of which `serve` here needs less")]
mod ending;
#[path = "../../src/files.rs"]
mod files;
mod intake;
#[path = "../../src/options.rs"]
#[expect(dead_code, reason = "the product's own, of which only `serve` is used here")]
mod options;
#[path = "../../src/runtime.rs"]
mod runtime;
mod serve;
mod sql;
mod storage;
#[path = "../../src/telemetry/mod.rs"]
#[expect(dead_code, reason = "the product's own, of which only `serve` is used here")]
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

/// Why a command failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The limits that the product is measured against.
#[derive(Debug, clap::Parser)]
enum Command {
    /// Serve with another way in
    Serve(serve::Args),
    /// Insert the rows of accepted messages in batches
    Batches(batches::Args),
    /// Send to a receiver
    Client(client::Args),
    /// Run the statements on standard input
    Sql(args::ConfigArgs),
}

/// What a measurement amounts to.
#[derive(Debug, serde::Serialize)]
struct Done {
    /// How many messages, or requests.
    count: u64,
    /// How long it took.
    seconds: f64,
    /// CPU time of this process, in nanoseconds.
    cpu: u64,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Serve(args) => serve::run(&args),
        Command::Batches(args) => batches::run(&args),
        Command::Client(args) => client::run(args),
        Command::Sql(args) => sql::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limits: {error}");
            let mut cause = error.source();
            while let Some(next) = cause {
                eprintln!("  because {next}");
                cause = next.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Counts from `began` on; says it as JSON.
fn tell(count: u64, took: std::time::Duration, cpu: u64) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    println!("{}", serde_json::to_string(&Done { count, seconds, cpu })?);
    Ok(())
}

/// CPU time of this process so far, in nanoseconds.
fn own_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}
