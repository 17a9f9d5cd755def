//! The receiver's one loop.

use std::collections::{HashMap, VecDeque};
use std::net::TcpListener;

use serde::Serialize;

use super::connection::Connection;
use super::ledger::Ledger;
use super::{Begin, State};
use crate::bench::clock::{now, own_cpu};
use crate::bench::events::Events;
use crate::bench::http1::{Message, Read, read, short};
use crate::bench::payload::Stamp;

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

/// Serves until it is to stop.
pub(super) fn serve(listener: &TcpListener, stop: impl Fn() -> bool) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let mut server = Server {
        events: Events::new()?,
        connections: HashMap::new(),
        next_token: LISTENER + 1,
        ledger: Ledger::default(),
        slow: 0,
        held: VecDeque::new(),
    };
    server.events.add(listener, LISTENER)?;
    while !stop() {
        let wait = server
            .held
            .front()
            .map_or(IDLE, |(due, _)| due.saturating_sub(now()).min(IDLE));
        for happened in server.events.wait(Some(wait))? {
            if happened.token == LISTENER {
                server.accept(listener);
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
        let path = message
            .start
            .split(|byte| *byte == b' ')
            .nth(1)
            .unwrap_or_default();
        if let Some(endpoint) = path.strip_prefix(b"/e/") {
            let endpoint = std::str::from_utf8(endpoint)
                .ok()
                .and_then(|text| text.parse().ok());
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
            Reply::Now(
                self.command(path, message.body)
                    .unwrap_or_else(|error| refusal(&error)),
            )
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
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::fate;
    use crate::bench::payload;
    use crate::bench::sink::Audit;
    use crate::http::{Connection as Sender, Outcome, Response};
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    /// Serves while the closure runs.
    fn serving(use_it: impl FnOnce(SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(&listener, || stop.load(Ordering::SeqCst)));
            use_it(address);
            stop.store(true, Ordering::SeqCst);
            server.join().unwrap().unwrap();
        });
    }

    fn post(sender: &mut Sender, path: &str, id: &str, body: &[u8]) -> Response {
        match sender.send("POST", path, &[("webhook-id", id)], body) {
            Outcome::Answered(answer) => answer,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn webhook(number: u64, at: u64) -> Vec<u8> {
        let mut body = payload::blank();
        Stamp { run: 4, number, at }.put(&mut body);
        body
    }

    #[test]
    fn what_arrives_is_told_and_compared() {
        serving(|address| {
            let mut sender = Sender::new(address, Duration::from_secs(5));
            let run = br#"{"run":4,"endpoints":1,"messages":2,"slow_ms":100}"#;
            assert_eq!(post(&mut sender, "/begin", "", run).status, 200);
            for (number, id) in [(0, "msg_a"), (1, "msg_b"), (1, "msg_b")] {
                assert_eq!(post(&mut sender, "/e/0", id, &webhook(number, now())).status, 204);
            }
            let began = Instant::now();
            assert_eq!(post(&mut sender, "/slow", "msg_c", b"{}").status, 204);
            assert!(began.elapsed() >= Duration::from_millis(100));

            let state: State = serde_json::from_slice(&post(&mut sender, "/state", "", b"").body).unwrap();
            assert_eq!((state.arrived, state.distinct, state.slow), (3, 2, 1));
            let file = tempfile::NamedTempFile::new().unwrap();
            let fates = [short(b"msg_a"), fate::ACCEPTED, short(b"msg_c")];
            let bytes: Vec<u8> = fates.iter().flat_map(|fate| fate.to_le_bytes()).collect();
            std::fs::write(file.path(), bytes).unwrap();
            let path = file.path().to_str().unwrap().as_bytes();
            let audit: Audit = serde_json::from_slice(&post(&mut sender, "/audit", "", path).body).unwrap();
            assert_eq!(
                (audit.lost, audit.first_lost, audit.renamed, audit.duplicates),
                (1, Some(2), 0, 1)
            );
            assert_eq!(post(&mut sender, "/elsewhere", "", b"").status, 400);
        });
    }
}
