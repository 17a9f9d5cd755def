//! On what was measured.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::histogram::{Histogram, Summary};
use crate::{cargo, process};

const SYNCS: usize = 300;

/// The machine, and what ran on it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    /// Of the folder where the databases lie.
    pub(super) file_system: String,
    /// How long a write of 8 KiB takes until it is on disk.
    pub(super) sync: Summary,
    pub(super) postgres: Option<String>,
    /// The tree's commit; with `+` if it was changed since.
    pub(super) commit: String,
}

impl Machine {
    /// Looks around; measures syncs in this folder.
    pub(super) fn look(folder: &Path, postgres: Option<String>) -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field(&cpuinfo, "model name").unwrap_or("?").to_owned(),
            memory_gib: field(&meminfo, "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or_default()
                >> 20,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            file_system: file_system(folder).unwrap_or_else(|| "?".to_owned()),
            sync: syncs(folder).context("could not measure syncs")?,
            postgres,
            commit: commit(),
        })
    }
}

/// The first of the fields of this name, up to the end of its line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.trim() == name)
        .map(|(_, value)| value.trim())
}

/// The kind of the file system that holds the folder: that of the mount with its device number.
fn file_system(folder: &Path) -> Option<String> {
    let device = fs::metadata(folder).ok()?.dev();
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        (fs::metadata(point).ok()?.dev() == device).then(|| kind.to_owned())
    })
}

/// Writes pages one by one, each until it is on disk.
fn syncs(folder: &Path) -> anyhow::Result<Summary> {
    let mut file = tempfile::tempfile_in(folder)?;
    let page = [7_u8; 8 << 10];
    // Laid out first, so that what is measured is the page and not the file's growth.
    for _ in 0..SYNCS {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    std::io::Seek::rewind(&mut file)?;
    let mut histogram = Histogram::default();
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        histogram.record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(histogram.summary())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        // Looking must not touch the index, which somebody else may be working with.
        command
            .arg("--no-optional-locks")
            .args(arguments)
            .current_dir(cargo::workspace_root());
        process::capture(&mut command, Duration::from_secs(10)).ok()
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "?".to_owned();
    };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|said| !said.trim().is_empty());
    commit.trim().to_owned() + if changed { "+" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::look(folder.path(), None).unwrap();
        assert!(machine.cores > 0 && machine.sync.count > 0 && !machine.kernel.is_empty());
        assert_ne!(machine.file_system, "?");
        assert_eq!(field("a : b\nmodel name\t: X Y\n", "model name"), Some("X Y"));
    }
}
