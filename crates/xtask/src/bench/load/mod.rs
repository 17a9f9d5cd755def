//! The load generator of a benchmark: a process of its own that publishes from many connections, as fast as it is
//! answered (closed loop) or on a schedule (open loop), and knows of each message what became of it.

mod client;
mod generator;
mod remote;
mod tally;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::histogram::Summary;
pub(super) use remote::{Plan, run_plan};

/// The variable that carries the API key.
const KEY_VARIABLE: &str = "XTASK_BENCH_KEY";

/// What became of a publish, eight bytes a message, in the order of their numbers. Everything else is the short name
/// of the id that it was answered with.
pub(super) mod fate {
    /// It was refused, or never sent.
    pub(in crate::bench) const NOT_ACCEPTED: u64 = 0;
    /// The connection broke, or the answer said so: nobody knows.
    pub(in crate::bench) const UNKNOWN: u64 = 1;
    /// It was accepted, under an id that does not matter.
    pub(in crate::bench) const ACCEPTED: u64 = 2;
}

/// Options of the hidden command.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadOptions {
    /// The server
    #[arg(long)]
    address: SocketAddr,
    /// Where messages are published
    #[arg(long)]
    path: String,
    /// The run's number
    #[arg(long)]
    run: u64,
    /// Connections that stay open
    #[arg(long)]
    connections: usize,
    /// How long to publish
    #[arg(long)]
    seconds: f64,
    /// Publish no more than this many messages
    #[arg(long)]
    messages: Option<u64>,
    /// Messages a second, on a schedule; without it each connection publishes when it was answered
    #[arg(long)]
    rate: Option<f64>,
    /// Give each message an event id of its own
    #[arg(long)]
    keyed: bool,
    /// The event type
    #[arg(long)]
    event_type: String,
    /// The file for what became of each message
    #[arg(long)]
    fates: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// Answers with 202.
    pub(super) accepted: u64,
    /// Answers that said "not now", by status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// Publishes of which nobody knows whether they were accepted.
    pub(super) unknown: u64,
    /// Answers that must not be, with their text; the first few.
    pub(super) wrong: Vec<String>,
    /// When the first was sent, in nanoseconds of the monotonic clock.
    pub(super) first_at: u64,
    /// When the last answer came.
    pub(super) last_at: u64,
    /// From (scheduled) send to 202.
    pub(super) latency: Summary,
    /// 202s by second.
    pub(super) by_second: Vec<u64>,
    /// The generator's own CPU time, in nanoseconds.
    pub(super) cpu: u64,
}

/// Publishes, and says what came of it on standard output.
pub fn run(options: &LoadOptions) -> anyhow::Result<ExitCode> {
    super::events::end_with_parent()?;
    let key = std::env::var(KEY_VARIABLE)?;
    let report = generator::generate(options, &key)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(ExitCode::SUCCESS)
}
