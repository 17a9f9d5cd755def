//! A receiver that fails twice and then answers 204: `postrider receive` itself.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::Databases;
use crate::interrupt;
use crate::postgres::free_port;
use crate::process::Speaker;
use crate::product::{Binary, Database, Running, signing_secret};

const SCHEDULE_S: [u64; 3] = [1, 1, 1];
const STATUSES: [u16; 3] = [503, 503, 204];
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A fifth for the jitter, and what a busy machine may add.
const LONGEST_WAIT: Duration = Duration::from_millis(1_200 + 3_000);
const START_LIMIT: Duration = Duration::from_secs(20);
const ARRIVE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Runs on each database.
pub(super) fn run(binary: &Binary, databases: &Databases) -> anyhow::Result<()> {
    databases.each(binary, on)
}

fn on(database: Database, running: &Running) -> anyhow::Result<()> {
    let secret = signing_secret()?;
    let (receiver, address) = receive(running.installation.binary(), &secret)?;
    let tenant = &running.tenant;
    let endpoint = tenant.endpoint(&format!("http://{address}/hook"), &secret, Some(&SCHEDULE_S))?;
    let mut api = tenant.api();
    let message = tenant.publish(&mut api, "invoice.paid", r#"{ "invoice" : "in_1" }"#)?;

    let tries = tries(&receiver)?;
    for (number, (attempt, _)) in tries.iter().enumerate() {
        let expected = json!({
            "id": message, "attempt": number + 1, "bytes": 22, "content_type": "application/json",
            "verified": true, "reason": null, "status": STATUSES[number], "body": r#"{ "invoice" : "in_1" }"#,
        });
        ensure!(
            *attempt == expected,
            "try {} was {attempt}, not {expected}",
            number + 1
        );
    }
    let waits = [tries[1].1 - tries[0].1, tries[2].1 - tries[1].1];
    ensure!(
        waits
            .iter()
            .all(|wait| (FIRST_WAIT..=LONGEST_WAIT).contains(wait)),
        "the waits were {waits:?}"
    );

    let deadline = Instant::now() + START_LIMIT;
    let mut deliveries = tenant.deliveries(&mut api, &message)?;
    while deliveries.iter().any(|one| one["status"] == "pending") && Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(POLL);
        deliveries = tenant.deliveries(&mut api, &message)?;
    }
    ensure!(
        deliveries.len() == 1 && deliveries[0]["status"] == "delivered" && deliveries[0]["attempts"] == 3,
        "the API says {deliveries:?}"
    );
    let attempts = tenant.attempts(&mut api, &message, &endpoint)?;
    let listed: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt["number"].as_u64(),
                attempt["outcome"]["http_status"].as_u64(),
            )
        })
        .collect();
    let expected = [1, 2, 3].map(|n| {
        (
            Some(n),
            Some(u64::from(STATUSES[usize::try_from(n - 1).unwrap_or(0)])),
        )
    });
    ensure!(listed == expected, "the API lists {attempts:?}");
    let unexpected = receiver.stop();
    ensure!(unexpected.is_empty(), "more than three tries: {unexpected:?}");
    println!(
        "{}: three attempts (503, 503, 204), waits {:.2} s and {:.2} s, delivered, all listed",
        database.name(),
        waits[0].as_secs_f64(),
        waits[1].as_secs_f64()
    );
    Ok(())
}

/// Starts `postrider receive` and waits until it listens.
fn receive(binary: &Binary, secret: &str) -> anyhow::Result<(Speaker, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = binary.command();
    command
        .args([
            "receive",
            "--fail-first",
            "2",
            "--json",
            "--listen",
            &address.to_string(),
        ])
        .env("POSTRIDER_RECEIVE_SECRET", secret);
    let receiver = Speaker::spawn(&mut command)?;
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect_timeout(&address, POLL).is_err() {
        interrupt::check()?;
        if receiver.line(POLL)?.is_some() || Instant::now() >= deadline {
            bail!("`postrider receive` does not listen");
        }
    }
    Ok((receiver, address))
}

/// The first three arrivals, each with its moment.
fn tries(receiver: &Speaker) -> anyhow::Result<Vec<(Value, Instant)>> {
    let deadline = Instant::now() + ARRIVE_LIMIT;
    let mut tries = Vec::new();
    while tries.len() < STATUSES.len() {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "only {} tries: {tries:?}", tries.len());
        if let Some(line) = receiver.line(POLL)? {
            let now = Instant::now();
            tries.push((serde_json::from_str(&line).context(line)?, now));
        }
    }
    Ok(tries)
}
