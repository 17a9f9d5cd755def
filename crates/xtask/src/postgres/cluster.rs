//! A throw-away PostgreSQL cluster from a folder of programs.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::account::Account;
use super::wire::Connection;
use super::{Settings, free_port};
use crate::interrupt;
use crate::process::{self, Group};
use crate::watchdog::Watchdog;

const INIT_LIMIT: Duration = Duration::from_mins(2);
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 5;

/// Where the server's programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder that holds both `initdb` and `postgres`.
    pub bin: PathBuf,
    /// What `postgres --version` says, the number only.
    pub version: String,
    /// Folders of shared libraries that are not the machine's.
    pub libraries: Vec<PathBuf>,
}

impl Programs {
    /// The programs in this folder, if both are there and run.
    pub fn in_folder(bin: &Path, libraries: Vec<PathBuf>) -> anyhow::Result<Self> {
        let mut programs = Self {
            bin: bin.to_path_buf(),
            version: String::new(),
            libraries,
        };
        for name in ["initdb", "postgres"] {
            let said = process::capture(programs.command(name).arg("--version"), Duration::from_secs(20))?;
            said.split_whitespace()
                .nth(2)
                .unwrap_or("?")
                .clone_into(&mut programs.version);
        }
        Ok(programs)
    }

    fn command(&self, name: &str) -> Command {
        self.environment(Command::new(self.bin.join(name)))
    }

    /// The command with an environment in which these programs run.
    fn environment(&self, mut command: Command) -> Command {
        for (variable, _) in std::env::vars_os() {
            // PGDATA, PGPORT and so on of the developer's own server are not meant for this one.
            if variable.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(variable);
            }
        }
        command.env("LC_ALL", "C");
        if !self.libraries.is_empty()
            && let Ok(path) = std::env::join_paths(&self.libraries)
        {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }
}

/// A cluster in a temporary folder. Dropping it stops the server and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the server, then its watchdog, then the folder.
    server: Option<Group>,
    _watchdog: Watchdog,
    folder: TempDir,
    programs: Programs,
    settings: Settings,
    /// Further settings, `name=value`.
    more: Vec<String>,
    account: Account,
    port: u16,
}

impl Cluster {
    /// Makes a cluster and starts its server.
    pub fn create(programs: Programs, settings: Settings) -> anyhow::Result<Self> {
        Self::create_with(programs, settings, |_| Vec::new())
    }

    /// The same with further settings, `name=value`, which may name files of the cluster's own folder.
    pub fn create_with(
        programs: Programs,
        settings: Settings,
        more: impl FnOnce(&Path) -> Vec<String>,
    ) -> anyhow::Result<Self> {
        let account = Account::current();
        let folder = account.temporary_folder("postrider-postgres-")?;
        let data = folder.path().join("data");
        let watchdog = Watchdog::over_process(&data.join("postmaster.pid"), folder.path())?;
        let mut init = programs.command("initdb");
        init.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ])
        .arg("--pgdata")
        .arg(&data)
        .current_dir(folder.path());
        account.apply(&mut init);
        process::capture(&mut init, INIT_LIMIT).context("no cluster could be made")?;
        let mut cluster = Self {
            server: None,
            _watchdog: watchdog,
            more: more(folder.path()),
            folder,
            programs,
            settings,
            account,
            port: 0,
        };
        cluster.start_on_a_free_port()?;
        Ok(cluster)
    }

    /// The server's loopback port; the same for the cluster's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that it may write to; its data lies in `data` there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command in its folder, under its account, with the server's programs on the path.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.programs.environment(Command::new(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.programs.bin.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        command.current_dir(self.folder.path());
        self.account.apply(&mut command);
        command
    }

    /// The version of the programs.
    pub fn version(&self) -> &str {
        &self.programs.version
    }

    /// Starts the server again after `stop` or `kill_hard`, and waits until it answers.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let begins = self.log().len();
            let mut server = self.spawn()?;
            match self.await_answer(&mut server) {
                Ok(()) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(error) => {
                    server.stop(Signal::INT, STOP_GRACE);
                    // After a kill -9 the old server's children live on for a moment and hold its shared memory.
                    let said = self.log().split_off(begins);
                    let passing = said.contains("shared memory block") || said.contains("lock file");
                    if !passing || Instant::now() >= deadline {
                        return Err(error);
                    }
                    interrupt::check()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Stops the server in order (a fast shutdown with its checkpoint).
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop(Signal::INT, STOP_GRACE);
        }
    }

    /// Kills the server with SIGKILL, as the kernel would when memory runs out.
    pub fn kill_hard(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop(Signal::KILL, STOP_GRACE);
        }
    }

    fn start_on_a_free_port(&mut self) -> anyhow::Result<()> {
        for attempt in 1.. {
            self.port = free_port()?;
            match self.start() {
                // Somebody took the port between our look and the server's bind.
                Err(_) if attempt < PORT_TRIES && self.log().contains("Address already in use") => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Group> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = self.programs.command("postgres");
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(self.settings.arguments(self.port))
            .args(self.more.iter().flat_map(|setting| ["-c", setting.as_str()]))
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
            ])
            .current_dir(self.folder.path())
            .stdout(File::try_clone(&log)?)
            .stderr(log);
        self.account.apply(&mut command);
        Group::spawn(&mut command)
    }

    fn await_answer(&self, server: &mut Group) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = server.poll()? {
                bail!(
                    "the server ended at once ({status}): {}",
                    process::tail(&self.log(), 4)
                );
            }
            match Connection::open(self.port, "postgres")
                .and_then(|mut connection| connection.query("select 1"))
            {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error.context("the server does not answer"));
                }
                Err(_) => {}
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_path())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
