//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::without_own_settings;
use crate::{cargo, process};

const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// Which binary is put to the test.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Build and run the optimised binary
    #[arg(long)]
    release: bool,
    /// Build nothing, run this binary
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    binary: Option<PathBuf>,
}

impl Which {
    /// The optimised one, unless one was given: for work that would take too long otherwise.
    #[must_use]
    pub fn optimised(mut self) -> Self {
        self.release = true;
        self
    }
}

/// The `postrider` binary.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
}

impl Binary {
    /// The given one, or one freshly built.
    pub fn get(which: &Which) -> anyhow::Result<Self> {
        match &which.binary {
            None => Self::build(which.release),
            Some(path) => Ok(Self {
                // It is run from other folders.
                path: path.canonicalize().with_context(|| path.display().to_string())?,
            }),
        }
    }

    fn build(release: bool) -> anyhow::Result<Self> {
        let mut arguments = vec!["--package", "postrider", "--bin", "postrider"];
        if release {
            arguments.push("--release");
        }
        let path = build(&arguments, "postrider")?;
        Ok(Self { path })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        without_own_settings(&mut command);
        command
    }
}

/// Builds the target of this name; cargo's own messages are shown.
pub(crate) fn build(arguments: &[&str], target: &str) -> anyhow::Result<PathBuf> {
    let mut command = cargo::command();
    command.arg("build").args(arguments);
    command.args(["--message-format", "json-render-diagnostics"]);
    let mut path = None;
    let ended = process::stream(&mut command, BUILD_LIMIT, |line| {
        path = executable(line, target).or(path.take());
    })?;
    if !ended.is_some_and(|status| status.success()) {
        bail!("{target} does not build");
    }
    path.context("cargo named no executable")
}

/// The program for this target that this line of cargo's says was made.
fn executable(line: &str, target: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    (message["reason"] == "compiler-artifact" && message["target"]["name"] == target)
        .then(|| message["executable"].as_str().map(PathBuf::from))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"postrider"},"executable":"/t/postrider"}"#;
        assert_eq!(executable(line, "postrider"), Some(PathBuf::from("/t/postrider")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"postrider_api"},"executable":null}"#;
        assert_eq!(executable(library, "postrider"), None);
        assert_eq!(executable("warning: something", "postrider"), None);
    }
}
