//! Signing keys are rotated while people work: nobody notices.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::client::Client;
use super::company::Company;
use super::load::Load;
use super::master;
use super::site::{MasterKeys, Node, Site};
use crate::interrupt;
use crate::postgres::Postgres;
use crate::product::{Binary, Database};

const CLIENTS: usize = 6;
const ROTATIONS: usize = 3;
/// How long people work between two events.
const SPELL: Duration = Duration::from_secs(2);
/// Until every node signs with the new key and publishes it; the product promises seconds.
const TAKE_UP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Runs both rotations on one database.
pub(super) fn run(
    binary: &Binary,
    database: Database,
    postgres: Option<&Postgres>,
    _: &super::Options,
) -> anyhow::Result<()> {
    let site = Site::new(binary, postgres, &[])?;
    let mut nodes = site.start_all(database)?;
    let company = Company::found("Rotation", &mut site.operator(&nodes[0]), nodes[0].address)?;
    signing_keys(&site, &nodes, &company)?;
    nodes = master::rotate(&site, nodes, &company)?;
    nodes.into_iter().try_for_each(Node::stop)
}

fn signing_keys(site: &Site, nodes: &[Node], company: &Company) -> anyhow::Result<()> {
    let load = Load::start(nodes.iter().map(|node| node.address), &company.owner, CLIENTS);
    work(SPELL)?;
    for rotation in 1..=ROTATIONS {
        let seen = load.tally().heads.len();
        let began = Instant::now();
        site.run(&["keys", "rotate"], &MasterKeys::only(&site.first_key))?;
        let rotated = Instant::now();
        let signed = await_until(TAKE_UP_LIMIT, "the new key signs", || {
            Ok(load.tally().heads.len() > seen)
        })?;
        let published = await_until(TAKE_UP_LIMIT, "every node publishes the new key", || {
            let mut all = true;
            for node in nodes {
                all &= published_keys(node)? > rotation;
            }
            Ok(all)
        })?;
        println!(
            "  keys rotate {rotation}    {:.2} s; signs {:.2} s and is published everywhere {:.2} s after it",
            (rotated - began).as_secs_f64(),
            (signed - rotated).as_secs_f64(),
            (published - rotated).as_secs_f64()
        );
        work(SPELL)?;
    }
    let (tally, firsts) = load.end();
    println!("  load             {tally}");
    tally.judge()?;
    ensure!(
        tally.heads.len() > ROTATIONS,
        "only {} keys ever signed",
        tally.heads.len()
    );
    for node in nodes {
        let keys = published_keys(node)?;
        ensure!(keys > ROTATIONS, "node {} publishes {keys} keys only", node.name);
        for first in &firsts {
            Client::new(node.address, first)
                .get("/v1/me")
                .context("a token of before the rotations")?;
        }
        println!(
            "  node {}           publishes {keys} keys; {} tokens of before the rotations are good",
            node.name,
            firsts.len()
        );
    }
    Ok(())
}

fn published_keys(node: &Node) -> anyhow::Result<usize> {
    let set = Client::new(node.address, "").get("/.well-known/jwks.json")?;
    let keys = set["keys"].as_array().context("the key set has no `keys`")?;
    Ok(keys.len())
}

/// Lets people work for a while.
pub(super) fn work(time: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// When it was first so; an error if it is not so in time.
pub(super) fn await_until(
    limit: Duration,
    what: &str,
    mut so: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + limit;
    loop {
        if so()? {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < deadline, "not within {limit:?}: {what}");
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
}
