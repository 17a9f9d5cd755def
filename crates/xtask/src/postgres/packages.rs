//! PostgreSQL from Debian or Ubuntu packages, unpacked into a cache folder: nothing is installed, no root needed.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::account::Account;
use super::cluster::Programs;
use crate::{cache, debian};

/// The programs from the cache, which is filled first if need be.
pub fn find_or_unpack() -> anyhow::Result<Programs> {
    let release = debian::release()?;
    if cfg!(target_os = "linux") && !Path::new("/usr/share/zoneinfo/UTC").exists() {
        // Debian's server is built to read the machine's own table and knows no zone without it, UTC included.
        bail!("the machine has no time zones (/usr/share/zoneinfo): apt-get install tzdata");
    }
    // As root, the server's own account must be able to enter it.
    let cache = cache::folder("postgresql", Account::current())?;
    let target = cache.join(release);
    if let Ok(programs) = unpacked(&target) {
        return Ok(programs);
    }
    debian::unpack(&cache, &target, "postgresql")?;
    unpacked(&target).context("the unpacked programs do not run here")
}

/// The newest server in an unpacked tree.
fn unpacked(root: &Path) -> anyhow::Result<Programs> {
    let mut versions: Vec<PathBuf> = debian::subfolders(&root.join("usr/lib/postgresql"));
    versions.sort_by_key(|folder| {
        folder
            .file_name()
            .and_then(|name| name.to_string_lossy().parse::<u32>().ok())
            .unwrap_or(0)
    });
    let newest = versions.pop().context("nothing unpacked yet")?;
    Programs::in_folder(&newest.join("bin"), debian::libraries(root))
}
