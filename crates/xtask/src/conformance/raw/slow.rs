//! Clients that hold connections: each is ended, and nobody else waits for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::case::Pen;
use crate::http::Client;
use crate::interrupt;

/// Of each kind, at the same time.
const EACH: usize = 8;
/// A request that is not there yet: a head (10 s), and a kept connection's end (5 s).
const HEAD: Duration = Duration::from_secs(15);
/// A body that does not arrive (30 s), then an end that does not come (15 s).
const BODY: Duration = Duration::from_secs(45);
/// Who takes nothing of an answer (60 s).
const ANSWER: Duration = Duration::from_mins(1);
/// What a busy machine adds at most.
const SLACK: Duration = Duration::from_secs(15);
/// How often a byte is sent, where some are.
const DRIP: Duration = Duration::from_secs(1);
/// Others are answered meanwhile.
const GOOD_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);
/// Of a document that is never read: more than all buffers between the two hold.
const UNREAD: usize = 400;

/// A way to hold a connection.
struct Hold {
    name: &'static str,
    first: Vec<u8>,
    /// What is sent after the first answer.
    then: &'static [u8],
    /// What is sent again and again.
    drip: &'static [u8],
    reads: bool,
    /// The longest that it may be held.
    within: Duration,
}

/// Holds connections in every way; how long each way lasted at most.
pub(super) fn hold(address: SocketAddr, pen: &Pen) -> anyhow::Result<Vec<(&'static str, Duration)>> {
    let ways = ways(pen);
    thread::scope(|scope| {
        let began = Instant::now();
        let held: Vec<_> = ways
            .iter()
            .flat_map(|way| std::iter::repeat_n(way, EACH))
            .map(|way| (way.name, scope.spawn(move || one(address, way))))
            .collect();
        while held.iter().any(|(_, one)| !one.is_finished()) {
            interrupt::check()?;
            let asked = Instant::now();
            let live = Client::new(address, GOOD_WITHIN).get("/health/ready", &[])?;
            ensure!(
                live.status == 200 && asked.elapsed() < GOOD_WITHIN,
                "somebody else waited, {:?} into it",
                began.elapsed()
            );
            thread::sleep(POLL);
        }
        let mut longest: Vec<(&'static str, Duration)> = Vec::new();
        for (name, one) in held {
            let lasted = one
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?
                .with_context(|| name.to_owned())?;
            match longest.last_mut() {
                Some((known, most)) if *known == name => *most = lasted.max(*most),
                _ => longest.push((name, lasted)),
            }
        }
        Ok(longest)
    })
}

fn ways(pen: &Pen) -> Vec<Hold> {
    let mut ways = heads();
    ways.extend(bodies(pen));
    ways.push(Hold {
        name: "reads no answer",
        first: "GET /openapi.json HTTP/1.1\r\nhost: raw\r\n\r\n"
            .repeat(UNREAD)
            .into_bytes(),
        then: b"",
        drip: b"",
        reads: false,
        within: ANSWER + SLACK,
    });
    ways
}

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: raw\r\n";

/// Heads that do not come to an end.
fn heads() -> Vec<Hold> {
    let way = |name, first: &str, then, drip| Hold {
        name,
        first: first.as_bytes().to_vec(),
        then,
        drip,
        reads: true,
        within: HEAD + SLACK,
    };
    let whole = format!("{LIVE}\r\n");
    vec![
        way("says nothing", "", b"", b""),
        way("a head, byte by byte", "GET /", b"", b"a"),
        way("a header without end", &format!("{LIVE}x-a: "), b"", b"a"),
        way("a second head that stops", &whole, b"GET /", b""),
        way("a second head, byte by byte", &whole, b"GET /", b"a"),
    ]
}

/// Bodies that do not come to an end.
fn bodies(pen: &Pen) -> Vec<Hold> {
    let way = |name, first, drip| Hold {
        name,
        first,
        then: b"",
        drip,
        reads: true,
        within: BODY + SLACK,
    };
    let body = "content-type: application/json\r\ncontent-length: 500\r\n";
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let messages = pen.messages();
    let post =
        |lines: &str, start: &str| [pen.head("POST", &messages, lines), start.as_bytes().to_vec()].concat();
    let unwanted = |lines: &str| format!("{LIVE}{lines}").into_bytes();
    let unwanted_chunks = "transfer-encoding: chunked\r\n\r\n1f4\r\n";
    vec![
        way("a body that stops", post(body, "{"), b""),
        way("a body, byte by byte", post(body, "{"), b" "),
        way("a chunk, byte by byte", post(chunked, "1f4\r\n{"), b" "),
        way("a chunk's extension, byte by byte", post(chunked, "1f4;"), b"a"),
        way(
            "chunks that nobody reads, byte by byte",
            unwanted(unwanted_chunks),
            b"a",
        ),
        way(
            "chunks that nobody reads and that stop",
            unwanted(unwanted_chunks),
            b"",
        ),
        way(
            "a body that nobody reads, byte by byte",
            unwanted("content-length: 500\r\n\r\n"),
            b"a",
        ),
        way(
            "waits to be told to go on, and does not",
            post(&format!("{body}expect: 100-continue\r\n"), ""),
            b"",
        ),
    ]
}

/// Holds one connection; how long that was possible.
fn one(address: SocketAddr, way: &Hold) -> anyhow::Result<Duration> {
    let mut stream = TcpStream::connect_timeout(&address, way.within)?;
    stream.set_read_timeout(Some(POLL))?;
    stream.set_nodelay(true)?;
    let began = Instant::now();
    stream.write_all(&way.first)?;
    if !way.reads {
        return unread(&mut stream, began, way.within);
    }
    let (mut piece, mut answered, mut dripped) = ([0; 4096], false, Instant::now());
    while began.elapsed() < way.within {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(began.elapsed()),
            Ok(_) if !answered => {
                answered = true;
                stream.write_all(way.then)?;
            }
            Ok(_) => {}
            Err(error) if is_silence(&error) => {}
            Err(_) => return Ok(began.elapsed()),
        }
        if dripped.elapsed() >= DRIP && !way.drip.is_empty() {
            dripped = Instant::now();
            if stream.write_all(way.drip).is_err() {
                return Ok(began.elapsed());
            }
        }
    }
    anyhow::bail!("it was still held after {:?}", way.within)
}

/// Reads nothing until it must have been given up, and looks whether it was: then the connection is reset, and what is
/// still in between is not all of the answers.
fn unread(stream: &mut TcpStream, began: Instant, within: Duration) -> anyhow::Result<Duration> {
    let limit = began + within;
    // Who is given up is told so, which a look at the socket shows without reading it.
    while Instant::now() < limit {
        if stream.take_error()?.is_some() {
            return Ok(began.elapsed());
        }
        thread::sleep(POLL);
    }
    let (mut piece, mut silent) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(_) => silent = 0,
            Err(error) if is_silence(&error) => {
                silent += 1;
                ensure!(silent < 20, "it was still held after {within:?}");
            }
            // Reset: given up.
            Err(_) => return Ok(within),
        }
    }
    anyhow::bail!("all of it was still answered after {within:?}")
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
