//! Two nodes on one PostgreSQL behind a proxy, restarted one after the other while messages are published: no publisher
//! notices, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::publisher::{Ledger, Publisher, payload_hash};
use crate::interrupt;
use crate::postgres::{Postgres, free_port};
use crate::product::{Binary, Complaints, Installation, Tenant, signing_secret};
use crate::proxy::Proxy;
use crate::receiver::{Arrival, Pace, Receiver};
use crate::server::Server;

/// Slow enough that attempts are under way whenever a node is asked to end, longer than its grace, and that a queue builds
/// up.
const PACE: Pace = Pace {
    least: Duration::from_millis(20),
    most: Duration::from_secs(5),
};
const CLIENTS: usize = 8;
/// Publishing ends when the restarts do, not before.
const UNENDING: usize = usize::MAX / 2;
const LIMIT: Duration = Duration::from_mins(8);
const READY_LIMIT: Duration = Duration::from_mins(1);
const REST_LIMIT: Duration = Duration::from_mins(2);
/// Both nodes serve for so long between two restarts.
const BETWEEN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Restarts both nodes so often.
pub(super) fn play(restarts: u32, binary: &Binary, postgres: &Postgres) -> anyhow::Result<()> {
    let mut installation = Installation::new(binary, Some(postgres))?;
    installation.set("POSTRIDER_DELIVERY__MAX_IN_FLIGHT_PER_ENDPOINT", "256");
    let secret = signing_secret()?;
    // Dropped last: while nodes drain, their attempts can still end.
    let receiver = Receiver::start(&secret, PACE)?;
    let owner = installation.create_tenant()?;
    let addresses = [
        installation.address(),
        SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
    ];
    let mut nodes = Vec::new();
    for (name, address) in ["a", "b"].into_iter().zip(addresses) {
        let mut launch = installation.launch(address);
        name.clone_into(&mut launch.name);
        nodes.push(Server::start(launch)?);
    }
    let proxy = Proxy::start(&addresses)?;
    let tenant = Tenant::set_up(&installation, &owner)?.through(proxy.address());
    tenant.endpoint(&receiver.url(), &secret, None)?;

    let mut publisher = Publisher::start(&tenant, UNENDING, CLIENTS, Instant::now() + LIMIT);
    let began = Instant::now();
    let mut stops = Vec::new();
    for _ in 0..restarts {
        for node in &mut nodes {
            await_both(&proxy, &addresses)?;
            pause(BETWEEN)?;
            stops.push(restart(node)?);
            ensure!(!publisher.is_finished(), "the publishers gave up");
        }
    }
    await_both(&proxy, &addresses)?;
    let ledger = publisher.finish();
    let (arrived, answered) = (receiver.count(), receiver.answered());
    receiver.hurry();
    println!(
        "  published        {} in {:.1} s through the proxy, {} restarts; each node ended within {:.2} s",
        ledger.accepted.len(),
        began.elapsed().as_secs_f64(),
        stops.len(),
        stops.iter().max().map_or(0.0, Duration::as_secs_f64)
    );
    println!(
        "  at the last      {} queued, {} attempts under way",
        ledger.accepted.len().saturating_sub(arrived),
        arrived.saturating_sub(answered)
    );
    await_rest(&ledger, &receiver)?;
    for node in &mut nodes {
        node.stop().context("SIGTERM did not end the node in time")?;
    }
    let leases = installation.leases(Some(postgres))?;
    let outcome = Outcome::of(&ledger, &receiver.since(0));
    outcome.tell(&ledger, proxy.elsewhere());
    println!(
        "  afterwards       {} rows leased, {} nodes that have not left, {} rows in the queue",
        leases.rows, leases.nodes, leases.waiting
    );
    let mut problems = outcome.problems(&ledger);
    if (leases.rows, leases.nodes) != (0, 0) {
        problems.push(format!("left behind: {leases:?}"));
    }
    for node in &nodes {
        problems.extend(Complaints::of(&node.log()).panics);
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

/// Stops the node in order and starts it again; how long it took to end.
fn restart(node: &mut Server) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let status = node.stop().context("SIGTERM did not end the node in time")?;
    let took = asked.elapsed();
    ensure!(
        status.code() == Some(0),
        "after SIGTERM a node ended with {status}"
    );
    node.start_again()?;
    Ok(took)
}

fn await_both(proxy: &Proxy, addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    while !addresses.iter().all(|address| proxy.sends_to(*address)) {
        interrupt::check()?;
        if Instant::now() >= deadline {
            bail!("a node did not get ready behind the proxy");
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn pause(time: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(POLL);
    }
    Ok(())
}

/// Until all that was accepted has arrived; what is missing at the limit is lost.
fn await_rest(ledger: &Ledger, receiver: &Receiver) -> anyhow::Result<()> {
    let deadline = Instant::now() + REST_LIMIT;
    let mut missing: BTreeSet<&str> = ledger.accepted.keys().map(String::as_str).collect();
    let mut seen = 0;
    while !missing.is_empty() && Instant::now() < deadline {
        interrupt::check()?;
        let news = receiver.since(seen);
        seen += news.len();
        for arrival in &news {
            missing.remove(arrival.id.as_str());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// What it amounts to.
#[derive(Debug, Default)]
struct Outcome {
    failed: usize,
    arrived: usize,
    lost: Vec<String>,
    wrong: usize,
    duplicates: usize,
}

impl Outcome {
    fn of(ledger: &Ledger, arrivals: &[Arrival]) -> Self {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut wrong = 0;
        for arrival in arrivals {
            *times.entry(&arrival.id).or_default() += 1;
            let exact = match ledger.accepted.get(&arrival.id) {
                Some((number, _)) => payload_hash(*number) == arrival.sha256,
                // Only a publish that broke off may have been accepted under an id that nobody was told.
                None => !ledger.unknown.is_empty(),
            };
            wrong += usize::from(arrival.fault.is_some() || !exact);
        }
        let arrived = ledger
            .accepted
            .keys()
            .filter(|id| times.contains_key(id.as_str()))
            .count();
        let lost = ledger
            .accepted
            .keys()
            .filter(|id| !times.contains_key(id.as_str()))
            .cloned()
            .collect();
        Self {
            failed: ledger.refused + ledger.unknown.len() + ledger.knocks + ledger.wrong.len(),
            arrived,
            lost,
            wrong,
            duplicates: times.values().map(|times| times - 1).sum(),
        }
    }

    fn tell(&self, ledger: &Ledger, elsewhere: usize) {
        println!(
            "  failed publishes {} (503 {}, broken off {}, no server {}, others {}); sent to the other node at once {elsewhere}",
            self.failed,
            ledger.refused,
            ledger.unknown.len(),
            ledger.knocks,
            ledger.wrong.len()
        );
        println!(
            "  arrived          {} of {}, lost {}, wrong {}, duplicates {}",
            self.arrived,
            ledger.accepted.len(),
            self.lost.len(),
            self.wrong,
            self.duplicates
        );
    }

    fn problems(&self, ledger: &Ledger) -> Vec<String> {
        let mut problems = Vec::new();
        if self.failed > 0 {
            let example = ledger.wrong.first().map_or("", String::as_str);
            problems.push(format!("{} publishes failed: {example}", self.failed));
        }
        if let Some(example) = self.lost.first() {
            problems.push(format!(
                "{} accepted and lost, for example {example}",
                self.lost.len()
            ));
        }
        if self.wrong > 0 {
            problems.push(format!("{} arrived wrong", self.wrong));
        }
        // Each node ends in order: it finishes what is under way, so nothing is made twice.
        if self.duplicates > 0 {
            problems.push(format!("{} came more than once", self.duplicates));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(id: &str, number: usize) -> Arrival {
        Arrival {
            id: id.to_owned(),
            sha256: payload_hash(number),
            bytes: 1,
            fault: None,
            at: Instant::now(),
            answered: None,
        }
    }

    #[test]
    fn what_is_missing_is_lost_and_nothing_may_come_twice() {
        let mut ledger = Ledger::default();
        for (id, number) in [("a", 1), ("b", 2)] {
            ledger.accepted.insert(id.to_owned(), (number, Instant::now()));
        }
        let outcome = Outcome::of(&ledger, &[arrival("a", 1), arrival("a", 1)]);
        assert_eq!(
            (outcome.arrived, outcome.duplicates, outcome.lost.len()),
            (1, 1, 1)
        );
        // The other one is lost, and this one came again.
        assert_eq!(outcome.problems(&ledger).len(), 2);
        let stranger = Outcome::of(&ledger, &[arrival("a", 1), arrival("b", 2), arrival("c", 3)]);
        assert_eq!((stranger.lost.len(), stranger.wrong), (0, 1));
        ledger.refused = 1;
        let outcome = Outcome::of(&ledger, &[arrival("a", 1), arrival("b", 3)]);
        assert_eq!((outcome.failed, outcome.wrong), (1, 1));
        assert_eq!(outcome.problems(&ledger).len(), 2);
    }
}
