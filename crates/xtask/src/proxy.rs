//! A reverse proxy as a load balancer is one: it asks every node whether it is ready, and sends requests to those that
//! are, in turn. A request that reached no node is tried at the next; one that broke after it was sent is not repeated.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::http::{Client, Connection, Message, Outcome, Response};

/// How often each node is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);
const ASK_LIMIT: Duration = Duration::from_secs(1);
const UPSTREAM_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// What a proxy says of a connection is its own affair.
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
];

struct Node {
    address: SocketAddr,
    ready: AtomicBool,
}

struct Shared {
    nodes: Vec<Node>,
    turn: AtomicUsize,
    stopping: AtomicBool,
    /// Requests that were tried at another node because the first took no connection.
    elsewhere: AtomicUsize,
}

/// A running proxy. Dropping it ends it: it takes no connection any more, and each that it has ends with the answer under
/// way, or when its client is silent.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free loopback port, in front of these nodes.
    pub fn start(nodes: &[SocketAddr]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let node = |address: &SocketAddr| Node {
            address: *address,
            ready: AtomicBool::new(is_ready(*address)),
        };
        let shared = Arc::new(Shared {
            nodes: nodes.iter().map(node).collect(),
            turn: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            elsewhere: AtomicUsize::new(0),
        });
        let (acceptor, prober) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || accept(&listener, &acceptor)),
            std::thread::spawn(move || probe(&prober)),
        ];
        Ok(Self {
            address,
            shared,
            threads,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it sends requests to this node.
    pub fn sends_to(&self, address: SocketAddr) -> bool {
        let mut nodes = self.shared.nodes.iter();
        nodes.any(|node| node.address == address && node.ready.load(Ordering::SeqCst))
    }

    /// How many requests were tried at another node because the first took no connection.
    pub fn elsewhere(&self) -> usize {
        self.shared.elsewhere.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let answer = Client::new(address, ASK_LIMIT).get("/health/ready", &[]);
    answer.is_ok_and(|answer| answer.status == 200)
}

fn probe(shared: &Shared) {
    while !shared.stopping.load(Ordering::SeqCst) {
        for node in &shared.nodes {
            node.ready.store(is_ready(node.address), Ordering::SeqCst);
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                let own = Arc::clone(shared);
                std::thread::spawn(move || {
                    // However it ends, the client sees it.
                    let _ = serve(stream, &own);
                });
            }
            // Nobody is there, or was any more.
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Until the client is done, or silent for too long, or we end.
fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(UPSTREAM_LIMIT))?;
    let mut stream = BufReader::new(stream);
    let connection = |node: &Node| Connection::new(node.address, UPSTREAM_LIMIT);
    let mut upstream: Vec<Connection> = shared.nodes.iter().map(connection).collect();
    while let Some(request) = Message::read(&mut stream)? {
        let last = request.is_last();
        let answer = forward(&request, &mut upstream, shared)?;
        stream.get_mut().write_all(&answer)?;
        if last || shared.stopping.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

fn forward(request: &Message, upstream: &mut [Connection], shared: &Shared) -> anyhow::Result<Vec<u8>> {
    let mut words = request.start.split(' ');
    let (method, path) = words.next().zip(words.next()).context("not a request line")?;
    let headers: Vec<(&str, &str)> = passed_on(&request.headers);
    let turn = shared.turn.fetch_add(1, Ordering::SeqCst);
    for step in 0..upstream.len() {
        let place = (turn + step) % upstream.len();
        if !shared.nodes[place].ready.load(Ordering::SeqCst) {
            continue;
        }
        match upstream[place].send(method, path, &headers, &request.body) {
            Outcome::Answered(response) => return Ok(written(&response)),
            // Certainly not seen by anybody.
            Outcome::NotSent => {
                shared.nodes[place].ready.store(false, Ordering::SeqCst);
                shared.elsewhere.fetch_add(1, Ordering::SeqCst);
            }
            Outcome::Unknown(error) => return Ok(refusal(502, &format!("the node broke off: {error}"))),
        }
    }
    Ok(refusal(502, "no node is ready"))
}

fn passed_on(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let of_message = |(name, _): &&(String, String)| !OF_THE_CONNECTION.contains(&name.as_str());
    let pair = |(name, value)| -> (&str, &str) { (name, value) };
    headers
        .iter()
        .filter(of_message)
        .map(|(name, value)| pair((name.as_str(), value.as_str())))
        .collect()
}

fn written(response: &Response) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {} Forwarded\r\n", response.status).into_bytes();
    for (name, value) in passed_on(&response.headers) {
        answer.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    answer.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body.len()).as_bytes());
    answer.extend_from_slice(&response.body);
    answer
}

fn refusal(status: u16, why: &str) -> Vec<u8> {
    written(&Response {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: serde_json::json!({ "proxy": why }).to_string().into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that is ready until it is told otherwise, and says its name.
    fn node(name: &'static str) -> (SocketAddr, Arc<AtomicBool>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new(AtomicBool::new(true));
        let own = Arc::clone(&ready);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = Arc::clone(&own);
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Ok(Some(request)) = Message::read(&mut stream) {
                        let fails = request.start.contains("/health/ready") && !own.load(Ordering::SeqCst);
                        let status = if fails { 503 } else { 200 };
                        let response = Response {
                            status,
                            headers: Vec::new(),
                            body: name.as_bytes().to_vec(),
                        };
                        if stream.get_mut().write_all(&written(&response)).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, ready)
    }

    fn ask(client: &mut Connection) -> (u16, String) {
        let Outcome::Answered(answer) = client.post_json("/v1/x", &[("x-a", "b")], b"{}") else {
            panic!("no answer")
        };
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    #[test]
    fn requests_go_to_nodes_that_are_ready() {
        let ((a, a_ready), (b, b_ready)) = (node("a"), node("b"));
        let proxy = Proxy::start(&[a, b]).unwrap();
        let mut client = Connection::new(proxy.address(), ASK_LIMIT);
        let answers: std::collections::BTreeSet<_> = (0..4).map(|_| ask(&mut client)).collect();
        assert_eq!(answers.len(), 2, "{answers:?}");
        a_ready.store(false, Ordering::SeqCst);
        while proxy.sends_to(a) {
            std::thread::yield_now();
        }
        assert!((0..4).all(|_| ask(&mut client) == (200, "b".to_owned())));
        b_ready.store(false, Ordering::SeqCst);
        while proxy.sends_to(b) {
            std::thread::yield_now();
        }
        assert_eq!(ask(&mut client).0, 502);
    }
}
