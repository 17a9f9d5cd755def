//! The receiver as the benchmark that started it sees it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

use super::{Audit, Begin, State};
use crate::http::{Connection, Outcome};
use crate::process::Speaker;

const START_LIMIT: Duration = Duration::from_secs(10);
/// Comparing millions of arrivals takes a moment.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A running receiver. Dropping it ends it.
#[derive(Debug)]
pub(in crate::bench) struct Sink {
    // Ends with us.
    _process: Speaker,
    address: SocketAddr,
    connection: Connection,
}

impl Sink {
    /// Starts the receiver by this program.
    pub(in crate::bench) fn start(program: &Path) -> anyhow::Result<Self> {
        let process = Speaker::spawn(Command::new(program).arg("bench-receiver"))?;
        let said = process.line(START_LIMIT)?.context("the receiver says nothing")?;
        let address = said.parse().with_context(|| format!("not an address: {said}"))?;
        Ok(Self {
            _process: process,
            address,
            connection: Connection::new(address, ANSWER_LIMIT),
        })
    }

    /// Where the n-th endpoint is.
    pub(in crate::bench) fn endpoint(&self, n: usize) -> String {
        format!("http://{}/e/{n}", self.address)
    }

    /// Where the slow endpoint is.
    pub(in crate::bench) fn slow_endpoint(&self) -> String {
        format!("http://{}/slow", self.address)
    }

    /// Forgets all, and expects this run.
    pub(in crate::bench) fn begin(&mut self, begin: &Begin) -> anyhow::Result<()> {
        let body = serde_json::to_vec(begin)?;
        self.ask::<State>("/begin", &body).map(drop)
    }

    /// How the run stands.
    pub(in crate::bench) fn state(&mut self) -> anyhow::Result<State> {
        self.ask("/state", b"")
    }

    /// Compares what arrived with the file of what was accepted.
    pub(in crate::bench) fn audit(&mut self, fates: &Path) -> anyhow::Result<Audit> {
        let path = fates.to_str().context("the folder's name is not text")?;
        self.ask("/audit", path.as_bytes())
    }

    fn ask<T: DeserializeOwned>(&mut self, path: &str, body: &[u8]) -> anyhow::Result<T> {
        match self.connection.send("POST", path, &[], body) {
            Outcome::Answered(answer) => {
                let said = String::from_utf8_lossy(&answer.body);
                ensure!(answer.status == 200, "the receiver: {said}");
                Ok(serde_json::from_slice(&answer.body)?)
            }
            Outcome::NotSent => anyhow::bail!("the receiver is gone"),
            Outcome::Unknown(error) => Err(error.context("the receiver does not answer")),
        }
    }
}
