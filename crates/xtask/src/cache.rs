//! Where this tool keeps what it downloads, between runs.

use std::path::PathBuf;

use anyhow::bail;

use crate::postgres::Account;

/// A folder of this name, made if absent, that we can write and `reader` can enter: below `$XDG_CACHE_HOME`, else
/// `~/.cache`; for root, whose home others cannot enter, `/var/cache`.
pub fn folder(name: &str, reader: Account) -> anyhow::Result<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let choices = [
        from("XDG_CACHE_HOME"),
        from("HOME").map(|home| home.join(".cache")),
        (reader != Account::Ourselves).then(|| PathBuf::from("/var/cache")),
        Some(std::env::temp_dir()),
    ];
    let mut reason = None;
    for base in choices.into_iter().flatten() {
        let folder = base.join("postrider").join(name);
        if !reader.can_enter(&folder) {
            continue;
        }
        // One that is there may be another's.
        let written = std::fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
        match written {
            Ok(_) => return Ok(folder),
            Err(error) => reason = Some(format!("{}: {error}", folder.display())),
        }
    }
    bail!(
        "no cache folder that can be written: {}",
        reason.unwrap_or_default()
    )
}
