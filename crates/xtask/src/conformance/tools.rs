//! Software that is not ours, pinned, in folders of the cache: npm packages and Python environments.
//!
//! Only the named packages are pinned, not what they depend on. A folder is named by what was asked for, so another
//! pin is another folder, and a folder is whole or not there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::postgres::Account;
use crate::{cache, process};

const INSTALL_LIMIT: Duration = Duration::from_mins(10);
/// Written last into a Python environment, which cannot be moved into its place when it is done.
const COMPLETE: &str = ".complete";

/// A folder with these packages below `node_modules`; the name is for people.
pub(super) fn npm(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let cache = cache::folder("npm", Account::Ourselves)?;
    let target = cache.join(folder_name(name, packages));
    if target.join("node_modules").is_dir() {
        return Ok(target);
    }
    let staging = tempfile::Builder::new().prefix(".staging-").tempdir_in(&cache)?;
    let mut command = Command::new("npm");
    command
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(staging.path())
        .args(packages)
        .current_dir(staging.path());
    process::capture(&mut command, INSTALL_LIMIT)
        .with_context(|| format!("npm, which brings {}", packages.join(", ")))?;
    // Until it is in its place it is removed, whatever happens.
    std::fs::rename(staging.path(), &target).context("could not keep the packages")?;
    let _ = staging.keep();
    Ok(target)
}

/// A program of such a folder.
pub(super) fn npm_program(folder: &Path, name: &str) -> Command {
    Command::new(folder.join("node_modules/.bin").join(name))
}

/// The `bin` folder of a Python environment that has these packages; the name is for people.
pub(crate) fn python(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = cache::folder("python", Account::Ourselves)?.join(folder_name(name, packages));
    let programs = folder.join("bin");
    if folder.join(COMPLETE).is_file() {
        return Ok(programs);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    process::capture(&mut make, INSTALL_LIMIT)
        .context("no Python environment (Debian: apt-get install python3-venv)")?;
    let mut install = Command::new(programs.join("python"));
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(packages);
    process::capture(&mut install, INSTALL_LIMIT)
        .with_context(|| format!("pip, which brings {}", packages.join(", ")))?;
    std::fs::write(folder.join(COMPLETE), packages.join("\n"))?;
    Ok(programs)
}

/// A file that is kept for a look after the run, and where it lies.
pub(super) fn keep(name: &str, text: &str) -> anyhow::Result<PathBuf> {
    ensure!(
        !name.contains(['/', '\\']),
        "a report is a file of the folder of reports"
    );
    let path = cache::folder("conformance", Account::Ourselves)?.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn folder_name(name: &str, packages: &[&str]) -> String {
    let digest = hex::encode(Sha256::digest(packages.join("\n")));
    format!("{name}-{}", &digest[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pin_is_another_folder() {
        let one = folder_name("lint", &["a@1", "b@2"]);
        assert_eq!(one, folder_name("lint", &["a@1", "b@2"]));
        assert_ne!(one, folder_name("lint", &["a@1", "b@3"]));
        assert!(one.starts_with("lint-") && one.len() == "lint-".len() + 12);
    }
}
