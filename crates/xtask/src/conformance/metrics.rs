//! What a node shows of itself against docs/metrics.md: nothing missing, nothing undocumented.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::check::hold;
use super::ground::{self, Ground};
use super::recorder::Recorder;
use super::stage::Stage;
use crate::cargo;
use crate::http::Client;
use crate::interrupt;
use crate::metrics_page::{self, Metrics, Since};
use crate::postgres::free_port;
use crate::product::Database;
use crate::tenancy::client::text;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(250);
/// What is looked at now and then is shown within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(45);
const MESSAGES: usize = 5;
/// A label has no more values than a program has names for.
const MOST_SERIES: usize = 2_000;

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(cargo::workspace_root().join(metrics_page::PAGE))?;
    let listed = metrics_page::listed(&page)?;
    let management = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let place = management.to_string();
    stage.each(&[("MANAGEMENT__LISTEN", place.as_str())], |database, ground| {
        on(database, ground, management, &listed)
    })
}

fn on(database: Database, ground: &Ground, management: SocketAddr, listed: &Metrics) -> anyhow::Result<()> {
    let made = traffic(ground)?;
    let began = Instant::now();
    loop {
        interrupt::check()?;
        let text = page(management)?;
        let findings = metrics_page::compare(listed, &metrics_page::exposed(&text), Since::Use);
        if findings.is_empty() {
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            println!(
                "{}: {} metrics, all as listed, in {series} series and {} bytes",
                database.name(),
                listed.len(),
                text.len()
            );
            ensure!(series <= MOST_SERIES, "{series} series after {MESSAGES} messages");
            return names_nobody(&text, &made, ground);
        }
        if began.elapsed() > SHOWN_WITHIN {
            return hold(&findings);
        }
        thread::sleep(POLL);
    }
}

fn page(management: SocketAddr) -> anyhow::Result<String> {
    let answer = Client::new(management, TIMEOUT).get("/metrics", &[])?;
    ensure!(answer.status == 200, "/metrics answers {}", answer.status);
    String::from_utf8(answer.body).context("/metrics is no text")
}

/// Messages that arrive; the ids of all that took part.
fn traffic(ground: &Ground) -> anyhow::Result<Vec<String>> {
    let mut client = ground.client(0);
    let application = ground::application(&mut client, "Metrics")?;
    let recorder = Recorder::start(Duration::ZERO)?;
    let path = format!("/v1/applications/{application}/endpoints");
    let endpoint = client.create(&path, &json!({ "url": recorder.url("/metrics") }))?;
    let mut made = vec![text(&endpoint, "id")?, application.clone()];
    for _ in 0..MESSAGES {
        made.push(ground::publish(&mut client, &application, "invoice.paid")?);
    }
    let began = Instant::now();
    while recorder.count() < MESSAGES {
        ensure!(began.elapsed() < SHOWN_WITHIN, "messages did not arrive");
        interrupt::check()?;
        thread::sleep(POLL);
    }
    Ok(made)
}

/// No label says whose anything is, or where it goes.
fn names_nobody(page: &str, made: &[String], ground: &Ground) -> anyhow::Result<()> {
    let company = [&ground.company.id, &ground.key.id, &ground.key.token];
    let marks = made.iter().chain(company).map(String::as_str);
    for mark in marks.chain(["127.0.0.1"]) {
        let found = page
            .lines()
            .find(|line| !line.starts_with('#') && line.contains(mark));
        ensure!(
            found.is_none(),
            "a label holds {mark}: {}",
            found.unwrap_or_default()
        );
    }
    Ok(())
}
