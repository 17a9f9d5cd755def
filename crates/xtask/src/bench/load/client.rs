//! One connection of the generator, with its request ready to be stamped.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;

use super::LoadOptions;
use crate::bench::http1::{Read, read, short};
use crate::bench::payload::{self, Stamp, digits};

const READ_BYTES: usize = 4 << 10;
const NUMBER_DIGITS: usize = 10;

/// A request, and where in it the stamps go.
#[derive(Debug, Clone)]
pub(super) struct Request {
    bytes: Vec<u8>,
    payload: usize,
    event_id: Option<usize>,
}

impl Request {
    /// The request of these options.
    pub(super) fn new(options: &LoadOptions, key: &str) -> Self {
        let event_type = serde_json::Value::from(options.event_type.as_str());
        let mut body = format!("{{\"event_type\":{event_type},\"payload\":").into_bytes();
        let payload = body.len();
        body.extend_from_slice(&payload::blank());
        let event_id = options.keyed.then(|| {
            body.extend_from_slice(format!(",\"event_id\":\"run-{}-", options.run).as_bytes());
            let at = body.len();
            body.extend_from_slice(&[b'0'; NUMBER_DIGITS]);
            body.push(b'"');
            at
        });
        body.push(b'}');
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            options.path,
            options.address,
            body.len()
        );
        let mut bytes = head.into_bytes();
        let begins = bytes.len();
        bytes.extend_from_slice(&body);
        Self {
            bytes,
            payload: begins + payload,
            event_id: event_id.map(|at| begins + at),
        }
    }

    fn stamp(&mut self, stamp: Stamp) {
        stamp.put(&mut self.bytes[self.payload..self.payload + payload::BYTES]);
        if let Some(at) = self.event_id {
            digits(&mut self.bytes[at..at + NUMBER_DIGITS], stamp.number);
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 202, with the short name of the message's id.
    Accepted(u64),
    /// The server cannot tell.
    Unknown,
    /// Not now.
    Refused(u16),
    /// Anything else.
    Wrong(String),
}

/// One connection with at most one request under way.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    request: Request,
    written: usize,
    input: Vec<u8>,
    /// What is under way.
    pub(super) busy: Option<Stamp>,
    /// Whether the request waits for the socket.
    pub(super) blocked: bool,
    /// Whether the server has closed the connection while nothing was under way, or has said that it does: what is sent
    /// there would not be answered.
    pub(super) closed: bool,
}

impl Client {
    /// Connects.
    pub(super) fn connect(address: SocketAddr, request: Request) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            written: request.bytes.len(),
            request,
            input: Vec::with_capacity(READ_BYTES),
            busy: None,
            blocked: false,
            closed: false,
        })
    }

    /// A new connection in the place of this one.
    pub(super) fn reconnect(&self, address: SocketAddr) -> anyhow::Result<Self> {
        Self::connect(address, self.request.clone())
    }

    /// Begins to send; whether the socket must be waited for.
    pub(super) fn send(&mut self, stamp: Stamp) -> std::io::Result<bool> {
        self.request.stamp(stamp);
        self.busy = Some(stamp);
        self.written = 0;
        self.flush()
    }

    /// Goes on sending; whether the socket must be waited for.
    pub(super) fn flush(&mut self) -> std::io::Result<bool> {
        while self.written < self.request.bytes.len() {
            match self.stream.write(&self.request.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The answer if it is there. An error if the connection has ended or is not understood.
    pub(super) fn answer(&mut self) -> std::io::Result<Option<Answer>> {
        loop {
            let begins = self.input.len();
            self.input.resize(begins + READ_BYTES, 0);
            let got = self.stream.read(&mut self.input[begins..]);
            self.input
                .truncate(begins + got.as_ref().copied().unwrap_or_default());
            match got {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(READ_BYTES) => {}
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (answer, length) = match read(&self.input) {
            Read::Part => return Ok(None),
            Read::Strange => return Err(ErrorKind::InvalidData.into()),
            Read::Whole(message) => {
                self.closed |= message.last;
                (understand(message.start, message.body), message.length)
            }
        };
        self.input.drain(..length);
        Ok(Some(answer))
    }
}

fn understand(start: &[u8], body: &[u8]) -> Answer {
    let status = start
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok())
        .unwrap_or(0_u16);
    let wrong = || Answer::Wrong(format!("{status} {}", String::from_utf8_lossy(body)));
    match status {
        202 => text(body, b"\"id\":\"").map_or_else(wrong, |id| Answer::Accepted(short(id))),
        503 if text(body, b"\"code\":\"") == Some(b"outcome_unknown") => Answer::Unknown,
        429 | 503 => Answer::Refused(status),
        _ => wrong(),
    }
}

/// The text that follows this, up to its quote.
fn text<'a>(body: &'a [u8], after: &[u8]) -> Option<&'a [u8]> {
    let begins = body.windows(after.len()).position(|bytes| bytes == after)? + after.len();
    let length = body[begins..].iter().position(|byte| *byte == b'"')?;
    Some(&body[begins..begins + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(keyed: bool) -> LoadOptions {
        LoadOptions {
            address: ([127, 0, 0, 1], 1).into(),
            path: "/v1/x".to_owned(),
            run: 5,
            connections: 1,
            seconds: 1.0,
            messages: None,
            rate: None,
            keyed,
            event_type: "a.b".to_owned(),
            fates: "f".into(),
        }
    }

    #[test]
    fn a_stamped_request_is_json_with_its_own_number() {
        for keyed in [false, true] {
            let mut request = Request::new(&options(keyed), "k");
            request.stamp(Stamp {
                run: 5,
                number: 77,
                at: 123,
            });
            let Read::Whole(message) = read(&request.bytes) else {
                panic!("not whole")
            };
            assert_eq!(message.length, request.bytes.len());
            let body: serde_json::Value = serde_json::from_slice(message.body).unwrap();
            assert_eq!(body["payload"]["number"], "0000000077");
            assert_eq!(
                body["event_id"].as_str(),
                keyed.then_some("run-5-0000000077"),
                "{body}"
            );
        }
    }

    #[test]
    fn answers_are_accepted_unknown_refused_or_wrong() {
        let accepted = understand(b"HTTP/1.1 202 Accepted", br#"{"id":"msg_1","event_type":"a"}"#);
        assert_eq!(accepted, Answer::Accepted(short(b"msg_1")));
        let unavailable = b"HTTP/1.1 503 Service Unavailable";
        assert_eq!(
            understand(unavailable, br#"{"code":"outcome_unknown"}"#),
            Answer::Unknown
        );
        assert_eq!(
            understand(unavailable, br#"{"code":"busy"}"#),
            Answer::Refused(503)
        );
        assert!(matches!(
            understand(b"HTTP/1.1 202 Accepted", b"{}"),
            Answer::Wrong(_)
        ));
        assert!(matches!(understand(b"HTTP/1.1 500 Oh", b"{}"), Answer::Wrong(_)));
    }
}
