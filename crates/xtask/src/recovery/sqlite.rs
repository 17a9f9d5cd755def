//! The embedded database: a copy made while it serves is the point; the restore puts it in the database's place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::scene::Scene;
use super::{copy_scripts, script};
use crate::deploy::programs::Program;
use crate::product::{Binary, Installation};

/// Of each kind, once.
pub(super) fn run(binary: &Binary, messages: u32) -> anyhow::Result<()> {
    let mut scene = Scene::begin(Installation::new(binary, None)?)?;
    let folder = scene.running.installation.folder().to_owned();
    let scripts = copy_scripts(&folder)?;
    let data = folder.join("data");

    let mut before = scene.publish(messages)?;
    scene.await_up(&before)?;
    // Not waited for: some of these are under way when the copy is made.
    before.extend(scene.publish(messages / 3)?);
    let mut command = Command::new(scripts.join("sqlite-backup.sh"));
    command.arg(&data).arg(&folder).arg("--with-key");
    Program::get("sqlite3", "sqlite3")?.offer_to(&mut command)?;
    let backup = script(&mut command).context("the backup, while the node serves")?;
    println!(
        "  backup           {} KiB while the node serves",
        size(Path::new(&backup))? / 1024
    );
    let after = scene.publish(messages / 3)?;
    scene.await_up(&after)?;
    scene.await_up(&before)?;

    let restore = |what: &str| {
        script(
            Command::new(scripts.join("sqlite-restore.sh"))
                .arg(&backup)
                .arg(&data),
        )
        .with_context(|| what.to_owned())
    };
    let early = restore("too early");
    ensure!(early.is_err(), "the restore does not mind that a node serves");
    scene.kill();
    let seen = scene.arrived();
    // The machine is gone, and the key with it.
    std::fs::remove_dir_all(&data)?;
    restore("the restore")?;
    println!("  restore          after kill -9, into an empty directory");
    scene.judge(&before, &after, seen)
}

fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
