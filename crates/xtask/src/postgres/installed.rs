//! PostgreSQL programs that are installed on this machine, of any version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::account::Account;
use super::cluster::Programs;

/// Where distributions and packagers put the programs: a folder, the prefix of the version's folder in it, and the
/// way on from there.
const PLACES: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/opt/local/lib", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The first programs that run: those on PATH, then the newest elsewhere.
pub fn find() -> anyhow::Result<Programs> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut refused = Vec::new();
    for bin in candidates(&on_path, Path::new("/")) {
        if !Account::current().can_enter(&bin) {
            refused.push(format!("{}: closed to the user nobody", bin.display()));
            continue;
        }
        match Programs::in_folder(&bin, Vec::new()) {
            Ok(programs) => return Ok(programs),
            Err(error) => refused.push(format!("{}: {error:#}", bin.display())),
        }
    }
    if refused.is_empty() {
        bail!("no folder with both initdb and postgres found");
    }
    bail!("{}", refused.join("; "))
}

/// Folders that hold both programs. `root` is `/` except in tests.
fn candidates(on_path: &[PathBuf], root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in on_path.iter().cloned().chain(versioned(root)) {
        // A wrapper or link in some bin folder is not the installation: what counts is where initdb really lies,
        // because it looks for postgres beside itself.
        let Ok(initdb) = folder.join("initdb").canonicalize() else {
            continue;
        };
        if let Some(bin) = initdb.parent()
            && bin.join("postgres").is_file()
            && !found.iter().any(|known| known == bin)
        {
            found.push(bin.to_path_buf());
        }
    }
    found
}

fn versioned(root: &Path) -> impl Iterator<Item = PathBuf> {
    let mut found = BTreeSet::new();
    for (base, prefix, rest) in PLACES {
        let Ok(entries) = std::fs::read_dir(root.join(base.trim_start_matches('/'))) else {
            continue;
        };
        for entry in entries.flatten() {
            if let Some(version) = entry.file_name().to_string_lossy().strip_prefix(prefix) {
                found.insert((version_key(version), entry.path().join(rest)));
            }
        }
    }
    found.into_iter().rev().map(|(_, bin)| bin)
}

/// The first number in the name; `postgresql` without one is a packager's newest.
fn version_key(name: &str) -> u32 {
    let digits: String = name
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(root: &Path, folder: &str, names: &[&str]) -> PathBuf {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in names {
            std::fs::write(folder.join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_newest_version_comes_first_after_path() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path().canonicalize().unwrap();
        let both = ["initdb", "postgres"];
        let old = programs(&root, "usr/lib/postgresql/9/bin", &both);
        let new = programs(&root, "usr/lib/postgresql/16/bin", &both);
        let brew = programs(&root, "opt/homebrew/opt/postgresql@17/bin", &both);
        let own = programs(&root, "home/me/pg/bin", &both);
        assert_eq!(
            candidates(std::slice::from_ref(&own), &root),
            [own, brew, new, old]
        );
    }

    #[test]
    fn a_folder_with_only_one_of_the_two_is_passed_over() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        let wrapper = programs(root, "usr/local/bin", &["initdb"]);
        programs(root, "usr/lib/postgresql/15/bin", &["postgres", "psql"]);
        assert_eq!(candidates(&[wrapper], root), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_link_leads_to_the_real_folder_once() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path().canonicalize().unwrap();
        let real = programs(&root, "usr/lib/postgresql/15/bin", &["initdb", "postgres"]);
        let links = programs(&root, "usr/local/bin", &[]);
        std::os::unix::fs::symlink(real.join("initdb"), links.join("initdb")).unwrap();
        assert_eq!(candidates(&[links], &root), [real]);
    }
}
