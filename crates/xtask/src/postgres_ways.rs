//! `cargo xtask postgres-ways`: every way to a PostgreSQL, tried for real, as root and as an ordinary user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::postgres::{Account, Postgres, Settings, URL_VARIABLE, Way, docker, installed};
use crate::{interrupt, process};

const PROBE_LIMIT: Duration = Duration::from_mins(15);

/// Options of the hidden command that tries one way.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ProbeOptions {
    #[arg(long)]
    postgres: Way,
}

/// Brings up one server, asks it something, kills it, asks again and stops it.
pub fn probe(options: ProbeOptions) -> anyhow::Result<ExitCode> {
    let mut server = Postgres::start_throw_away(Some(options.postgres), Settings::DURABLE)?;
    // The time zone is what the driver sets first; a server without the machine's table refuses it.
    server.query("set time zone 'UTC'; create table kept (n int); insert into kept values (1)")?;
    server.kill_hard()?;
    server.start_again()?;
    let rows = server.query("select n from kept")?;
    ensure!(
        rows == [vec![Some("1".to_owned())]],
        "after a kill -9 the table holds {rows:?}"
    );
    println!("{server}");
    Ok(ExitCode::SUCCESS)
}

struct Trial {
    way: Way,
    account: Account,
    /// Why this way cannot be expected to work here.
    absent: Option<String>,
}

/// Tries all ways and prints a table; fails if one that should work does not, or if none can be tried.
pub fn run() -> anyhow::Result<ExitCode> {
    let (mut failed, mut tried) = (false, 0);
    println!("{:<10} {:<10} {:>8}  result", "way", "as", "seconds");
    for trial in trials() {
        let began = Instant::now();
        let result = match &trial.absent {
            Some(reason) => format!("not here: {reason}"),
            None => match try_one(&trial) {
                Ok(said) => {
                    tried += 1;
                    format!("ok: {}", said.trim().lines().next_back().unwrap_or_default())
                }
                Err(error) => {
                    interrupt::check()?;
                    failed = true;
                    format!("FAILED: {error:#}")
                }
            },
        };
        let user = match trial.account {
            Account::Ourselves if rustix::process::geteuid().is_root() => "root",
            Account::Ourselves => "ourselves",
            Account::Nobody { .. } => "nobody",
        };
        println!(
            "{:<10} {user:<10} {:>8.1}  {result}",
            trial.way.name(),
            began.elapsed().as_secs_f64()
        );
    }
    ensure!(failed || tried > 0, "no way to a PostgreSQL can be tried here");
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn trials() -> Vec<Trial> {
    let mut accounts = vec![Account::Ourselves];
    if rustix::process::geteuid().is_root() {
        accounts.push(Account::nobody());
    }
    let mut trials = Vec::new();
    for way in Way::ALL {
        for account in &accounts {
            // A URL or an engine is the same for everybody.
            if *account == Account::Ourselves || matches!(way, Way::Installed | Way::Packages) {
                trials.push(Trial {
                    way,
                    account: *account,
                    absent: absent(way),
                });
            }
        }
    }
    trials
}

fn absent(way: Way) -> Option<String> {
    let apt = || {
        ["/usr/bin/apt-get", "/usr/bin/dpkg"]
            .iter()
            .all(|program| Path::new(program).exists())
    };
    match way {
        Way::Url => Some(format!(
            "what {URL_VARIABLE} names is used as it is, not brought up"
        )),
        Way::Installed => installed::find().err().map(|error| error.to_string()),
        Way::Packages => (!apt()).then(|| "no apt-get".to_owned()),
        Way::Docker => docker::engine().err().map(|error| error.to_string()),
    }
}

/// A process of its own under that account, with an empty cache, so that the download is tried too.
fn try_one(trial: &Trial) -> anyhow::Result<String> {
    // As root, the server's own account must be able to enter the cache.
    let home = Account::current().temporary_folder("postrider-ways-")?;
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755))?;
    let owner = if trial.account == Account::Ourselves {
        None
    } else {
        Some(trial.account)
    };
    let mut command = Command::new(copy_of_ourselves(home.path())?);
    command
        .args(["postgres-probe", "--postgres", trial.way.name()])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .env("TMPDIR", home.path());
    if let Some(owner) = owner {
        owner.apply(&mut command);
    }
    process::capture(&mut command, PROBE_LIMIT)
}

/// The build folder may be closed to others, the copy is not.
fn copy_of_ourselves(folder: &Path) -> anyhow::Result<PathBuf> {
    let copy = folder.join("xtask");
    std::fs::copy(std::env::current_exe()?, &copy).context("could not copy this program")?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
