//! A receiver that keeps every webhook as it came, verified by nobody, and the moment of its first byte.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::Message;

/// The most connections at once; more are closed at once, which the sender sees as a failed attempt.
const MAX_CONNECTIONS: usize = 1_024;
/// Keeping needs little stack, and there may be many threads.
const STACK_BYTES: usize = 256 << 10;
const POLL: Duration = Duration::from_millis(5);
/// How often an idle connection looks whether we stop.
const IDLE_POLL: Duration = Duration::from_millis(250);
/// How long a request may take once it has begun.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// When its first byte was there.
    pub(super) began: Instant,
    /// The path, with the query if there is one.
    pub(super) path: String,
    /// Names in lower case, in order.
    pub(super) headers: Vec<(String, String)>,
    /// The body's bytes.
    pub(super) body: Vec<u8>,
}

impl Record {
    /// The first header of this name (in lower case).
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// `webhook-id`.
    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }
}

/// A running recorder. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Vec<Record>>,
    /// What each request waits before it is answered.
    pace: Duration,
    connections: AtomicUsize,
    stopping: AtomicBool,
}

impl Recorder {
    /// Listens on a free loopback port; every request is answered with 204 after this time.
    pub(super) fn start(pace: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            records: Mutex::default(),
            pace,
            connections: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &for_acceptor));
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL with this path, which begins with a slash.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many have arrived.
    pub(super) fn count(&self) -> usize {
        lock(&self.shared.records).len()
    }

    /// Those that arrived since the first `seen`.
    pub(super) fn since(&self, seen: usize) -> Vec<Record> {
        lock(&self.shared.records)
            .get(seen..)
            .unwrap_or_default()
            .to_vec()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while self.shared.connections.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => spawn(stream, shared),
            // Nobody there, or a connection that was gone before it was accepted: the next may be better.
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// A thread for the connection, unless there are too many: then it is closed.
fn spawn(stream: TcpStream, shared: &Arc<Shared>) {
    if shared.connections.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    let own = Arc::clone(shared);
    let spawned = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // However it ends is the sender's to see.
            let _ = serve(stream, &own);
            own.connections.fetch_sub(1, Ordering::SeqCst);
        });
    if spawned.is_err() {
        shared.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    // Some systems hand the listener's mode on.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(MESSAGE_LIMIT))?;
    let mut stream = BufReader::new(stream);
    while let Some(began) = first_byte(&mut stream, shared)? {
        let Some(request) = Message::read(&mut stream)? else {
            return Ok(());
        };
        let last = request.is_last();
        lock(&shared.records).push(Record {
            began,
            path: request.start.split(' ').nth(1).unwrap_or_default().to_owned(),
            headers: request.headers,
            body: request.body,
        });
        if !shared.pace.is_zero() {
            std::thread::sleep(shared.pace);
        }
        stream.get_mut().write_all(ANSWER)?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

/// When another request began; `None` once the sender or we have ended.
fn first_byte(stream: &mut BufReader<TcpStream>, shared: &Shared) -> anyhow::Result<Option<Instant>> {
    stream.get_ref().set_read_timeout(Some(IDLE_POLL))?;
    let began = loop {
        match stream.fill_buf() {
            Ok([]) => return Ok(None),
            Ok(_) => break Instant::now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.stopping.load(Ordering::SeqCst) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error.into()),
        }
    };
    stream.get_ref().set_read_timeout(Some(MESSAGE_LIMIT))?;
    Ok(Some(began))
}

/// A panic elsewhere while the lock was held leaves a list that is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn requests_are_kept_as_they_came() {
        let recorder = Recorder::start(Duration::ZERO).unwrap();
        let client = Client::new(recorder.address(), Duration::from_secs(5));
        let before = Instant::now();
        for path in ["/a", "/b?x=1"] {
            let headers = [("webhook-id", "msg_1")];
            let answer = client.post_json(path, &headers, b"{ }").unwrap();
            assert_eq!(answer.status, 204);
        }
        let records = recorder.since(0);
        assert_eq!((recorder.count(), recorder.since(1).len()), (2, 1));
        assert_eq!(
            (
                records[1].path.as_str(),
                records[1].id(),
                records[1].body.as_slice()
            ),
            ("/b?x=1", "msg_1", &b"{ }"[..])
        );
        assert!(before <= records[0].began && records[0].began <= records[1].began);
        assert_eq!(records[0].header("x-absent"), "");
    }
}
