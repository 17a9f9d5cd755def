//! GitHub's example payloads through the real binary to two receivers, each with an official library.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::check::{Seen, Sent, Tally, hold};
use super::examples::{self, Example};
use super::python::PythonReceiver;
use super::stage::Stage;
use crate::interrupt;
use crate::product::{Database, Running, Tenant, signing_secret};
use crate::receiver::{Pace, Receiver};

const PUBLISHERS: usize = 4;
const ARRIVE_LIMIT: Duration = Duration::from_mins(2);
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mut all = examples::fetch()?;
    println!("{} example payloads of GitHub's webhooks", all.len());
    all.extend(examples::awkward()?);
    stage
        .databases
        .each(stage.binary, |database, running| on(database, running, &all))
}

fn on(database: Database, running: &Running, examples: &[Example]) -> anyhow::Result<()> {
    let tenant = &running.tenant;
    let (rust_secret, python_secret) = (signing_secret()?, signing_secret()?);
    let rust = Receiver::start(&rust_secret, Pace::AT_ONCE)?;
    let python = PythonReceiver::start(&python_secret, running.installation.folder())?;
    let rust_endpoint = tenant.endpoint(&rust.url(), &rust_secret, None)?;
    let python_endpoint = tenant.endpoint(&python.url(), &python_secret, None)?;

    let began = Instant::now();
    let sent = publish_all(tenant, examples)?;
    let published = began.elapsed();
    let mut by_python = await_all(&rust, &python, sent.len())?;
    let arrived = began.elapsed();
    let delivered = await_delivered(tenant, &sent, [&rust_endpoint, &python_endpoint])?;
    by_python.extend(python.news()?);

    let by_rust: Vec<Seen> = rust.since(0).into_iter().map(Seen::from).collect();
    let by_rust = Tally::of("crate", &sent, &by_rust);
    let by_python = Tally::of("Python", &sent, &by_python);
    println!(
        "{}: {} messages, {} bytes, largest {}; {} of {} deliveries delivered",
        database.name(),
        sent.len(),
        sent.iter().map(|one| one.bytes).sum::<usize>(),
        sent.iter().map(|one| one.bytes).max().unwrap_or_default(),
        delivered.count,
        2 * sent.len(),
    );
    println!(
        "  verified by the crate {}, by Python {}; arrivals {} and {}",
        by_rust.good,
        by_python.good,
        by_rust.arrivals.values().sum::<u64>(),
        by_python.arrivals.values().sum::<u64>(),
    );
    println!(
        "  published in {:.2} s, all arrived after {:.2} s",
        published.as_secs_f64(),
        arrived.as_secs_f64()
    );
    let mut problems = Vec::new();
    problems.extend(delivered.unaccounted(&by_rust, &rust_endpoint));
    problems.extend(delivered.unaccounted(&by_python, &python_endpoint));
    problems.extend([by_rust.problems, by_python.problems, delivered.problems].concat());
    problems.extend(other_payloads(tenant, &sent)?);
    hold(&problems)
}

/// From several connections at once, as real publishers would.
fn publish_all(tenant: &Tenant, examples: &[Example]) -> anyhow::Result<Vec<Sent>> {
    let share = examples.len().div_ceil(PUBLISHERS);
    thread::scope(|scope| {
        let publishers: Vec<_> = examples
            .chunks(share)
            .map(|share| scope.spawn(move || publish(tenant, share)))
            .collect();
        let mut sent = Vec::new();
        for publisher in publishers {
            sent.extend(
                publisher
                    .join()
                    .map_err(|_| anyhow::anyhow!("a publisher panicked"))??,
            );
        }
        Ok(sent)
    })
}

fn publish(tenant: &Tenant, examples: &[Example]) -> anyhow::Result<Vec<Sent>> {
    let mut api = tenant.api();
    let mut sent = Vec::new();
    for example in examples {
        interrupt::check()?;
        let payload = example.payload.get();
        sent.push(Sent {
            id: tenant.publish(&mut api, &example.event_type, payload)?,
            sha256: Sha256::digest(payload).into(),
            bytes: payload.len(),
        });
    }
    Ok(sent)
}

/// Waits until both receivers have seen as many as were sent; answers what Python saw.
fn await_all(rust: &Receiver, python: &PythonReceiver, expected: usize) -> anyhow::Result<Vec<Seen>> {
    let deadline = Instant::now() + ARRIVE_LIMIT;
    let mut seen = Vec::new();
    // What is missing at the deadline is told by the comparison.
    while (rust.count() < expected || seen.len() < expected) && Instant::now() < deadline {
        interrupt::check()?;
        seen.extend(python.news()?);
    }
    Ok(seen)
}

/// What the API says of all deliveries.
#[derive(Default)]
struct Delivered {
    count: usize,
    /// Message, endpoint, attempts.
    attempts: Vec<(String, String, u64)>,
    problems: Vec<String>,
}

impl Delivered {
    /// Which messages arrived more or less often than the API lists attempts.
    fn unaccounted(&self, tally: &Tally, endpoint: &str) -> Vec<String> {
        let attempts: HashMap<&str, u64> = self
            .attempts
            .iter()
            .filter(|(_, to, _)| to == endpoint)
            .map(|(message, _, attempts)| (message.as_str(), *attempts))
            .collect();
        let listed = |id: &str| attempts.get(id).copied().unwrap_or_default();
        tally
            .arrivals
            .iter()
            .filter(|(id, count)| listed(id) != **count)
            .map(|(id, count)| format!("{id} arrived {count} times, and the API says {}", listed(id)))
            .collect()
    }
}

/// Every message must have exactly these deliveries, and each be delivered: soon, for settling follows arrival.
fn await_delivered(tenant: &Tenant, sent: &[Sent], endpoints: [&str; 2]) -> anyhow::Result<Delivered> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut api = tenant.api();
    let mut found = Delivered::default();
    for one in sent {
        let mut deliveries = tenant.deliveries(&mut api, &one.id)?;
        while !is_delivered(&deliveries, endpoints) && Instant::now() < deadline {
            interrupt::check()?;
            thread::sleep(POLL);
            deliveries = tenant.deliveries(&mut api, &one.id)?;
        }
        if !is_delivered(&deliveries, endpoints) {
            found
                .problems
                .push(format!("{}: the API says {deliveries:?}", one.id));
        }
        for delivery in &deliveries {
            found.count += usize::from(delivery["status"] == "delivered");
            let endpoint = delivery["endpoint"].as_str().unwrap_or_default().to_owned();
            let attempts = delivery["attempts"].as_u64().context("`attempts` is no number")?;
            found.attempts.push((one.id.clone(), endpoint, attempts));
        }
    }
    Ok(found)
}

fn is_delivered(deliveries: &[Value], endpoints: [&str; 2]) -> bool {
    deliveries.len() == endpoints.len()
        && endpoints.iter().all(|endpoint| {
            deliveries
                .iter()
                .any(|delivery| delivery["endpoint"] == *endpoint && delivery["status"] == "delivered")
        })
}

/// Whose payload the API gives back otherwise than it was published.
fn other_payloads(tenant: &Tenant, sent: &[Sent]) -> anyhow::Result<Vec<String>> {
    let mut api = tenant.api();
    let mut problems = Vec::new();
    for one in sent {
        interrupt::check()?;
        let payload = tenant.payload(&mut api, &one.id)?;
        if <[u8; 32]>::from(Sha256::digest(&payload)) != one.sha256 {
            problems.push(format!("{}: the payload route gives other bytes", one.id));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arrivals_that_the_api_does_not_know_of_are_told() {
        let delivered = Delivered {
            attempts: vec![("m".into(), "e".into(), 1), ("m".into(), "other".into(), 2)],
            ..Delivered::default()
        };
        let arrived = |count| Tally {
            arrivals: [("m".to_owned(), count)].into(),
            ..Tally::default()
        };
        assert!(delivered.unaccounted(&arrived(1), "e").is_empty());
        assert_eq!(
            delivered.unaccounted(&arrived(2), "e"),
            ["m arrived 2 times, and the API says 1"]
        );
        assert_eq!(delivered.unaccounted(&arrived(1), "third").len(), 1);
    }

    #[test]
    fn both_endpoints_must_have_it() {
        let one = |endpoint: &str, status: &str| json!({ "endpoint": endpoint, "status": status });
        let endpoints = ["a", "b"];
        assert!(is_delivered(
            &[one("b", "delivered"), one("a", "delivered")],
            endpoints
        ));
        assert!(!is_delivered(&[one("a", "delivered")], endpoints));
        assert!(!is_delivered(
            &[one("a", "delivered"), one("b", "pending")],
            endpoints
        ));
        assert!(!is_delivered(
            &[one("a", "delivered"), one("a", "delivered")],
            endpoints
        ));
    }
}
