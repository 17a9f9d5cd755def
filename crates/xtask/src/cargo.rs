//! Calling cargo from inside cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use crate::process;

/// How long cargo may take to answer, with what it downloads for it.
const LIMIT: Duration = Duration::from_mins(5);

/// What `cargo run` sets for the program it runs. Passed on, it would make build scripts of the inner cargo see a
/// changed environment and rebuild.
const SET_BY_CARGO_RUN: [&str; 4] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
];

/// A cargo command in the workspace root, with an environment as if typed by hand.
pub fn command() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace_root());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    command
}

/// What cargo answers on standard output; the error of a failure carries the end of what it said beside that.
pub fn ask(arguments: &[&str]) -> anyhow::Result<String> {
    let (answer, said) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let mut command = command();
    command
        .args(arguments)
        .stdout(answer.as_file().try_clone()?)
        .stderr(said.as_file().try_clone()?);
    let status = process::Group::spawn(&mut command)?.wait(Some(LIMIT))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&std::fs::read(said.path())?).into_owned();
        bail!(
            "cargo {} failed ({status}): {}",
            arguments.join(" "),
            process::tail(&said, 5)
        );
    }
    Ok(std::fs::read_to_string(answer.path())?)
}

fn is_set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || SET_BY_CARGO_RUN.contains(&name)
}

/// The folder of the workspace's `Cargo.toml`.
///
/// Found from the working directory, so that a copied or moved binary works too; else where this was built.
pub fn workspace_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors()
        .find(|folder| folder.join("crates/xtask/Cargo.toml").is_file())
        .map_or_else(built_in, Path::to_path_buf)
}

fn built_in() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_a_crate_folder() {
        assert!(workspace_root().join("crates/xtask/arch.toml").is_file());
    }

    #[test]
    fn cargo_answers_or_says_why_not() {
        assert!(ask(&["--version"]).unwrap().starts_with("cargo "));
        let error = ask(&["no-such-command"]).unwrap_err().to_string();
        assert!(
            error.contains("cargo no-such-command failed") && error.contains("no such command"),
            "{error}"
        );
    }

    #[test]
    fn only_what_cargo_run_sets_is_dropped() {
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!is_set_by_cargo_run("CARGO_TARGET_DIR"));
        assert!(!is_set_by_cargo_run("CARGO_HOME"));
    }
}
