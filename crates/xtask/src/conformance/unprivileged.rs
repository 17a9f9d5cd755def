//! `postrider dev --once` as whom we are and, if that is root, as `nobody`.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::postgres::Account;
use crate::process;
use crate::product::{Binary, without_own_settings};

const LIMIT: Duration = Duration::from_mins(3);

/// Runs it in a folder of the account's own, and looks that nothing is left there.
pub(super) fn run(binary: &Binary) -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    let mut accounts = vec![(if root { "root" } else { "ourselves" }, Account::Ourselves)];
    if root {
        accounts.push(("nobody", Account::nobody()));
    } else {
        println!("not root: tried as ourselves only");
    }
    for (name, account) in accounts {
        once(binary, account)
            .map(|(seconds, said)| println!("as {name}: exit 0 in {seconds:.1} s: {said}"))
            .with_context(|| format!("as {name}"))?;
    }
    Ok(())
}

fn once(binary: &Binary, account: Account) -> anyhow::Result<(f64, String)> {
    let home = account.temporary_folder("postrider-once-")?;
    // The build folder may be closed to others, the copy is not; outside of `home`, which must end up empty.
    let shelf = account.temporary_folder("postrider-binary-")?;
    let copy = shelf.path().join("postrider");
    std::fs::copy(binary.path(), &copy).context("could not copy the binary")?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;

    let mut command = std::process::Command::new(copy);
    without_own_settings(&mut command)
        .args(["dev", "--once"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("TMPDIR", home.path());
    account.apply(&mut command);
    let began = Instant::now();
    let said = process::capture(&mut command, LIMIT)?;
    let left: Vec<_> = std::fs::read_dir(home.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(left.is_empty(), "it left {left:?} behind");
    Ok((began.elapsed().as_secs_f64(), process::tail(&said, 1)))
}
