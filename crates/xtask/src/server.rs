//! A server process under test: started, awaited until ready, stopped or killed, started again.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::http::Client;
use crate::process::{self, Group};
use crate::{interrupt, product, watchdog::Watchdog};

const STOP_GRACE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables on top of our own.
    pub environment: Vec<(OsString, OsString)>,
    /// The working folder, which also gets its log and its process id.
    pub folder: PathBuf,
    /// The stem of those files, of its own for each server of a folder: `server`, unless set.
    pub name: String,
    /// Where it answers when ready.
    pub ready: SocketAddr,
    /// The path that answers 200 when ready.
    pub ready_path: String,
    /// How long it may take to get ready.
    pub ready_within: Duration,
    /// Whether the working folder goes too, should we be killed.
    pub throw_away: bool,
}

impl Launch {
    /// A launch with the product's readiness path and a minute's time.
    pub fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>, ready: SocketAddr) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.into(),
            name: "server".to_owned(),
            ready,
            ready_path: "/health/ready".to_owned(),
            ready_within: Duration::from_mins(1),
            throw_away: false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The file that it logs to, after what was there.
    pub fn log(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.name))
    }
}

/// A running server. Dropping it stops it; should we be killed, a watchdog does.
#[derive(Debug)]
pub struct Server {
    process: Option<Group>,
    _watchdog: Watchdog,
    launch: Launch,
}

impl Server {
    /// Starts the server and waits until it is ready.
    pub fn start(launch: Launch) -> anyhow::Result<Self> {
        let mut server = Self::watched(launch)?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts the server without waiting.
    pub fn launch(launch: Launch) -> anyhow::Result<Self> {
        let mut server = Self::watched(launch)?;
        server.spawn()?;
        Ok(server)
    }

    fn watched(launch: Launch) -> anyhow::Result<Self> {
        let folder = if launch.throw_away {
            launch.folder.as_path()
        } else {
            Path::new("")
        };
        let watchdog = Watchdog::over_process(&launch.file("pid"), folder)?;
        Ok(Self {
            process: None,
            _watchdog: watchdog,
            launch,
        })
    }

    /// Starts it again after `stop` or `kill_hard`, with the same arguments, and waits until it is ready.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.await_ready()
    }

    /// Starts it again without waiting.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.launch.log())?;
        let mut command = Command::new(&self.launch.program);
        product::without_own_settings(&mut command)
            .args(&self.launch.arguments)
            .envs(self.launch.environment.iter().cloned())
            .current_dir(&self.launch.folder)
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Group::spawn(&mut command)?;
        std::fs::write(self.launch.file("pid"), format!("{}\n", process.id()))?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until the readiness path answers 200; an error if the process ends first.
    pub fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.launch.ready_within;
        let client = Client::new(self.launch.ready, Duration::from_secs(2));
        loop {
            if let Some(status) = self.ended()? {
                bail!("the server ended ({status}): {}", process::tail(&self.log(), 5));
            }
            let answer = client.get(&self.launch.ready_path, &[]);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let last = answer.map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
                bail!(
                    "not ready within {:?} (last answer: {last}): {}",
                    self.launch.ready_within,
                    process::tail(&self.log(), 5)
                );
            }
            interrupt::check()?;
            std::thread::sleep(POLL);
        }
    }

    /// The process id.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Group::id)
    }

    /// Its status if it has ended by itself.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.process
            .as_mut()
            .context("the server was not started")?
            .poll()
    }

    /// Sends it a signal (`Signal::STOP` and `Signal::CONT` for a pause).
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process
            .as_mut()
            .context("the server was not started")?
            .signal(signal)
    }

    /// Asks it to stop (SIGTERM) and waits; `None` if it had to be killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let mut process = self.process.take()?;
        let began = Instant::now();
        process.stop(Signal::TERM, STOP_GRACE);
        self.forget();
        process
            .poll()
            .ok()
            .flatten()
            .filter(|_| began.elapsed() < STOP_GRACE)
    }

    /// `kill -9`.
    pub fn kill_hard(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::KILL, STOP_GRACE);
        }
        self.forget();
    }

    /// Everything the server has said so far.
    pub fn log(&self) -> String {
        std::fs::read(self.launch.log())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The id may be given to another process from now on.
    fn forget(&self) {
        let _ = std::fs::remove_file(self.launch.file("pid"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers 503 twice, then 200, on behalf of the process under test.
    fn readiness() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 1024]);
                let status = if number < 2 { "503 Not Yet" } else { "200 OK" };
                let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            }
        });
        address
    }

    #[test]
    fn a_server_is_awaited_killed_and_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch::new("/bin/sh", folder.path(), readiness())
            .arguments(["-c", "echo started with $COLOUR; exec sleep 60"])
            .environment("COLOUR", "red");
        let mut server = Server::start(launch).unwrap();
        let first = server.id().unwrap();
        server.kill_hard();
        assert_eq!(server.id(), None);
        server.start_again().unwrap();
        assert_ne!(server.id(), Some(first));
        assert!(server.stop().is_some());
        assert!(server.log().contains("started with red"));
        assert!(!folder.path().join("server.pid").exists());
    }

    #[test]
    fn a_server_that_ends_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let nobody_there = SocketAddr::from(([127, 0, 0, 1], crate::postgres::free_port().unwrap()));
        let launch = Launch::new("/bin/sh", folder.path(), nobody_there)
            .arguments(["-c", "echo unknown key: colour >&2; exit 2"]);
        let error = Server::start(launch).unwrap_err().to_string();
        assert!(error.contains("unknown key: colour"), "{error}");
    }
}
