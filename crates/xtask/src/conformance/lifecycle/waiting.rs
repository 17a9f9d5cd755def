//! A server whose database is away when it starts.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use crate::http::Client;
use crate::interrupt;
use crate::postgres::{Postgres, free_port};
use crate::product::{Binary, Installation};
use crate::server::Server;

const ASK_LIMIT: Duration = Duration::from_secs(2);
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const PASSWORD: &str = "logs-must-not-tell";

/// Starts it too early, as a stranger, and not at all.
pub(super) fn run(binary: &Binary, postgres: &Postgres) -> anyhow::Result<()> {
    comes_later(binary, postgres)?;
    a_signal(binary, postgres)?;
    ends(binary, postgres, "stranger", None, "300", "cannot start")?;
    ends(binary, postgres, "postgres", None, "300", "is a superuser")?;
    ends(
        binary,
        postgres,
        "postrider",
        Some(free_port()?),
        "0",
        "gave up waiting",
    )?;
    println!(
        "  start            ends at once for a stranger, a superuser and `database.wait_s = 0`; no password logged"
    );
    Ok(())
}

/// An installation whose database is reached at this port, and where its management listener is.
fn installation(
    binary: &Binary,
    postgres: &Postgres,
    user: &str,
    port: u16,
) -> anyhow::Result<(Installation, SocketAddr)> {
    let mut installation = Installation::new(binary, Some(postgres))?;
    let database = installation.database().context("no database")?.to_owned();
    let url = |user: &str| format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{database}");
    installation.set("POSTRIDER_DATABASE__URL", url(user));
    installation.set("POSTRIDER_DATABASE__ADMIN_URL", url("postgres"));
    let management = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    installation.set("POSTRIDER_MANAGEMENT__LISTEN", management.to_string());
    Ok((installation, management))
}

fn comes_later(binary: &Binary, postgres: &Postgres) -> anyhow::Result<()> {
    let (port, real) = (free_port()?, postgres.port().context("no port")?);
    let (installation, management) = installation(binary, postgres, "postrider", port)?;
    let mut server = Server::launch(installation.launch(installation.address()))?;
    let client = Client::new(management, ASK_LIMIT);
    // Twice tried at least.
    until(SEEN_WITHIN, || {
        server.log().matches("waiting for it").count() >= 2
    })
    .context("it does not wait")?;
    let (live, startup) = (
        client.get("/health/live", &[])?,
        client.get("/health/startup", &[])?,
    );
    ensure!(live.status == 200, "/health/live while it waits: {}", live.status);
    let body = startup.json()?;
    ensure!(
        startup.status == 503 && body["detail"] == "waits for its database",
        "/health/startup while it waits: {} {body}",
        startup.status
    );
    ensure!(
        client.get("/health/ready", &[])?.status == 503,
        "ready while it waits"
    );
    ensure!(
        TcpStream::connect_timeout(&installation.address(), ASK_LIMIT).is_err(),
        "the API's listener takes connections that nobody can answer"
    );
    let _bridge = Bridge::start(port, real)?;
    let came = Instant::now();
    server.await_ready()?;
    println!(
        "  start            waited for its database in {} tries, ready {:.2} s after it came",
        server.log().matches("waiting for it").count(),
        came.elapsed().as_secs_f64()
    );
    ensure!(
        client.get("/health/startup", &[])?.status == 200,
        "it has not started"
    );
    let status = server.stop().context("SIGTERM did not end it")?;
    ensure!(status.code() == Some(0), "it ended with {status}");
    ensure!(!server.log().contains(PASSWORD), "its log tells the password");
    Ok(())
}

fn a_signal(binary: &Binary, postgres: &Postgres) -> anyhow::Result<()> {
    let (installation, _) = installation(binary, postgres, "postrider", free_port()?)?;
    let mut server = Server::launch(installation.launch(installation.address()))?;
    until(SEEN_WITHIN, || server.log().contains("waiting for it")).context("it does not wait")?;
    let asked = Instant::now();
    server.signal(Signal::TERM)?;
    let code = ended(&mut server)?;
    ensure!(code == Some(0), "a signal while it waits: ended with {code:?}");
    println!(
        "  start            a signal while it waits ends it after {:.2} s",
        asked.elapsed().as_secs_f64()
    );
    Ok(())
}

/// It ends by itself, with an error that says so.
fn ends(
    binary: &Binary,
    postgres: &Postgres,
    user: &str,
    port: Option<u16>,
    wait: &str,
    says: &str,
) -> anyhow::Result<()> {
    let port = port.or(postgres.port()).context("no port")?;
    let (mut installation, _) = installation(binary, postgres, user, port)?;
    installation.set("POSTRIDER_DATABASE__WAIT_S", wait);
    let mut server = Server::launch(installation.launch(installation.address()))?;
    let code = ended(&mut server).with_context(|| format!("as {user}, {wait} s"))?;
    let log = server.log();
    ensure!(
        code == Some(1) && log.contains(says) && !log.contains(PASSWORD),
        "as {user}, {wait} s: ended with {code:?}: {log}"
    );
    Ok(())
}

fn ended(server: &mut Server) -> anyhow::Result<Option<i32>> {
    let mut status = None;
    until(ENDS_WITHIN, || {
        status = server.ended().ok().flatten();
        status.is_some()
    })
    .context("it does not end")?;
    Ok(status.and_then(|status| status.code()))
}

pub(super) fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !holds() {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "not within {limit:?}");
        thread::sleep(POLL);
    }
    Ok(())
}

/// Lets connections through from one loopback port to another. Dropping it lets no more through.
struct Bridge {
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Bridge {
    fn start(from: u16, to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, from))?;
        listener.set_nonblocking(true)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stopping);
        let acceptor = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((near, _)) => drop(couple(&near, to)),
                    Err(_) => thread::sleep(POLL),
                }
            }
        });
        Ok(Self {
            stopping,
            acceptor: Some(acceptor),
        })
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Passes on what comes at either end, until one of them ends.
fn couple(near: &TcpStream, to: u16) -> std::io::Result<()> {
    near.set_nonblocking(false)?;
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    for (mut from, mut into) in [(near.try_clone()?, far.try_clone()?), (far, near.try_clone()?)] {
        thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if into.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            let _ = into.shutdown(std::net::Shutdown::Both);
        });
    }
    Ok(())
}
