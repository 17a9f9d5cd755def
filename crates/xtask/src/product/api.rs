//! The REST API as a consumer uses it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::http::{Connection, Outcome, Response};

const TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that stayed open may break under the first request after a restart.
const TRIES: usize = 2;

/// A client with one credential and one connection.
#[derive(Debug)]
pub struct Api {
    connection: Connection,
    authorization: String,
}

impl Api {
    /// A client that sends this token; none if it is empty.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            connection: Connection::new(address, TIMEOUT),
            authorization: if token.is_empty() {
                String::new()
            } else {
                format!("Bearer {token}")
            },
        }
    }

    /// GET, answered with success. Repeated if the connection breaks.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Response> {
        for _ in 1..TRIES {
            if let Outcome::Answered(response) = self.send("GET", path, &[]) {
                return successful("GET", path, response);
            }
        }
        answered("GET", path, self.send("GET", path, &[]))
    }

    /// POST of JSON, answered with success and JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let outcome = self.send("POST", path, body.to_string().as_bytes());
        answered("POST", path, outcome)?.json()
    }

    /// POST of this text as JSON, however it ends.
    pub fn try_post(&mut self, path: &str, body: &[u8]) -> Outcome {
        self.send("POST", path, body)
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome {
        let mut headers = Vec::new();
        if !self.authorization.is_empty() {
            headers.push(("authorization", self.authorization.as_str()));
        }
        if method != "GET" {
            headers.push(("content-type", "application/json"));
        }
        self.connection.send(method, path, &headers, body)
    }
}

fn answered(method: &str, path: &str, outcome: Outcome) -> anyhow::Result<Response> {
    match outcome {
        Outcome::Answered(response) => successful(method, path, response),
        Outcome::NotSent => bail!("{method} {path}: no connection"),
        Outcome::Unknown(error) => Err(error).with_context(|| format!("{method} {path}: no answer")),
    }
}

fn successful(method: &str, path: &str, response: Response) -> anyhow::Result<Response> {
    if !(200..300).contains(&response.status) {
        let said = String::from_utf8_lossy(&response.body);
        bail!("{method} {path}: {} {said}", response.status);
    }
    Ok(response)
}
