//! The least that takes OTLP over HTTP: answers 200, and keeps what was posted if it is to be looked at.

use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::Message;

const POLL: Duration = Duration::from_millis(10);
/// A connection that says nothing for so long is looked at again.
const PATIENCE: Duration = Duration::from_millis(200);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A running collector. Dropping it ends it.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    keeps: bool,
    posts: Mutex<Vec<Message>>,
    count: AtomicUsize,
    stopping: AtomicBool,
}

impl Collector {
    /// Listens on a free loopback port, and keeps what comes.
    pub fn start() -> anyhow::Result<Self> {
        Self::begin(true)
    }

    /// The same, but keeps nothing.
    pub fn start_forgetful() -> anyhow::Result<Self> {
        Self::begin(false)
    }

    fn begin(keeps: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            keeps,
            ..Shared::default()
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &for_acceptor));
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often something was posted so far.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// All that was posted so far and kept.
    pub fn posts(&self) -> Vec<Message> {
        self.shared
            .posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Serves each connection by a thread, and ends when all have ended.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    thread::scope(|scope| {
        while !shared.stopping.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    scope.spawn(|| serve(stream, shared));
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    });
}

fn serve(stream: TcpStream, shared: &Shared) {
    let ready = stream.set_nonblocking(false).is_ok() && stream.set_read_timeout(Some(PATIENCE)).is_ok();
    let mut stream = BufReader::new(stream);
    while ready && !shared.stopping.load(Ordering::Relaxed) {
        // Only whoever has begun to say something is read; a silence in the middle ends the connection.
        if stream.buffer().is_empty() && stream.get_ref().peek(&mut [0]).is_err() {
            continue;
        }
        let Ok(Some(post)) = Message::read(&mut stream) else {
            return;
        };
        let last = post.is_last();
        shared.count.fetch_add(1, Ordering::Relaxed);
        if shared.keeps {
            shared
                .posts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(post);
        }
        if stream.get_mut().write_all(ANSWER).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn what_is_posted_is_kept() {
        let collector = Collector::start().unwrap();
        let client = Client::new(collector.address, Duration::from_secs(5));
        for body in [b"one".as_slice(), b"two"] {
            assert_eq!(client.send("POST", "/v1/traces", &[], body).unwrap().status, 200);
        }
        let bodies: Vec<_> = collector.posts().into_iter().map(|post| post.body).collect();
        assert_eq!(bodies, [b"one", b"two"]);
        assert_eq!(collector.count(), 2);
    }
}
