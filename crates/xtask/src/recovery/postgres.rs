//! PostgreSQL: a base backup while it serves, its log archived, the cluster killed and removed, and a new one laid from
//! both, up to a point in time between two messages.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::scene::Scene;
use super::{copy_scripts, script};
use crate::interrupt;
use crate::postgres::{Account, Cluster, Connection, Postgres, Programs, Settings, Way, installed, packages};
use crate::product::{Binary, Installation};

const ARCHIVE_LIMIT: Duration = Duration::from_mins(1);
const PROMOTION_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);

/// Of each kind, once.
pub(super) fn run(binary: &Binary, messages: u32) -> anyhow::Result<()> {
    let cluster = archiving()?;
    let (port, folder) = (cluster.port(), cluster.folder().to_owned());
    let mut postgres = Postgres::Cluster(Way::Installed, Box::new(cluster));
    println!("  {postgres}, durable, archiving");
    let mut scene = Scene::begin(Installation::new(binary, Some(&postgres))?)?;

    let mut before = scene.publish(messages)?;
    scene.await_up(&before)?;
    let base = std::thread::scope(|scope| {
        // Published while the backup is made: its pages are of different moments, and only the log makes them one.
        let meanwhile = scope.spawn(|| scene.publish(messages / 3));
        let base = backup(&postgres, &folder);
        let published = meanwhile
            .join()
            .map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
        before.extend(published);
        base
    })?;
    println!(
        "  backup           while {} messages were published, verified",
        messages / 3
    );
    // After the backup, and not waited for: some of these are under way at the point.
    before.extend(scene.publish(messages / 3)?);
    let point = now(&postgres)?;
    // Later by the clock than the point, whatever its resolution.
    std::thread::sleep(Duration::from_millis(20));
    let after = scene.publish(messages / 3)?;
    scene.await_up(&after)?;
    scene.await_up(&before)?;
    archive_all(&postgres, &folder)?;

    scene.kill();
    postgres.kill_hard()?;
    let seen = scene.arrived();
    let data = folder.join("data");
    std::fs::remove_dir_all(&data).context("the cluster's data")?;
    println!("  disaster         node and cluster killed, the cluster's data removed");
    lay(&postgres, &base, &folder, &point)?;
    postgres.start_again().context("on what was laid")?;
    await_promotion(port)?;
    println!("  restore          to {point}, read from the archive, promoted");
    scene.judge(&before, &after, seen)
}

/// A cluster that archives its log by the script.
fn archiving() -> anyhow::Result<Cluster> {
    let programs: Programs = installed::find().or_else(|_| packages::find_or_unpack())?;
    let mut outcome = Ok(());
    let cluster = Cluster::create_with(programs, Settings::DURABLE, |folder| {
        outcome = prepare(folder);
        let command = format!(
            "{}/scripts/postgres-archive.sh {}/archive \"%p\" \"%f\"",
            folder.display(),
            folder.display()
        );
        vec![
            "wal_level=replica".to_owned(),
            "archive_mode=on".to_owned(),
            format!("archive_command={command}"),
        ]
    });
    outcome?;
    cluster
}

/// The archive and the scripts, for the server's account.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    let account = Account::current();
    let archive = folder.join("archive");
    std::fs::create_dir(&archive)?;
    account.own(&archive)?;
    account.own(&copy_scripts(folder)?)
}

fn cluster(postgres: &Postgres) -> anyhow::Result<&Cluster> {
    match postgres {
        Postgres::Cluster(_, cluster) => Ok(cluster),
        Postgres::Given(_) | Postgres::Container(_) => anyhow::bail!("not a cluster of ours"),
    }
}

/// A base backup by the script; its folder.
fn backup(postgres: &Postgres, folder: &Path) -> anyhow::Result<String> {
    let cluster = cluster(postgres)?;
    let mut command = cluster.command(&folder.join("scripts/postgres-backup.sh"));
    command
        .arg(folder)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", cluster.port().to_string())
        .env("PGUSER", "postgres");
    script(&mut command).context("the base backup")
}

/// The data directory from backup and archive, by the script.
fn lay(postgres: &Postgres, base: &str, folder: &Path, point: &str) -> anyhow::Result<()> {
    let mut command = cluster(postgres)?.command(&folder.join("scripts/postgres-restore.sh"));
    command
        .arg(base)
        .arg(folder.join("archive"))
        .arg(folder.join("data"))
        .arg(point);
    script(&mut command).context("the restore").map(drop)
}

/// The server's time, as the restore wants it.
fn now(postgres: &Postgres) -> anyhow::Result<String> {
    let sql = "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'";
    first(&postgres.query(sql)?)
}

fn first(rows: &[crate::postgres::Row]) -> anyhow::Result<String> {
    rows.first()
        .and_then(|row| row.first())
        .and_then(Clone::clone)
        .context("no answer")
}

/// What a time-out of the archive would do a little later: the log so far is closed and kept.
fn archive_all(postgres: &Postgres, folder: &Path) -> anyhow::Result<()> {
    let name = first(&postgres.query("select pg_walfile_name(pg_current_wal_lsn())")?)?;
    postgres.query("select pg_switch_wal()")?;
    let deadline = Instant::now() + ARCHIVE_LIMIT;
    while !folder.join("archive").join(&name).exists() {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "{name} was not archived");
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn await_promotion(port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + PROMOTION_LIMIT;
    loop {
        let asked =
            Connection::open(port, "postgres").and_then(|mut one| one.query("select pg_is_in_recovery()"));
        if first(&asked?)? == "f" {
            return Ok(());
        }
        interrupt::check()?;
        ensure!(
            Instant::now() < deadline,
            "the cluster does not come out of its recovery"
        );
        std::thread::sleep(POLL);
    }
}
