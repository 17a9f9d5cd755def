//! `cargo xtask test`: all Rust tests, on memory, SQLite and a real PostgreSQL.

mod summary;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::postgres::{Postgres, Settings, URL_VARIABLE, Way};
use crate::{cargo, process};
pub use summary::Summary;

const LIMIT: Duration = Duration::from_mins(15);

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Use this way to a PostgreSQL and no other
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES", value_name = "WAY")]
    postgres: Option<Way>,
    /// Passed to `cargo test`; the contract cases of the databases are then not compared
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs the tests; the last line says how many passed and failed.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // The server first: without one, nobody should wait for a build to hear of it.
    let server = Postgres::start(options.postgres, Settings::TEST)?;
    println!("{server}");
    build(&options.arguments)?;
    let mut command = cargo_test(&options.arguments, &[]);
    command.env(URL_VARIABLE, server.url());
    let mut summary = Summary::default();
    let began = Instant::now();
    let ended = process::stream(&mut command, LIMIT, |line| {
        println!("{line}");
        summary.line(line);
    })?;
    drop(server);
    let mut problems = Vec::new();
    match ended {
        None => problems.push(format!(
            "stopped: not finished within {} minutes",
            LIMIT.as_secs() / 60
        )),
        Some(status) if !status.success() && summary.failed() == 0 => {
            problems.push(format!("cargo test ended with {status}: see above"));
        }
        // A filter that fits no test, most often.
        Some(_) if summary.ran() == 0 => problems.push("no test ran".to_owned()),
        Some(_) => {}
    }
    if options.arguments.is_empty() {
        problems.extend(summary.uneven());
    }
    let succeeded = problems.is_empty() && ended.is_some_and(|status| status.success());
    println!("\ntests took {} s", began.elapsed().as_secs());
    for line in problems
        .iter()
        .map(|problem| format!("error: {problem}"))
        .chain(summary.notes())
    {
        println!("{line}");
    }
    println!("{summary}");
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The build is not part of the time limit.
fn build(arguments: &[String]) -> anyhow::Result<()> {
    let status = process::run(&mut cargo_test(arguments, &["--no-run"]))?;
    if !status.success() {
        bail!("the tests do not build");
    }
    Ok(())
}

fn cargo_test(arguments: &[String], more: &[&str]) -> Command {
    let mut command = cargo::command();
    command.args(command_line(arguments, more));
    command
}

/// What goes to cargo comes before a `--` in the arguments, what goes to the test programs after it.
fn command_line(arguments: &[String], more: &[&str]) -> Vec<String> {
    let split = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    let (to_cargo, to_tests) = arguments.split_at(split);
    let names_packages = to_cargo.iter().any(|argument| {
        argument.starts_with("-p")
            || argument.starts_with("--package")
            || argument.starts_with("--manifest-path")
    });
    let mut line = vec!["test".to_owned(), "--no-fail-fast".to_owned()];
    if !names_packages {
        line.push("--workspace".to_owned());
    }
    line.extend(more.iter().map(|&argument| argument.to_owned()));
    line.extend(to_cargo.iter().chain(to_tests).cloned());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str], more: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        command_line(&arguments, more).join(" ")
    }

    #[test]
    fn the_whole_workspace_unless_packages_are_named() {
        assert_eq!(line(&[], &[]), "test --no-fail-fast --workspace");
        assert_eq!(line(&["-p", "x"], &[]), "test --no-fail-fast -p x");
        assert_eq!(
            line(&["delivery"], &[]),
            "test --no-fail-fast --workspace delivery"
        );
    }

    #[test]
    fn our_own_options_come_before_those_of_the_test_programs() {
        let line = line(&["-p", "x", "--", "--nocapture"], &["--no-run"]);
        assert_eq!(line, "test --no-fail-fast --no-run -p x -- --nocapture");
    }
}
