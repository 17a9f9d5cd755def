//! Programs from Debian or Ubuntu packages, unpacked into a cache folder: nothing is installed, no root needed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::postgres::Account;
use crate::process;

const APT_LIMIT: Duration = Duration::from_mins(10);
const DPKG_LIMIT: Duration = Duration::from_mins(2);

/// What of a release and an architecture is unpacked: packages of one do not run on another.
pub(crate) fn release() -> anyhow::Result<String> {
    let architecture = process::capture(Command::new("dpkg").arg("--print-architecture"), DPKG_LIMIT)
        .context("this is not a Debian or Ubuntu machine")?;
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    Ok(format!("{}-{}", release_key(&release), architecture.trim()))
}

fn release_key(os_release: &str) -> String {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map_or_else(
                || "unknown".to_owned(),
                |value| value.trim_matches('"').to_owned(),
            )
    };
    format!("{}-{}", value("ID"), value("VERSION_ID"))
}

/// Folders of shared libraries in an unpacked tree.
pub(crate) fn libraries(root: &Path) -> Vec<PathBuf> {
    ["usr/lib", "lib"]
        .iter()
        .flat_map(|folder| subfolders(&root.join(folder)))
        .filter(|folder| folder.to_string_lossy().contains("-linux-"))
        .collect()
}

/// The folders in this one; none if there is none.
pub(crate) fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Downloads the package and what of its dependencies the machine lacks, unpacks beside the target, then moves it there
/// in one step. What is installed under a name that begins like the package's counts as lacking.
pub(crate) fn unpack(cache: &Path, target: &Path, package: &str) -> anyhow::Result<()> {
    eprintln!(
        "fetching the packages of {package} into {} (once; nothing is installed)",
        cache.display()
    );
    let staging = tempfile::Builder::new().prefix(".staging-").tempdir_in(cache)?;
    let (apt, root) = (staging.path().join("apt"), staging.path().join("root"));
    download(&apt, package)?;
    std::fs::create_dir(&root)?;
    let mut packages = 0;
    for entry in std::fs::read_dir(apt.join("cache/archives"))?.flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            process::capture(
                Command::new("dpkg").arg("-x").arg(entry.path()).arg(&root),
                DPKG_LIMIT,
            )?;
            packages += 1;
        }
    }
    if packages == 0 {
        bail!("apt-get downloaded nothing");
    }
    // `dpkg -x` gives the folder the mode of the package's root, which may be private: `nobody` must be able to enter it.
    if let Account::Nobody { .. } = Account::current() {
        std::fs::set_permissions(&root, Permissions::from_mode(0o755))?;
    }
    if target.exists() {
        std::fs::remove_dir_all(target).context("a broken cache could not be removed")?;
    }
    match std::fs::rename(&root, target) {
        // Another run was faster: its tree is as good as ours.
        Err(_) if target.exists() => Ok(()),
        outcome => outcome.with_context(|| format!("could not move into {}", target.display())),
    }
}

/// Lists and packages into private folders, with a package status of our own.
fn download(apt: &Path, package: &str) -> anyhow::Result<()> {
    for folder in ["lists/partial", "cache/archives/partial", "state"] {
        std::fs::create_dir_all(apt.join(folder))?;
    }
    let status = std::fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    std::fs::write(apt.join("state/status"), without(&status, package))?;
    let updated = process::capture(apt_get(apt).arg("update"), APT_LIMIT);
    let install = [
        "install",
        "--download-only",
        "--yes",
        "--no-install-recommends",
        package,
    ];
    process::capture(apt_get(apt).args(install), APT_LIMIT)
        .map(drop)
        .map_err(|error| match updated {
            // One dead source among many makes the update fail without harm, so it is told only now.
            Err(update) => error.context(format!("{update:#}")),
            Ok(_) => error,
        })
}

fn apt_get(apt: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let folder = |option: &str, name: &str| format!("{option}={}", apt.join(name).display());
    let options = [
        folder("Dir::State", "state"),
        folder("Dir::State::lists", "lists"),
        folder("Dir::State::status", "state/status"),
        folder("Dir::Cache", "cache"),
        folder("Dir::Cache::archives", "cache/archives"),
        folder("Dir::Log", "state"),
        "Debug::NoLocking=1".to_owned(),
        // As root apt would fetch as a user of its own, who cannot enter our folder.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ];
    for option in options {
        command.arg("-o").arg(option);
    }
    command
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The machine's package status without anything whose name or source begins so: apt then fetches just that and what
/// the machine lacks, whether or not it is installed.
fn without(status: &str, beginning: &str) -> String {
    let ours = |stanza: &str| {
        stanza.lines().any(|line| {
            let named = line
                .strip_prefix("Package: ")
                .or_else(|| line.strip_prefix("Source: "));
            named.is_some_and(|name| name.starts_with(beginning))
        })
    };
    let mut kept = String::with_capacity(status.len());
    for stanza in status
        .split("\n\n")
        .filter(|stanza| !stanza.trim().is_empty() && !ours(stanza))
    {
        kept.push_str(stanza.trim_start_matches('\n'));
        kept.push_str("\n\n");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresql_and_its_libraries_are_forgotten_and_nothing_else() {
        let status = "Package: bash\nStatus: install ok installed\nDescription: shell\n Package: fake\n\n\
            Package: libpq5\nSource: postgresql-15 (15.1)\nStatus: install ok installed\n\n\
            Package: postgresql-15\nStatus: install ok installed\n\nPackage: zlib1g\nSource: zlib\n";
        let kept = without(status, "postgresql");
        assert!(kept.contains("Package: bash") && kept.contains("Package: zlib1g"));
        assert!(!kept.contains("libpq5") && !kept.contains("postgresql-15"));
        assert_eq!(kept.matches("\n\n").count(), 2);
    }

    #[test]
    fn each_release_has_its_own_folder() {
        assert_eq!(
            release_key("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"),
            "debian-12"
        );
        assert_eq!(release_key(""), "unknown-unknown");
    }
}
