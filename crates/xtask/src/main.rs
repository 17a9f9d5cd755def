//! `cargo xtask`: see `cargo xtask --help`.

#![expect(
    clippy::print_stderr,
    reason = "a developer tool talks to the developer's terminal"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
#[cfg(target_os = "linux")]
use xtask::bench;
use xtask::{
    check_arch, check_docs, conformance, deploy, faults, follow, generate, interrupt, postgres_ways,
    recovery, sbom, tenancy, test,
};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Postrider's chores",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check who depends on whom, and where things lie, against arch.toml
    CheckArch,
    /// Check docs/architecture.md against the code, links of all pages, and the indexes
    CheckDocs,
    /// Write the generated files, or check that they are current
    Generate(generate::Options),
    /// Run all Rust tests on memory, SQLite and a real PostgreSQL
    Test(test::Options),
    /// Run the real binary on real input, verified by the official Standard Webhooks libraries
    Conformance(conformance::Options),
    /// Check everything that puts Postrider to work: image, manifests, alerts, dashboard, proxies, runbook
    CheckDeploy(deploy::Options),
    /// Follow README and guide as a newcomer would: run every command, compare what it prints
    FollowDocs(follow::Options),
    /// Kill the binary or its database in the middle of everything, and count what arrives
    Faults(faults::Options),
    /// Back up and restore as docs/runbook.md tells it, on both databases, and count what is there and what arrives
    Recovery(recovery::Options),
    /// Rotate keys under load, revoke on one node of two, export and erase a large tenant
    Tenancy(tenancy::Options),
    /// Measure the real binary on both databases, beside its own limits
    #[cfg(target_os = "linux")]
    Bench(bench::Options),
    /// Play the load generator of a benchmark
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    BenchLoad(bench::LoadOptions),
    /// Play the receiver of a benchmark
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    BenchReceiver(bench::SinkOptions),
    /// Write what the shipped binary is made of, as a bill of materials
    Sbom(sbom::Options),
    /// Bring up a throw-away PostgreSQL by every way this machine has
    PostgresWays,
    /// Bring up one throw-away PostgreSQL, kill it, and ask it what it kept
    #[command(hide = true)]
    PostgresProbe(postgres_ways::ProbeOptions),
}

fn main() -> ExitCode {
    let outcome = interrupt::install().and_then(|()| match Cli::parse().command {
        Command::CheckArch => check_arch::run(),
        Command::CheckDocs => check_docs::run(),
        Command::Generate(options) => generate::run(options),
        Command::Test(options) => test::run(&options),
        Command::Conformance(options) => conformance::run(&options),
        Command::CheckDeploy(options) => deploy::run(&options),
        Command::FollowDocs(options) => follow::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Recovery(options) => recovery::run(&options),
        Command::Sbom(options) => sbom::run(&options),
        Command::Tenancy(options) => tenancy::run(&options),
        #[cfg(target_os = "linux")]
        Command::Bench(options) => bench::run(&options),
        #[cfg(target_os = "linux")]
        Command::BenchLoad(options) => bench::run_load(&options),
        #[cfg(target_os = "linux")]
        Command::BenchReceiver(options) => bench::run_sink(&options),
        Command::PostgresWays => postgres_ways::run(),
        Command::PostgresProbe(options) => postgres_ways::probe(options),
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            match interrupt::signal() {
                Some(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
                None => ExitCode::FAILURE,
            }
        }
    }
}
