//! PostgreSQL in a container of a working Docker engine.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::wire::Connection;
use super::{Settings, free_port};
use crate::process;
use crate::{interrupt, watchdog::Watchdog};

const IMAGE: &str = "postgres:17";
const ENGINE_LIMIT: Duration = Duration::from_secs(15);
/// With the download of the image.
const RUN_LIMIT: Duration = Duration::from_mins(10);
const READY_LIMIT: Duration = Duration::from_mins(2);
/// The engine itself kills after ten seconds what does not stop.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// A throw-away container; dropping it removes it.
#[derive(Debug)]
pub struct Container {
    name: String,
    port: u16,
    version: String,
    _watchdog: Watchdog,
}

impl Container {
    /// Starts a container, downloading the image if it is not there.
    pub fn create(settings: Settings) -> anyhow::Result<Self> {
        engine()?;
        let port = free_port()?;
        let name = format!("postrider-xtask-{}-{port}", std::process::id());
        let watchdog = Watchdog::over_container(&name)?;
        // From here on the guard removes the container, also a half-made one.
        let mut container = Self {
            name,
            port,
            version: String::new(),
            _watchdog: watchdog,
        };
        let mut run = docker(&["run", "--detach", "--name", &container.name]);
        run.args([
            "--env",
            "POSTGRES_HOST_AUTH_METHOD=trust",
            "--env",
            "POSTGRES_INITDB_ARGS=--locale=C",
        ])
        .args(["--env", "LANG=C.UTF-8", "--shm-size", "256m"])
        .args(["--publish", &format!("127.0.0.1:{port}:5432"), IMAGE, "postgres"])
        .args(settings.arguments(5432));
        process::capture(&mut run, RUN_LIMIT).context("no container could be started")?;
        container.await_answer()?;
        Ok(container)
    }

    /// The loopback port that leads to the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Starts the server again after `stop` or `kill_hard`.
    pub fn start(&mut self) -> anyhow::Result<()> {
        process::capture(&mut docker(&["start", &self.name]), READY_LIMIT)?;
        self.await_answer()
    }

    /// Stops the server in order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        process::capture(&mut docker(&["stop", &self.name]), STOP_LIMIT).map(drop)
    }

    /// Kills the server with SIGKILL.
    pub fn kill_hard(&mut self) -> anyhow::Result<()> {
        process::capture(&mut docker(&["kill", &self.name]), STOP_LIMIT).map(drop)
    }

    fn await_answer(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let asked =
                Connection::open(self.port, "postgres").and_then(|mut c| c.query("show server_version"));
            match asked {
                Ok(rows) => {
                    let version = rows.into_iter().flatten().flatten().next().unwrap_or_default();
                    version
                        .split_whitespace()
                        .next()
                        .unwrap_or("?")
                        .clone_into(&mut self.version);
                    return Ok(());
                }
                Err(error) if Instant::now() >= deadline => {
                    return Err(error.context("the container's server does not answer"));
                }
                Err(_) => {}
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Not through `capture`, which gives up once a signal has come.
        let _ = docker(&["rm", "--force", "--volumes", &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// An error unless an engine answers; the client alone is not enough.
pub fn engine() -> anyhow::Result<()> {
    let asked = process::capture(
        &mut docker(&["version", "--format", "{{.Server.Version}}"]),
        ENGINE_LIMIT,
    );
    let version = asked.context("no Docker engine answers")?;
    if version.trim().is_empty() {
        bail!("no Docker engine answers");
    }
    Ok(())
}

fn docker(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments);
    command
}
