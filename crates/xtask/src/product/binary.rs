//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::without_own_settings;
use crate::{cargo, process};

const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// The `postrider` binary, freshly built.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
}

impl Binary {
    /// Builds it; cargo's own messages are shown.
    pub fn build(release: bool) -> anyhow::Result<Self> {
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
