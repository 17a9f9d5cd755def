//! Commands over many aggregates from several hands, whatever becomes of the nodes meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::chance::Dice;
use crate::conformance::ground::Ground;
use crate::http::Outcome;
use crate::interrupt;
use crate::tenancy::client::{Client, text};

pub(super) const HANDS: usize = 4;
/// Of each hand: as many aggregates.
const ENDPOINTS: usize = 24;
/// When a node does not answer.
const PAUSE: Duration = Duration::from_millis(50);

/// What the hands share.
#[derive(Debug)]
pub(super) struct Storm {
    addresses: Vec<SocketAddr>,
    token: String,
    stop: AtomicBool,
    /// Commands that were answered well, and those whose answer never came.
    pub(super) answered: AtomicU64,
    pub(super) unknown: AtomicU64,
}

impl Storm {
    pub(super) fn over(ground: &Ground) -> Self {
        Self {
            addresses: ground.nodes.iter().map(|node| node.address).collect(),
            token: ground.key.token.clone(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Works on endpoints of its own in this application, until it is stopped.
    pub(super) fn hand(&self, number: usize, application: &str, seed: u64) -> anyhow::Result<()> {
        let mut dice = Dice::new(seed);
        let mut node = number % self.addresses.len();
        let mut client = Client::new(self.addresses[node], &self.token);
        let endpoints = format!("/v1/applications/{application}/endpoints");
        let mut own: Vec<String> = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            interrupt::check()?;
            let creates = own.is_empty() || (own.len() < ENDPOINTS && dice.below(8) == 0);
            let (method, path, body) = if creates {
                let body = json!({ "url": "http://127.0.0.1:9/nobody" });
                ("POST", endpoints.clone(), body.to_string())
            } else {
                let which = usize::try_from(dice.below(u64::try_from(own.len())?))?;
                let path = format!("{endpoints}/{}", own[which]);
                match dice.below(4) {
                    0 => ("POST", format!("{path}/disable"), String::new()),
                    1 => ("POST", format!("{path}/enable"), String::new()),
                    2 => {
                        let body = json!({ "overlap_seconds": 0 });
                        ("POST", format!("{path}/secret/rotate"), body.to_string())
                    }
                    _ => {
                        let body = json!({ "description": dice.below(1_000).to_string() });
                        ("PATCH", path, body.to_string())
                    }
                }
            };
            match client.send(method, &path, body.as_bytes()) {
                Outcome::Answered(answer) if answer.status < 300 => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    if creates {
                        own.push(text(&answer.json()?, "id")?);
                    }
                }
                // A node on its way down or up, or one that waits for a dead one.
                Outcome::Answered(answer) => {
                    ensure!(
                        answer.status >= 500,
                        "{method} {path}: {}: {}",
                        answer.status,
                        String::from_utf8_lossy(&answer.body)
                    );
                    self.unknown.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(PAUSE);
                }
                Outcome::NotSent | Outcome::Unknown(_) => {
                    self.unknown.fetch_add(1, Ordering::SeqCst);
                    node = (node + 1) % self.addresses.len();
                    client = Client::new(self.addresses[node], &self.token);
                    thread::sleep(PAUSE);
                }
            }
        }
        Ok(())
    }
}
