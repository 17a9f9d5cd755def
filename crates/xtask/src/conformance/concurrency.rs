//! Many at once say the same: one result, and the same answer for all.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::ground::{self, Ground};
use super::recorder::Recorder;
use super::stage::Stage;
use super::statistics::Durations;
use crate::chance::secret_hex;
use crate::http::{Connection, Outcome, Response};
use crate::interrupt;
use crate::product::Database;
use crate::tenancy::client::text;

const PUBLISHES: usize = 10_000;
const PUBLISHERS: usize = 200;
const CREATORS: usize = 100;
const TIMEOUT: Duration = Duration::from_mins(1);
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
/// A second attempt of a message that should be one would come at once.
const QUIET: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
const STACK_BYTES: usize = 256 << 10;

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.each(&[], |database, ground| {
        same_event_id(database, ground)?;
        same_key(database, ground)
    })
}

/// A request that is sent again and again.
struct Ask {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// What came for it.
struct Answer {
    response: Response,
    took: Duration,
}

/// Ten thousand publishes with one `event_id`: one message, named by every answer, delivered once.
fn same_event_id(database: Database, ground: &Ground) -> anyhow::Result<()> {
    let mut client = ground.client(0);
    let application = ground::application(&mut client, "Same event id")?;
    let recorder = Recorder::start(Duration::ZERO)?;
    let path = format!("/v1/applications/{application}");
    client.create(
        &format!("{path}/endpoints"),
        &json!({ "url": recorder.url("/once") }),
    )?;
    let ask = Ask {
        path: format!("{path}/messages"),
        headers: vec![("authorization", format!("Bearer {}", ground.key.token))],
        body: json!({ "event_type": "same.id", "event_id": secret_hex(8)?, "payload": { "n": 1 } })
            .to_string(),
    };
    let began = Instant::now();
    let answers = at_once(ground.nodes[0].address, PUBLISHERS, PUBLISHES / PUBLISHERS, &ask)?;
    let elapsed = began.elapsed();
    let first = text(&answers[0].response.json()?, "id")?;
    for answer in &answers {
        let said = String::from_utf8_lossy(&answer.response.body);
        ensure!(
            answer.response.status == 202,
            "{}: {said}",
            answer.response.status
        );
        ensure!(
            answer.response.json()?["id"] == first.as_str(),
            "two messages: {first}, and {said}"
        );
    }
    let arrivals = settled(&recorder)?;
    ensure!(
        arrivals.iter().all(|id| *id == first) && arrivals.len() == 1,
        "it was delivered {} times: {arrivals:?}",
        arrivals.len()
    );
    let listed = ground::list(&mut client, &ask.path, 10)?.len();
    ensure!(listed == 1, "the list has {listed} messages");
    println!(
        "{}: {} publishes over {PUBLISHERS} connections with one event_id: one message, delivered once, in {:.1} s; {}",
        database.name(),
        answers.len(),
        elapsed.as_secs_f64(),
        Durations::of(answers.iter().map(|answer| answer.took).collect()),
    );
    Ok(())
}

/// A hundred creations under one key: one application, and one answer, byte for byte; another body is a conflict.
fn same_key(database: Database, ground: &Ground) -> anyhow::Result<()> {
    let name = format!("Same key {}", secret_hex(4)?);
    let mut ask = Ask {
        path: "/v1/applications".to_owned(),
        headers: vec![
            ("authorization", format!("Bearer {}", ground.key.token)),
            ("idempotency-key", secret_hex(16)?),
        ],
        body: json!({ "name": name, "metadata": { "a": "1" } }).to_string(),
    };
    let answers = at_once(ground.nodes[0].address, CREATORS, 1, &ask)?;
    let first = &answers[0].response;
    ensure!(
        first.status == 201,
        "{}: {}",
        first.status,
        String::from_utf8_lossy(&first.body)
    );
    for answer in &answers {
        let other = &answer.response;
        ensure!(
            (other.status, &other.body) == (first.status, &first.body),
            "not the same answer: {} {} and {} {}",
            first.status,
            String::from_utf8_lossy(&first.body),
            other.status,
            String::from_utf8_lossy(&other.body)
        );
        for header in ["location", "etag", "content-type"] {
            ensure!(
                other.header(header) == first.header(header),
                "not the same {header}: {:?} and {:?}",
                first.header(header),
                other.header(header)
            );
        }
    }
    let mut client = ground.client(0);
    let made = ground::list(&mut client, "/v1/applications", 1_000)?
        .iter()
        .filter(|one| one["name"] == name.as_str())
        .count();
    ensure!(made == 1, "{made} applications were made");
    ask.body = json!({ "name": "Another body" }).to_string();
    let conflict = at_once(ground.nodes[0].address, 1, 1, &ask)?.remove(0).response;
    let code = text(&conflict.json()?, "code")?;
    ensure!(
        (conflict.status, code.as_str()) == (409, "idempotency_conflict"),
        "another body under the same key: {} {code}",
        conflict.status
    );
    println!(
        "{}: {} creations with one Idempotency-Key: one application, {} equal answers of {} bytes; another body: {} {code}",
        database.name(),
        answers.len(),
        answers.len(),
        first.body.len(),
        conflict.status
    );
    Ok(())
}

/// The same from so many connections, all open before the first is used, so many times on each.
fn at_once(address: SocketAddr, connections: usize, times: usize, ask: &Ask) -> anyhow::Result<Vec<Answer>> {
    thread::scope(|scope| {
        let (opened, ready) = channel();
        // Nobody begins before all were made; who waits is let go if one of them could not be.
        let workers = (0..connections)
            .map(|_| {
                let (begin, begins) = channel();
                let opened = opened.clone();
                let worker = thread::Builder::new()
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, move || {
                        one_connection(address, times, ask, opened, &begins)
                    })
                    .context("no thread")?;
                Ok((worker, begin))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        drop(opened);
        // One that fails says nothing, and its end is seen below.
        let _ = ready.iter().take(connections).count();
        for (_, begin) in &workers {
            let _ = begin.send(());
        }
        let mut answers = Vec::with_capacity(connections * times);
        for (worker, _) in workers {
            answers.extend(
                worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a client panicked"))??,
            );
        }
        Ok(answers)
    })
}

fn one_connection(
    address: SocketAddr,
    times: usize,
    ask: &Ask,
    opened: Sender<()>,
    begins: &Receiver<()>,
) -> anyhow::Result<Vec<Answer>> {
    let mut connection = Connection::new(address, TIMEOUT);
    // A request that changes nothing opens the connection; it stays open.
    let first = connection.send("GET", "/health/live", &[], &[]);
    let _ = opened.send(());
    drop(opened);
    begins.recv().context("not all connections were made")?;
    ensure!(matches!(first, Outcome::Answered(_)), "no connection: {first:?}");
    let headers: Vec<(&str, &str)> = ask
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut answers = Vec::with_capacity(times);
    for _ in 0..times {
        interrupt::check()?;
        let began = Instant::now();
        match connection.post_json(&ask.path, &headers, ask.body.as_bytes()) {
            Outcome::Answered(response) => answers.push(Answer {
                response,
                took: began.elapsed(),
            }),
            outcome => bail!("POST {}: {outcome:?}", ask.path),
        }
    }
    Ok(answers)
}

/// The ids of all arrivals, once the first is there and nothing more has come for a while.
fn settled(recorder: &Recorder) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    while recorder.count() == 0 {
        interrupt::check()?;
        ensure!(Instant::now() < deadline, "it was not delivered");
        thread::sleep(POLL);
    }
    thread::sleep(QUIET);
    Ok(recorder
        .since(0)
        .iter()
        .map(|record| record.id().to_owned())
        .collect())
}
