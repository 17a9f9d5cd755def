//! The receiver of a benchmark: a process of its own that costs a few microseconds a webhook, and knows of each
//! message whether it arrived, how often, under which id, and how long after it was to be sent.

mod connection;
mod ledger;
mod remote;
mod server;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::histogram::Summary;
use crate::interrupt;
pub(super) use remote::Sink;

/// Options of the hidden command.
#[derive(Debug, clap::Args)]
pub struct SinkOptions {}

/// Receives until it is told to end; says where on standard output.
pub fn run(_options: &SinkOptions) -> anyhow::Result<ExitCode> {
    super::events::end_with_parent()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    server::serve(&listener, || interrupt::check().is_err())?;
    Ok(ExitCode::SUCCESS)
}

/// A run that begins: what was known of earlier ones is forgotten.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Begin {
    /// Its number, which is in every payload of it.
    pub(super) run: u64,
    /// How many endpoints hear of each message.
    pub(super) endpoints: usize,
    /// About how many messages to expect; more are fine.
    pub(super) messages: usize,
    /// How long an answer of the slow endpoint takes, in milliseconds.
    pub(super) slow_ms: u64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Webhooks for the endpoints of the run, repetitions included.
    pub(super) arrived: u64,
    /// Different ones: message and endpoint.
    pub(super) distinct: u64,
    /// When the last of those arrived, in nanoseconds of the monotonic clock.
    pub(super) last_at: u64,
    /// Webhooks at the slow endpoint.
    pub(super) slow: u64,
    /// Of another run, or none of ours.
    pub(super) strangers: u64,
    /// The receiver's own CPU time so far, in nanoseconds.
    pub(super) cpu: u64,
}

/// What came of a run, beside the list of what was accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Audit {
    /// Accepted, and not arrived: message and endpoint.
    pub(super) lost: u64,
    /// The first of those messages.
    pub(super) first_lost: Option<u64>,
    /// Arrived under another id than the publish was answered with.
    pub(super) renamed: u64,
    /// Arrived although the publish was refused.
    pub(super) uncalled: u64,
    /// Arrived though nobody knows whether the publish was accepted.
    pub(super) unknown_arrived: u64,
    /// Arrivals of what had arrived already.
    pub(super) duplicates: u64,
    /// From scheduled send to arrival, of all.
    pub(super) latency: Summary,
    /// The same by second of the schedule.
    pub(super) windows: Vec<Summary>,
}
