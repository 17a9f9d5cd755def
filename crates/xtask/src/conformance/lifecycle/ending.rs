//! A server that is asked to end while a client does not: a request whose body never comes.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::waiting::until;
use crate::http::Client;
use crate::postgres::Postgres;
use crate::product::{Binary, Installation, Running};

const GRACE: u64 = 3;
const WHOLE: u64 = 8;
/// What is over when the deadline comes may still take so long to be seen to be.
const LATE: Duration = Duration::from_secs(1);
/// For what a machine under load adds.
const SLACK: Duration = Duration::from_secs(6);
const ASK_LIMIT: Duration = Duration::from_secs(2);
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// At the deadline, and at a second signal.
pub(super) fn run(binary: &Binary, postgres: Option<&Postgres>) -> anyhow::Result<()> {
    let whole = Duration::from_secs(WHOLE);
    let mut running = begin(binary, postgres, WHOLE)?;
    let _hanging = hang(running.installation.address())?;
    let asked = Instant::now();
    running.server.signal(Signal::TERM)?;
    not_ready_while_it_serves(running.installation.address())?;
    let code = ended(&mut running, whole + SLACK)?;
    let took = asked.elapsed();
    let log = running.server.log();
    ensure!(
        code == Some(1) && took <= whole + LATE && log.contains("cut short"),
        "a request that never ends: ended with {code:?} after {took:?}: {log}"
    );
    let leases = running.installation.leases(postgres)?;
    ensure!((leases.rows, leases.nodes) == (0, 0), "left behind: {leases:?}");
    println!(
        "  end              cut short after {:.2} s of {WHOLE} s, nothing leased",
        took.as_secs_f64()
    );

    let mut running = begin(binary, postgres, 120)?;
    let _hanging = hang(running.installation.address())?;
    running.server.signal(Signal::TERM)?;
    not_ready_while_it_serves(running.installation.address())?;
    let again = Instant::now();
    running.server.signal(Signal::TERM)?;
    let code = ended(&mut running, SLACK)?;
    ensure!(code == Some(130), "a second signal: ended with {code:?}");
    println!(
        "  end              at once at a second signal ({:.2} s)",
        again.elapsed().as_secs_f64()
    );
    at_the_very_end(binary, postgres)
}

/// A second signal when all is done but for telemetry, whose collector takes it and never says so.
fn at_the_very_end(binary: &Binary, postgres: Option<&Postgres>) -> anyhow::Result<()> {
    let collector = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut installation = Installation::new(binary, postgres)?;
    let endpoint = format!("http://{}", collector.local_addr()?);
    installation.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    installation.set("POSTRIDER_SERVER__DRAIN_GRACE_S", "0".to_owned());
    installation.set("POSTRIDER_TELEMETRY__LOG", "info");
    let mut running = Running::begin(installation)?;
    running.server.signal(Signal::TERM)?;
    until(SEEN_WITHIN, || running.server.log().contains("\"stopped\"")).context("it does not stop")?;
    let again = Instant::now();
    running.server.signal(Signal::TERM)?;
    let code = ended(&mut running, SLACK)?;
    let took = again.elapsed();
    ensure!(
        code == Some(130) && took < LATE,
        "a second signal at the very end: ended with {code:?} after {took:?}"
    );
    println!(
        "  end              at once at a second signal at the very end ({:.2} s)",
        took.as_secs_f64()
    );
    Ok(())
}

fn begin(binary: &Binary, postgres: Option<&Postgres>, whole: u64) -> anyhow::Result<Running> {
    let mut installation = Installation::new(binary, postgres)?;
    installation.set("POSTRIDER_SERVER__DRAIN_GRACE_S", GRACE.to_string());
    installation.set("POSTRIDER_SERVER__SHUTDOWN_TIMEOUT_S", whole.to_string());
    Running::begin(installation)
}

/// A request whose body never comes.
fn hang(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, ASK_LIMIT)?;
    stream.write_all(
        b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    )?;
    Ok(stream)
}

/// Load balancers hear of it before anything else ends.
fn not_ready_while_it_serves(address: SocketAddr) -> anyhow::Result<()> {
    let client = Client::new(address, ASK_LIMIT);
    until(SEEN_WITHIN, || {
        client
            .get("/health/ready", &[])
            .is_ok_and(|answer| answer.status == 503)
    })
    .context("it is still ready")?;
    let live = client
        .get("/health/live", &[])
        .context("it does not serve any more")?;
    ensure!(live.status == 200, "/health/live: {}", live.status);
    ensure!(
        client.get("/openapi.json", &[])?.status == 200,
        "what is asked during the grace is not answered"
    );
    Ok(())
}

fn ended(running: &mut Running, limit: Duration) -> anyhow::Result<Option<i32>> {
    let mut status = None;
    until(limit, || {
        status = running.server.ended().ok().flatten();
        status.is_some()
    })
    .context("it does not end")?;
    Ok(status.and_then(|status| status.code()))
}
