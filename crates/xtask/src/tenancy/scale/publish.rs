//! Many messages, published over HTTP by API keys from a few connections, and what must come of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::http::{Outcome, Response};
use crate::interrupt;
use crate::receiver::Receiver;
use crate::tenancy::client::{Client, text};
use crate::tenancy::company::Company;

/// How long a client waits after "not now".
const KNOCK: Duration = Duration::from_millis(20);
/// How long nothing may arrive while something is missing: longer than the first retry's wait.
const STANDSTILL: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);
/// Of so many messages, the first has both endpoints' type, the next three one's, the others are heard by nobody.
const CYCLE: usize = 10;
/// Every so many messages brings its own event id.
const KEYED: usize = 5;

/// The event types, by how many endpoints hear of them.
pub(super) const BOTH: &str = "invoice.paid";
/// One hears of it.
pub(super) const ONE: &str = "invoice.created";
/// Nobody hears of it.
const NOBODY: &str = "page.viewed";

/// What came of publishing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    /// Answers with 202.
    pub(super) accepted: usize,
    /// Answers that said "not now"; the same message was sent again.
    pub(super) refused: usize,
    /// How long it took.
    pub(super) took: Duration,
}

/// How many messages of the first `messages` bring an event id.
pub(super) fn keyed(messages: usize) -> usize {
    messages.div_ceil(KEYED)
}

/// How many of the first `messages` the endpoint for both types hears of, and how many the one for [`BOTH`] only.
pub(super) fn heard(messages: usize) -> [usize; 2] {
    let below = |types: usize| messages / CYCLE * types + (messages % CYCLE).min(types);
    [below(4), below(1)]
}

fn event_type(number: usize) -> &'static str {
    match number % CYCLE {
        0 => BOTH,
        1..=3 => ONE,
        _ => NOBODY,
    }
}

fn body(number: usize) -> Value {
    let mut body = json!({
        "event_type": event_type(number),
        "payload": { "number": number, "note": "all of it, and nothing of anybody else's; ".repeat(10) },
    });
    if number.is_multiple_of(KEYED) {
        body["event_id"] = json!(format!("event-{number}"));
    }
    body
}

/// Publishes the messages of these numbers, from one connection a key.
pub(super) fn publish(
    node: SocketAddr,
    company: &Company,
    keys: &[String],
    numbers: Range<usize>,
) -> anyhow::Result<Published> {
    let began = Instant::now();
    let wanted = numbers.len();
    let (next, refused) = (AtomicUsize::new(numbers.start), AtomicUsize::new(0));
    let path = company.path("/messages");
    let work = |key: &str| -> anyhow::Result<usize> {
        let mut client = Client::new(node, key);
        let mut accepted = 0;
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= numbers.end {
                return Ok(accepted);
            }
            let body = body(number).to_string();
            while !one(&mut client, &path, body.as_bytes())? {
                refused.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(KNOCK);
            }
            accepted += 1;
        }
    };
    let accepted = std::thread::scope(|scope| {
        let clients: Vec<_> = keys.iter().map(|key| scope.spawn(|| work(key))).collect();
        clients.into_iter().try_fold(0, |sum, client| {
            let accepted = client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
            anyhow::Ok(sum + accepted)
        })
    })?;
    ensure!(accepted == wanted, "{accepted} of {wanted} were accepted");
    Ok(Published {
        accepted,
        refused: refused.into_inner(),
        took: began.elapsed(),
    })
}

/// Publishes one message; false if it was refused for now.
fn one(client: &mut Client, path: &str, body: &[u8]) -> anyhow::Result<bool> {
    interrupt::check()?;
    match client.send("POST", path, body) {
        Outcome::Answered(response) => accepted(&response),
        Outcome::NotSent => bail!("the node is gone"),
        Outcome::Unknown(error) => Err(error.context("a publish was not answered")),
    }
}

fn accepted(response: &Response) -> anyhow::Result<bool> {
    let answer = response.json()?;
    match (response.status, answer["code"].as_str()) {
        (202, _) => text(&answer, "id").map(|_| true),
        (503, Some("outcome_unknown")) => bail!("a publish ended in outcome_unknown"),
        (503, _) => Ok(false),
        (status, _) => bail!("a publish was answered {status} {answer}"),
    }
}

/// Waits until each receiver has as many different messages as it must, all of them well signed; how many webhooks
/// came in all.
pub(super) fn await_arrivals(receivers: &[Receiver], expected: &[usize]) -> anyhow::Result<usize> {
    let mut ids = vec![BTreeSet::new(); receivers.len()];
    let mut seen = vec![0; receivers.len()];
    let mut moved = Instant::now();
    loop {
        interrupt::check()?;
        for ((receiver, ids), seen) in receivers.iter().zip(&mut ids).zip(&mut seen) {
            let news = receiver.since(*seen);
            if !news.is_empty() {
                moved = Instant::now();
            }
            *seen += news.len();
            for arrival in news {
                ensure!(
                    arrival.fault.is_none(),
                    "{} arrived and does not verify: {:?}",
                    arrival.id,
                    arrival.fault
                );
                ids.insert(arrival.id);
            }
        }
        let have: Vec<usize> = ids.iter().map(BTreeSet::len).collect();
        if have == expected {
            return Ok(seen.iter().sum());
        }
        ensure!(
            have.iter().zip(expected).all(|(have, expected)| have <= expected),
            "more messages arrived ({have:?}) than were published ({expected:?})"
        );
        ensure!(
            moved.elapsed() < STANDSTILL,
            "nothing arrives any more: {have:?} of {expected:?}"
        );
        std::thread::sleep(POLL);
    }
}

/// Waits until the API says of the last arrivals that they were delivered: then they are settled.
pub(super) fn await_settled(
    client: &mut Client,
    company: &Company,
    receivers: &[Receiver],
) -> anyhow::Result<()> {
    const LAST: usize = 200;
    let deadline = Instant::now() + STANDSTILL;
    for receiver in receivers {
        for arrival in receiver.since(receiver.count().saturating_sub(LAST)) {
            let path = company.path(&format!("/messages/{}/deliveries", arrival.id));
            loop {
                interrupt::check()?;
                let page = client.get(&path)?;
                let deliveries = page["data"].as_array().context("no `data`")?;
                if !deliveries.is_empty() && deliveries.iter().all(|one| one["status"] == "delivered") {
                    break;
                }
                ensure!(Instant::now() < deadline, "{} is not settled: {page}", arrival.id);
                std::thread::sleep(POLL);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_arrive_is_what_was_published() {
        for messages in [0, 1, 7, 10, 2_003] {
            let count = |wanted: &[&str]| {
                (0..messages)
                    .filter(|number| wanted.contains(&event_type(*number)))
                    .count()
            };
            assert_eq!(heard(messages), [count(&[BOTH, ONE]), count(&[BOTH])]);
            let with_id = (0..messages)
                .filter(|number| body(*number).get("event_id").is_some())
                .count();
            assert_eq!(keyed(messages), with_id);
        }
    }

    #[test]
    fn answers_are_accepted_for_later_or_wrong() {
        let answer = |status, body: &str| {
            accepted(&Response {
                status,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            })
        };
        assert!(answer(202, r#"{"id":"msg_1"}"#).unwrap());
        assert!(!answer(503, r#"{"code":"unavailable"}"#).unwrap());
        assert!(answer(503, r#"{"code":"outcome_unknown"}"#).is_err());
        assert!(answer(202, "{}").is_err() && answer(403, "{}").is_err());
    }
}
