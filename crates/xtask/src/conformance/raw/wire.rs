//! Bytes over TCP, whatever they say, and what comes back for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

/// Answers are far shorter.
const MAX_ANSWER: usize = 1 << 20;
/// How often a reader looks at the clock.
const LOOK: Duration = Duration::from_millis(20);

/// What came for the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The first answer's status; nothing if the connection was closed without one.
    pub(super) status: Option<u16>,
    /// The first answer's problem code; empty if it has no body.
    pub(super) code: String,
    /// How many answers came; one that says "continue" is none.
    pub(super) answers: usize,
    /// Whether the server had neither answered nor closed in time.
    pub(super) hangs: bool,
    /// What an error answer's body had that it should not.
    pub(super) fault: Option<&'static str>,
    /// From the first byte sent to the end of the first answer, or of the connection.
    pub(super) took: Duration,
}

impl Outcome {
    /// For people.
    pub(super) fn shown(&self) -> String {
        match (self.status, self.code.as_str()) {
            (None, _) if self.hangs => "hangs".to_owned(),
            (None, _) => "closed".to_owned(),
            (Some(status), "") => format!("{status}"),
            (Some(status), code) => format!("{status} {code}"),
        }
    }
}

/// Sends all of it on a connection of its own, and reads until the server is done: until it closes, or, after an
/// answer, says nothing more for a moment.
pub(super) fn exchange(address: SocketAddr, bytes: &[u8], limit: Duration) -> anyhow::Result<Outcome> {
    let stream = TcpStream::connect_timeout(&address, limit).context("no connection")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(limit))?;
    let began = Instant::now();
    thread::scope(|scope| {
        let mut writer = stream.try_clone()?;
        // The server may answer, and close, before it has read everything: that is its right.
        let sending = scope.spawn(move || writer.write_all(bytes).is_ok());
        let (received, closed, took) = receive(&stream, began, limit);
        let _ = stream.shutdown(Shutdown::Both);
        let _ = sending.join();
        let mut outcome = read(&received);
        outcome.hangs = outcome.status.is_none() && !closed;
        outcome.took = took;
        Ok(outcome)
    })
}

/// How long after an answer another one, which nobody asked for, is waited for.
const AFTER: Duration = Duration::from_millis(100);

fn receive(mut stream: &TcpStream, began: Instant, limit: Duration) -> (Vec<u8>, bool, Duration) {
    let mut received = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let mut answered: Option<Duration> = None;
    while began.elapsed() < limit && received.len() < MAX_ANSWER {
        match stream.read(&mut piece) {
            Ok(0) => return (received, true, answered.unwrap_or_else(|| began.elapsed())),
            Ok(count) => {
                received.extend_from_slice(&piece[..count]);
                if answered.is_none() && read(&received).answers > 0 {
                    answered = Some(began.elapsed());
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return (received, true, answered.unwrap_or_else(|| began.elapsed())),
        }
        if answered.is_some_and(|at| began.elapsed() > at + AFTER) {
            break;
        }
    }
    let took = answered.unwrap_or_else(|| began.elapsed());
    (received, false, took)
}

/// The answers in it, as far as they are whole.
fn read(received: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rest = received;
    while let Some(end) = find(rest, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
        let header = |name: &str| {
            head.split("\r\n")
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
        };
        let length = header("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let Some(body) = rest[end + 4..].get(..length) else {
            break;
        };
        rest = &rest[end + 4 + length..];
        if status == Some(100) {
            continue;
        }
        outcome.answers += 1;
        if outcome.answers == 1 {
            outcome.status = status;
            if status.is_some_and(|status| status >= 400) && !body.is_empty() {
                if header("content-type").as_deref() != Some("application/problem+json") {
                    outcome.fault = Some("a body that is no problem");
                }
                let problem: Value = serde_json::from_slice(body).unwrap_or_default();
                match problem["code"].as_str() {
                    Some(code) => code.clone_into(&mut outcome.code),
                    None => outcome.fault = Some("a problem without a code"),
                }
            }
        }
    }
    outcome
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_and_the_first_is_told() {
        let problem = r#"{"code":"not_found"}"#;
        let bytes = format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 N\r\ncontent-type: application/problem+json\r\n\
             content-length: {}\r\n\r\n{problem}HTTP/1.1 400 B\r\ncontent-length: 0\r\n\r\n",
            problem.len()
        );
        let outcome = read(bytes.as_bytes());
        assert_eq!((outcome.answers, outcome.status), (2, Some(404)));
        assert_eq!((outcome.shown().as_str(), outcome.fault), ("404 not_found", None));
        let bare = read(b"HTTP/1.1 400 B\r\ncontent-length: 2\r\n\r\nno");
        assert_eq!(bare.fault, Some("a problem without a code"));
        assert_eq!(read(b"HTTP/1.1 400 B\r\ncontent-length: 20\r\n\r\nno").answers, 0);
        assert_eq!(Outcome::default().shown(), "closed");
    }
}
