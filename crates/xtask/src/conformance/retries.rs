//! A receiver that fails twice and then answers 204: `postrider receive` itself.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::interrupt;
use crate::postgres::free_port;
use crate::process::Speaker;
use crate::product::{Api, Binary, Database, Running, Tenant, signing_secret};
use crate::watchdog::Watchdog;

const PAYLOAD: &str = r#"{ "invoice" : "in_1" }"#;
const SCHEDULE_S: [u64; 3] = [1, 1, 1];
const STATUSES: [u16; 3] = [503, 503, 204];
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A fifth for the jitter, and what a busy machine may add.
const LONGEST_WAIT: Duration = Duration::from_millis(1_200 + 3_000);
const START_LIMIT: Duration = Duration::from_secs(20);
const ARRIVE_LIMIT: Duration = Duration::from_secs(30);
/// Settling follows the answer.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.databases.each(stage.binary, on)
}

fn on(database: Database, running: &Running) -> anyhow::Result<()> {
    let secret = signing_secret()?;
    let folder = running.installation.folder();
    let (receiver, address) = receive(running.installation.binary(), &secret, 2)?;
    // It knows nothing of us and would stay; the folder is the server's watchdog's.
    let pid_file = folder.join("receiver.pid");
    std::fs::write(&pid_file, format!("{}\n", receiver.id()))?;
    let _watchdog = Watchdog::over_process(&pid_file, Path::new(""))?;
    let tenant = &running.tenant;
    let endpoint = tenant.endpoint(&format!("http://{address}/hook"), &secret, Some(&SCHEDULE_S))?;
    let mut api = tenant.api();
    let message = tenant.publish(&mut api, "invoice.paid", PAYLOAD)?;

    let tries = tries(&receiver)?;
    let waits = judge_tries(&tries, &message)?;
    await_end(tenant, &mut api, &message)?;
    judge_list(&tenant.attempts(&mut api, &message, &endpoint)?)?;
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

/// Each try as it must be, and the waits between them.
fn judge_tries(tries: &[(Value, Instant)], message: &str) -> anyhow::Result<Vec<Duration>> {
    for (number, ((attempt, _), status)) in (1..).zip(tries.iter().zip(STATUSES)) {
        let expected = json!({
            "id": message, "attempt": number, "bytes": PAYLOAD.len(), "content_type": "application/json",
            "verified": true, "reason": null, "status": status, "body": PAYLOAD,
        });
        ensure!(*attempt == expected, "try {number} was {attempt}, not {expected}");
    }
    let waits: Vec<Duration> = tries.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    ensure!(
        waits
            .iter()
            .all(|wait| (FIRST_WAIT..=LONGEST_WAIT).contains(wait)),
        "the waits were {waits:?}"
    );
    Ok(waits)
}

/// Waits until the API says that the delivery is over; it must be delivered, by three attempts.
fn await_end(tenant: &Tenant, api: &mut Api, message: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut deliveries = tenant.deliveries(api, message)?;
    while deliveries.iter().any(|one| one["status"] == "pending") && Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(POLL);
        deliveries = tenant.deliveries(api, message)?;
    }
    ensure!(
        deliveries.len() == 1 && deliveries[0]["status"] == "delivered" && deliveries[0]["attempts"] == 3,
        "the API says {deliveries:?}"
    );
    Ok(())
}

/// The attempts as the API lists them: numbered, with what the receiver answered.
fn judge_list(attempts: &[Value]) -> anyhow::Result<()> {
    let listed: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt["number"].as_u64(),
                attempt["outcome"]["http_status"].as_u64(),
            )
        })
        .collect();
    let expected = (1..)
        .zip(STATUSES)
        .map(|(n, status)| (Some(n), Some(u64::from(status))));
    ensure!(listed.iter().copied().eq(expected), "the API lists {attempts:?}");
    Ok(())
}

/// Starts `postrider receive`, which fails so often at first, and waits until it listens.
pub(super) fn receive(binary: &Binary, secret: &str, fails: usize) -> anyhow::Result<(Speaker, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = binary.command();
    command
        .args([
            "receive",
            "--fail-first",
            &fails.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(statuses: &[u16]) -> Vec<Value> {
        (1..)
            .zip(statuses)
            .map(|(n, status)| json!({ "number": n, "outcome": { "http_status": status } }))
            .collect()
    }

    #[test]
    fn the_list_of_attempts_must_be_complete_and_in_order() {
        assert!(judge_list(&attempts(&[503, 503, 204])).is_ok());
        assert!(judge_list(&attempts(&[503, 204])).is_err());
        assert!(judge_list(&attempts(&[204, 503, 503])).is_err());
    }

    #[test]
    fn a_wait_that_is_too_short_is_an_error() {
        let begin = Instant::now();
        let tries = |waits: [u64; 3]| {
            let all = (1..).zip(STATUSES).zip(waits).map(|((n, status), at)| {
                let seen = json!({
                    "id": "msg_1", "attempt": n, "bytes": PAYLOAD.len(), "content_type": "application/json",
                    "verified": true, "reason": null, "status": status, "body": PAYLOAD,
                });
                (seen, begin + Duration::from_millis(at))
            });
            all.collect::<Vec<_>>()
        };
        assert!(judge_tries(&tries([0, 1_100, 2_200]), "msg_1").is_ok());
        assert!(judge_tries(&tries([0, 900, 2_000]), "msg_1").is_err());
        assert!(judge_tries(&tries([0, 1_100, 2_200]), "msg_2").is_err());
    }
}
