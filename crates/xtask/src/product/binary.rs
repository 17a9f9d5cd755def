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

    /// Builds it; cargo's own messages are shown.
    fn build(release: bool) -> anyhow::Result<Self> {
        let mut command = cargo::command();
        command.args(["build", "--package", "postrider", "--bin", "postrider"]);
        command.args(["--message-format", "json-render-diagnostics"]);
        if release {
            command.arg("--release");
        }
        let mut path = None;
        let ended = process::stream(&mut command, BUILD_LIMIT, |line| {
            path = executable(line).or(path.take());
        })?;
        if !ended.is_some_and(|status| status.success()) {
            bail!("postrider does not build");
        }
        let path = path.context("cargo named no executable")?;
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

/// The program that this line of cargo's says was made.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    (message["reason"] == "compiler-artifact" && message["target"]["name"] == "postrider")
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
        assert_eq!(executable(line), Some(PathBuf::from("/t/postrider")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"postrider_api"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: something"), None);
    }
}
