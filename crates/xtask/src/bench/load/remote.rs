//! The generator as the benchmark that starts it sees it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::{KEY_VARIABLE, Report};
use crate::process::Speaker;

/// How long the generator may take beyond the time that it publishes.
const FAREWELL: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// What is to be published.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Plan {
    /// The server.
    pub(in crate::bench) address: SocketAddr,
    /// Where messages are published.
    pub(in crate::bench) path: String,
    /// The API key.
    pub(in crate::bench) key: String,
    /// The run's number.
    pub(in crate::bench) run: u64,
    /// How many connections.
    pub(in crate::bench) connections: usize,
    /// For how long.
    pub(in crate::bench) seconds: f64,
    /// At most so many messages.
    pub(in crate::bench) messages: Option<u64>,
    /// Messages a second on a schedule; without it, as fast as they are answered.
    pub(in crate::bench) rate: Option<f64>,
    /// Whether each message has an event id.
    pub(in crate::bench) keyed: bool,
    /// The event type.
    pub(in crate::bench) event_type: String,
}

/// Publishes by this program; `meanwhile` is called every 50 ms with the seconds since the start.
pub(in crate::bench) fn run_plan(
    program: &Path,
    plan: &Plan,
    fates: &Path,
    mut meanwhile: impl FnMut(f64) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let mut command = Command::new(program);
    command
        .arg("bench-load")
        .args(["--address", &plan.address.to_string(), "--path", &plan.path])
        .args(["--run", &plan.run.to_string()])
        .args(["--connections", &plan.connections.to_string()])
        .args(["--seconds", &plan.seconds.to_string()])
        .args(["--event-type", &plan.event_type])
        .arg("--fates")
        .arg(fates)
        .env(KEY_VARIABLE, &plan.key);
    if let Some(rate) = plan.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    if let Some(messages) = plan.messages {
        command.args(["--messages", &messages.to_string()]);
    }
    if plan.keyed {
        command.arg("--keyed");
    }
    let began = std::time::Instant::now();
    let limit = Duration::from_secs_f64(plan.seconds) + FAREWELL;
    let generator = Speaker::spawn(&mut command)?;
    while began.elapsed() < limit {
        crate::interrupt::check()?;
        if let Some(line) = generator.line(POLL).context("the load generator failed")? {
            return serde_json::from_str(&line).with_context(|| format!("the load generator said: {line}"));
        }
        meanwhile(began.elapsed().as_secs_f64())?;
    }
    anyhow::bail!("the load generator does not end")
}
