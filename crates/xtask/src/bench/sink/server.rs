//! The receiver's one loop.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use serde::Serialize;

use super::connection::Connection;
use super::ledger::Ledger;
use super::{Begin, State};
use crate::bench::clock::{now, own_cpu};
use crate::bench::events::Events;
use crate::bench::http1::{Message, Read, read, short};
use crate::bench::payload::Stamp;
use crate::interrupt;

/// How often an idle loop looks whether it is to end.
const IDLE: u64 = 200_000_000;
const LISTENER: u64 = 0;
const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

struct Server {
    events: Events,
    connections: HashMap<u64, Connection>,
    next_token: u64,
    ledger: Ledger,
    slow: u64,
    /// When which connection gets its slow answer; all take equally long.
    held: VecDeque<(u64, u64)>,
}

/// What a message wants.
enum Reply {
    Now(Vec<u8>),
    Taken,
    Slow,
}

/// Listens on a free loopback port, says which on standard output, and serves until a signal.
pub(super) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    listener.set_nonblocking(true)?;
    let mut server = Server {
        events: Events::new()?,
        connections: HashMap::new(),
        next_token: LISTENER + 1,
        ledger: Ledger::default(),
        slow: 0,
        held: VecDeque::new(),
    };
    server.events.add(&listener, LISTENER)?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    while interrupt::check().is_ok() {
        let wait = server.held.front().map_or(IDLE, |(due, _)| due.saturating_sub(now()).min(IDLE));
        for happened in server.events.wait(Some(wait))? {
            if happened.token == LISTENER {
                server.accept(&listener);
            } else {
                server.attend(happened.token);
            }
        }
        server.release();
    }
    Ok(())
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            let token = self.next_token;
            self.next_token += 1;
            // A connection that is gone already is the sender's to notice.
            if let Ok(connection) = Connection::new(stream)
                && self.events.add(&connection.stream, token).is_ok()
            {
                self.connections.insert(token, connection);
            }
        }
    }

    fn attend(&mut self, token: u64) {
        let Some(mut connection) = self.connections.remove(&token) else {
            return;
        };
        if matches!(self.serve(&mut connection, token), Ok(true)) {
            self.connections.insert(token, connection);
        }
    }

    /// Reads, understands, answers; false once the connection has ended.
    fn serve(&mut self, connection: &mut Connection, token: u64) -> anyhow::Result<bool> {
        let open = connection.fill()?;
        let at = now();
        loop {
            let (length, reply) = match read(connection.input()) {
                Read::Part => break,
                Read::Strange => {
                    connection.say(REFUSED);
                    connection.flush()?;
                    return Ok(false);
                }
                Read::Whole(message) => (message.length, self.take(&message, at)),
            };
            connection.take(length);
            match reply {
                Reply::Taken => connection.say(TAKEN),
                Reply::Now(bytes) => connection.say(&bytes),
                Reply::Slow => self.held.push_back((at + self.slow, token)),
            }
        }
        self.flush(connection, token)?;
        Ok(open)
    }

    fn flush(&self, connection: &mut Connection, token: u64) -> anyhow::Result<()> {
        let blocked = connection.flush()?;
        if blocked != connection.blocked {
            connection.blocked = blocked;
            self.events.want_write(&connection.stream, token, blocked)?;
        }
        Ok(())
    }

    /// Gives the slow answers that are due.
    fn release(&mut self) {
        while self.held.front().is_some_and(|(due, _)| *due <= now()) {
            let Some((_, token)) = self.held.pop_front() else {
                return;
            };
            if let Some(mut connection) = self.connections.remove(&token) {
                connection.say(TAKEN);
                if self.flush(&mut connection, token).is_ok() {
                    self.connections.insert(token, connection);
                }
            }
        }
    }

    fn take(&mut self, message: &Message<'_>, at: u64) -> Reply {
        let path = message.start.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if let Some(endpoint) = path.strip_prefix(b"/e/") {
            let endpoint = std::str::from_utf8(endpoint).ok().and_then(|text| text.parse().ok());
            self.ledger.note(
                endpoint.unwrap_or(usize::MAX),
                Stamp::read(message.body),
                short(message.webhook_id),
                at,
            );
            Reply::Taken
        } else if path.starts_with(b"/slow") {
            self.ledger.note_slow();
            Reply::Slow
        } else {
            Reply::Now(self.command(path, message.body).unwrap_or_else(|error| refusal(&error)))
        }
    }

    /// What the benchmark itself asks.
    fn command(&mut self, path: &[u8], body: &[u8]) -> anyhow::Result<Vec<u8>> {
        match path {
            b"/begin" => {
                let begin: Begin = serde_json::from_slice(body)?;
                self.slow = begin.slow_ms * 1_000_000;
                self.ledger = Ledger::new(begin);
                answer(&self.ledger.state())
            }
            b"/state" => answer(&State {
                cpu: own_cpu(),
                ..self.ledger.state()
            }),
            b"/audit" => answer(&self.ledger.audit_file(std::str::from_utf8(body)?)?),
            _ => anyhow::bail!("nothing here"),
        }
    }
}

fn answer(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let body = serde_json::to_vec(value)?;
    let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn refusal(error: &anyhow::Error) -> Vec<u8> {
    let body = format!("{error:#}");
    format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
