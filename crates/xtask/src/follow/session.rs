//! Following a page: a folder of its own, a shell, and what the page needs beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::marks::Mark;
use super::page::Page;
use super::ports::{self, Ports};
use super::script::{self, Step};
use super::{Options, expect};
use crate::deploy::programs::Program;
use crate::postgres::{Account, Postgres, Settings};
use crate::process::{self, Group};
use crate::product::{Binary, without_own_settings};
use crate::{cache, cargo};

/// Packages are fetched and programs built on some pages.
const LIMIT: Duration = Duration::from_mins(15);
const GRACE: Duration = Duration::from_secs(5);

/// Runs the blocks of these pages in one shell; an error names the first that failed.
pub(super) fn follow(pages: &[&Page], binary: &Binary, options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("postrider-page-").tempdir()?;
    let outcome = in_folder(folder.path(), pages, binary, options);
    if options.keep {
        println!("  kept: {}", folder.keep().display());
    }
    outcome
}

fn in_folder(folder: &Path, pages: &[&Page], binary: &Binary, options: &Options) -> anyhow::Result<()> {
    let [blocks, work, programs] = ["blocks", "work", "bin"].map(|name| folder.join(name));
    for each in [&blocks, &work, &programs] {
        std::fs::create_dir(each)?;
    }
    let steps = script::steps(pages);
    std::os::unix::fs::symlink(binary.path(), programs.join("postrider"))?;
    if calls(&steps, "go") {
        let go = Program::get("go", "golang-go").context("the page needs Go")?;
        std::os::unix::fs::symlink(go.path(), programs.join("go"))?;
    }
    let postgres = if needs_postgres(&steps) {
        Some(Postgres::start_throw_away(options.postgres, Settings::TEST)?)
    } else {
        None
    };
    let ports = Ports::choose(postgres.as_ref().and_then(Postgres::port))?;
    let script = script::write(&steps, &blocks, &ports)?;
    let log = std::fs::File::create(blocks.join("page.log"))?;
    let mut command = Command::new("bash");
    without_own_settings(&mut command)
        .arg(script)
        .current_dir(&work)
        .env("FOLLOW_BLOCKS", &blocks)
        .stdout(log.try_clone()?)
        .stderr(Stdio::from(log));
    surround(&mut command, &programs, &ports)?;
    if postgres.is_some() {
        let port = ports.of(ports::POSTGRES)?.to_string();
        command.envs([("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "postgres")]);
    }
    let mut shell = Group::spawn(&mut command)?;
    let status = shell.wait(Some(LIMIT));
    // Also what runs in its background, which has nothing to say any more.
    shell.stop(Signal::KILL, GRACE);
    match status {
        Ok(status) if status.success() => compare(&steps, &blocks, &ports),
        Ok(status) => fail(&steps, &blocks, &status.to_string()),
        Err(error) => fail(&steps, &blocks, &format!("{error:#}")),
    }
}

/// The programs and settings that stand for what the pages take for granted.
fn surround(command: &mut Command, programs: &Path, ports: &Ports) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(programs.to_path_buf()).chain(std::env::split_paths(&path)))?;
    command
        .env("PATH", path)
        .env(
            "POSTRIDER_SERVER__LISTEN",
            format!("127.0.0.1:{}", ports.of(ports::API)?),
        )
        .env(
            "POSTRIDER_MANAGEMENT__LISTEN",
            format!("127.0.0.1:{}", ports.of(ports::MANAGEMENT)?),
        )
        // Programs of the pages are built once, not every time.
        .env("CARGO_TARGET_DIR", cache::folder("follow", Account::Ourselves)?);
    // They are not ours: what `cargo run` says of us is not for them.
    for (name, _) in cargo::command().get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    Ok(())
}

/// Whether a block that is run has a line that begins with this program.
fn calls(steps: &[Step<'_>], program: &str) -> bool {
    let run = steps.iter().map(|step| step.block).filter(|block| block.is_run());
    run.flat_map(|block| block.text.lines())
        .any(|line| line.split_whitespace().next() == Some(program))
}

fn needs_postgres(steps: &[Step<'_>]) -> bool {
    let port = format!(":{}/", ports::POSTGRES);
    let named = steps
        .iter()
        .any(|step| step.block.is_run() && step.block.text.contains(&port));
    named || calls(steps, "psql")
}

/// What was printed is what the pages show.
fn compare(steps: &[Step<'_>], blocks: &Path, ports: &Ports) -> anyhow::Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let shown = ports.put_into(&step.block.text);
        let before = steps[..index].iter().rev();
        let outcome = match step.block.mark {
            Some(Mark::Compare) => before
                .take(1)
                .try_for_each(|ran| expect::same(&step.block.language, &shown, &ran.output(blocks))),
            Some(Mark::CompareBackground) => before
                .filter(|ran| ran.block.is_in_background())
                .take(1)
                .try_for_each(|ran| expect::begins(&shown, &ran.output(blocks))),
            _ => Ok(()),
        };
        outcome.with_context(|| format!("{}:{}", step.page.path, step.block.line))?;
    }
    Ok(())
}

fn fail(steps: &[Step<'_>], blocks: &Path, how: &str) -> anyhow::Result<()> {
    let Some(step) = script::reached(steps, blocks) else {
        bail!("the shell does not start: {how}");
    };
    let said = [step.complaints(blocks), step.output(blocks)].map(|text| process::tail(&text, 8));
    bail!(
        "{}:{}: {how}\n    complained: {}\n    printed: {}",
        step.page.path,
        step.block.line,
        said[0],
        said[1]
    );
}
