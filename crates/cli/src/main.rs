//! The `postrider` binary: `serve`, `dev`, `receive` and the operator's tools.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user on standard output and standard error"
)]

mod args;
mod commands;
mod configuration;
mod dev;
mod ending;
mod files;
mod options;
mod receiver;
mod runtime;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("postrider: {error}");
            let mut cause = error.source();
            while let Some(next) = cause {
                eprintln!("  because {next}");
                cause = next.source();
            }
            ExitCode::FAILURE
        }
    }
}
