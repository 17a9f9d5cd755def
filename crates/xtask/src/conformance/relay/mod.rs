//! The relay: how soon one node sees what was changed at the other, what an idle system asks its database, and what
//! becomes of events when the relay's node is killed, when one of them is not known, and when the disk is full.

mod aside;
mod crash;
mod log;
mod storm;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::ground::Ground;
use super::stage::Stage;
use super::statistics::{Durations, ratio};
use crate::interrupt;
use crate::postgres::{Connection, Postgres};
use crate::product::Database;
use crate::tenancy::client::Client;
use crate::tenancy::company::mint_key;

const ROUND_TRIPS: usize = 1_000;
/// Each makes a key of its own.
const MOST_TRIALS: u32 = 300;
/// The product's promise.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// How often the other node answers well before: its caches hold the key then.
const WARM: usize = 3;
const SETTLE: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);
const SHOWN: usize = 10;
/// Of a statement's text.
const SHOWN_CHARS: usize = 90;

/// Runs on each database; what takes two nodes on PostgreSQL.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    crash::run(stage)?;
    if !stage.databases().contains(&Database::Postgres) {
        return Ok(());
    }
    let trials = stage.options.trials.min(MOST_TRIALS);
    stage.two_nodes(&[], |postgres, ground| {
        seen(postgres, ground, trials)?;
        idle(postgres, ground)
    })
}

/// Keys are revoked at one node, and used at the other until it refuses them.
fn seen(postgres: &Postgres, ground: &Ground, trials: u32) -> anyhow::Result<()> {
    let trip = round_trip(postgres)?;
    let mut here = ground.client(0);
    let (mut from_request, mut from_answer, mut asked) = (Vec::new(), Vec::new(), 0);
    for _ in 0..trials {
        interrupt::check()?;
        let key = mint_key(&mut here, "viewer")?;
        let mut there = Client::new(ground.nodes[1].address, &key.token);
        for _ in 0..WARM {
            there.get("/v1/me")?;
        }
        let begun = Instant::now();
        here.expect(204, "DELETE", &format!("/v1/api-keys/{}", key.id), None)?;
        let answered = Instant::now();
        loop {
            let asks = Instant::now();
            let answer = there.ask("GET", "/v1/me", None)?;
            asked += 1;
            if answer.status == 401 {
                // It was seen before this was asked, at the latest while it was answered.
                from_request.push(begun.elapsed());
                from_answer.push(asks.duration_since(answered));
                break;
            }
            ensure!(answer.status == 200, "GET /v1/me: {}", answer.status);
            ensure!(
                answered.elapsed() < SEEN_WITHIN,
                "a revoked key is good at the other node for {SEEN_WITHIN:?}"
            );
        }
    }
    let (from_request, from_answer) = (Durations::of(from_request), Durations::of(from_answer));
    println!("a round trip to the database: {trip}");
    println!("a key revoked at one node, refused by the other ({asked} asked):");
    for (from, took) in [("request", &from_request), ("answer", &from_answer)] {
        println!(
            "  from the {from}: {took}; {:.1} and {:.1} round trips",
            ratio(took.median(), trip.median()),
            ratio(took.percentile(99), trip.median())
        );
    }
    Ok(())
}

fn round_trip(postgres: &Postgres) -> anyhow::Result<Durations> {
    let port = postgres.port().context("a server of ours has a port")?;
    let mut connection = Connection::open(port, "postgres")?;
    let mut took = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        connection.query("select 1")?;
        took.push(began.elapsed());
    }
    Ok(Durations::of(took))
}

/// Counts for a minute in which nobody asks anything.
fn idle(postgres: &Postgres, ground: &Ground) -> anyhow::Result<()> {
    let database = ground
        .site
        .database()
        .context("the installation has no database")?;
    sleep(SETTLE)?;
    let logs = postgres.log().is_some();
    if logs {
        set(postgres, "'all'")?;
    }
    let begins = postgres.log().map_or(0, |log| log.len());
    let counted = transactions_of_a_minute(postgres, database);
    let log = postgres.log().unwrap_or_default();
    if logs {
        // Other parts use the server after us.
        set(postgres, "default")?;
    }
    let counted = counted?;
    println!(
        "{} idle nodes, a minute: {counted} transactions",
        ground.nodes.len()
    );
    // Each tells that it lives, several times a minute.
    ensure!(counted > 0, "the database counts nothing of {database}");
    let Some(said) = log.get(begins..).filter(|_| logs) else {
        println!("  statements are not counted: this PostgreSQL's log cannot be read");
        return Ok(());
    };
    let statements = statements(said);
    println!("  {} statements:", statements.values().sum::<u64>());
    let mut shown: Vec<_> = statements.iter().collect();
    shown.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (text, count) in shown.iter().take(SHOWN) {
        println!("  {count:>6}  {text}");
    }
    if shown.len() > SHOWN {
        println!("          and {} others", shown.len() - SHOWN);
    }
    Ok(())
}

fn transactions_of_a_minute(postgres: &Postgres, database: &str) -> anyhow::Result<i64> {
    let before = transactions(postgres, database)?;
    sleep(MINUTE)?;
    Ok(transactions(postgres, database)? - before)
}

fn sleep(time: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Of all sessions, also those that are open.
fn set(postgres: &Postgres, value: &str) -> anyhow::Result<()> {
    postgres.query(&format!("alter system set log_statement = {value}"))?;
    postgres.query("select pg_reload_conf()")?;
    sleep(Duration::from_secs(1))
}

fn transactions(postgres: &Postgres, database: &str) -> anyhow::Result<i64> {
    let rows = postgres.query(&format!(
        "select xact_commit + xact_rollback from pg_stat_database where datname = '{database}'"
    ))?;
    match rows.as_slice() {
        [row] => Ok(row
            .first()
            .and_then(Option::as_deref)
            .context("no number")?
            .parse()?),
        _ => bail!("no statistics of {database}"),
    }
}

/// How often each statement stands in the server's log, without those of this program and of transactions' frames.
fn statements(log: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, said)) = line.split_once("LOG:  ") else {
            continue;
        };
        let text = match said.split_once(": ") {
            Some((kind, text)) if kind == "statement" || kind.starts_with("execute ") => text,
            _ => continue,
        };
        let mut text = text.to_owned();
        // A statement of several lines goes on with a tab.
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text.push(' ');
            text.push_str(more.trim());
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let text: String = words.join(" ").chars().take(SHOWN_CHARS).collect();
        let own = text.contains("pg_stat_database")
            || text.contains("pg_reload_conf")
            || text.contains("alter system");
        if !own {
            *found.entry(text).or_default() += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_from_the_log_with_all_their_lines() {
        let log = "2026 [7] LOG:  execute sqlx_s_1: UPDATE nodes\n\tSET seen = 1\n\
            2026 [7] DETAIL:  Parameters: $1 = '1'\n\
            2026 [7] LOG:  execute sqlx_s_1: UPDATE nodes\n\t  SET seen = 1\n\
            2026 [8] LOG:  statement: BEGIN\n\
            2026 [9] LOG:  statement: select xact_commit from pg_stat_database\n\
            2026 [1] LOG:  checkpoint starting: time\n";
        let found = statements(log);
        assert_eq!(found.len(), 2);
        assert_eq!(found["UPDATE nodes SET seen = 1"], 2);
        assert_eq!(found["BEGIN"], 1);
    }
}
