//! People at work: sessions that are refreshed all the time, and tokens that are used at whichever node.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::client::Client;
use super::company::{Person, Tokens};

/// How long a client rests between two rounds: the machine has other work to do as well.
const REST: Duration = Duration::from_millis(3);
const SHOWN: usize = 5;

/// What came of the load.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Refreshes that were answered with 200.
    pub(super) refreshed: usize,
    /// Looks with a token that was just issued, answered with 200.
    pub(super) looked: usize,
    /// Of those, at another node than the token's.
    pub(super) elsewhere: usize,
    /// Looks with the session's first token, answered with 200.
    pub(super) looked_with_the_first: usize,
    /// The heads of all tokens seen: one a signing key.
    pub(super) heads: BTreeSet<String>,
    /// How many requests were not answered with 200.
    pub(super) failed: usize,
    /// The first of them.
    pub(super) failures: Vec<String>,
    /// The longest wait for an answer.
    pub(super) slowest: Duration,
}

impl Tally {
    /// An error unless every request was answered with 200, and some were at all.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        ensure!(
            self.failed == 0,
            "{} requests failed: {}",
            self.failed,
            self.failures.join("; ")
        );
        ensure!(
            self.refreshed > 0 && self.looked > 0 && self.looked_with_the_first > 0,
            "there was no load: {self:?}"
        );
        Ok(())
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        if self.failures.len() < SHOWN {
            self.failures.push(what);
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} refreshes, {} looks with fresh tokens ({} at another node), {} with the first token, {} failed, \
             {} signing keys seen, slowest answer {:.0} ms",
            self.refreshed,
            self.looked,
            self.elsewhere,
            self.looked_with_the_first,
            self.failed,
            self.heads.len(),
            self.slowest.as_secs_f64() * 1e3
        )
    }
}

/// A node as a balancer sees it: in service while nobody holds the lock for writing.
#[derive(Debug)]
struct Gate {
    address: SocketAddr,
    service: RwLock<()>,
}

#[derive(Debug)]
struct Shared {
    gates: Vec<Gate>,
    person: Person,
    stopping: AtomicBool,
    turn: AtomicUsize,
    tally: Mutex<Tally>,
    /// The first access token of each session. Held while logging in: many who log in to one account at the same
    /// moment look like somebody who guesses.
    firsts: Mutex<Vec<String>>,
}

/// Load under way. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Lets this person work from so many clients, each with a session of its own.
    pub(super) fn start(
        nodes: impl IntoIterator<Item = SocketAddr>,
        person: &Person,
        clients: usize,
    ) -> Self {
        let gate = |address| Gate {
            address,
            service: RwLock::new(()),
        };
        let shared = Arc::new(Shared {
            gates: nodes.into_iter().map(gate).collect(),
            person: person.clone(),
            stopping: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            tally: Mutex::default(),
            firsts: Mutex::default(),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Takes a node out of service: returns when no request is under way there; none is sent while the guard lives.
    pub(super) fn out_of_service(&self, node: usize) -> RwLockWriteGuard<'_, ()> {
        self.shared.gates[node]
            .service
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub(super) fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Ends it: how it went, and the first access token of each session.
    pub(super) fn end(mut self) -> (Tally, Vec<String>) {
        self.stop();
        let firsts = self.shared.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        (self.tally(), firsts.clone())
    }

    fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            if client.join().is_err() {
                self.shared.tally().fail("a client panicked".to_owned());
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn work(&self) {
        let mut clients: Vec<Client> = self
            .gates
            .iter()
            .map(|gate| Client::new(gate.address, ""))
            .collect();
        let mut session: Option<(Tokens, String)> = None;
        while !self.is_stopping() {
            session = match session {
                None => self.open(&mut clients),
                Some((tokens, first)) => self.round(&mut clients, &tokens, first),
            };
            std::thread::sleep(REST);
        }
    }

    /// Logs in; the session's tokens and the first access token.
    fn open(&self, clients: &mut [Client]) -> Option<(Tokens, String)> {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, outcome) = self.at_some_node(clients, |client| self.person.log_in(client))?;
        let tokens = self.note(outcome, |_, _| ())?;
        let first = tokens.access.clone();
        firsts.push(first.clone());
        Some((tokens, first))
    }

    /// Refreshes the session at one node, looks at the next with both tokens; nothing if the session is lost.
    fn round(&self, clients: &mut [Client], tokens: &Tokens, first: String) -> Option<(Tokens, String)> {
        let (here, outcome) = self.at_some_node(clients, |client| {
            client.bear("");
            let body = tokens.refresh_body();
            Tokens::read(&client.expect(200, "POST", "/v1/auth/refresh", Some(&body))?)
        })?;
        let next = self.note(outcome, |tally, tokens| {
            tally.refreshed += 1;
            tally
                .heads
                .insert(tokens.access.split('.').next().unwrap_or_default().to_owned());
        })?;
        let look = |token: &str| {
            let token = token.to_owned();
            move |client: &mut Client| {
                client.bear(&token);
                client.get("/v1/me")
            }
        };
        let (there, outcome) = self.at_some_node(clients, look(&next.access))?;
        self.note(outcome, |tally, _| {
            tally.looked += 1;
            tally.elsewhere += usize::from(there != here);
        });
        let (_, outcome) = self.at_some_node(clients, look(&first))?;
        self.note(outcome, |tally, _| tally.looked_with_the_first += 1);
        Some((next, first))
    }

    /// Does the job at the next node in turn that is in service; waits while there is none; nothing at the end.
    fn at_some_node<T>(
        &self,
        clients: &mut [Client],
        job: impl FnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> Option<(usize, anyhow::Result<T>)> {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::SeqCst);
            for step in 0..self.gates.len() {
                let node = (turn + step) % self.gates.len();
                let service = match self.gates[node].service.try_read() {
                    Ok(service) => service,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    Err(TryLockError::WouldBlock) => continue,
                };
                let began = Instant::now();
                let outcome = job(&mut clients[node]);
                let took = began.elapsed();
                drop(service);
                let mut tally = self.tally();
                tally.slowest = tally.slowest.max(took);
                drop(tally);
                return Some((node, outcome));
            }
            if self.is_stopping() {
                return None;
            }
            std::thread::sleep(REST);
        }
    }

    /// Counts a success or keeps a failure.
    fn note<T>(&self, outcome: anyhow::Result<T>, count: impl FnOnce(&mut Tally, &T)) -> Option<T> {
        let mut tally = self.tally();
        match outcome {
            Ok(value) => {
                count(&mut tally, &value);
                Some(value)
            }
            Err(error) => {
                tally.fail(format!("{error:#}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Message;
    use std::io::{BufReader, Write};
    use std::net::{TcpListener, TcpStream};

    /// A node that issues a new pair for each refresh, knows no other token, and can be told to fail.
    fn node(good: &Arc<AtomicBool>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let good = Arc::clone(good);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let good = Arc::clone(&good);
                std::thread::spawn(move || serve(stream, &good));
            }
        });
        address
    }

    fn serve(stream: TcpStream, good: &AtomicBool) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = Message::read(&mut stream).ok()??;
            let known = request
                .header("authorization")
                .is_none_or(|value| value == "Bearer head.body");
            let status = if good.load(Ordering::SeqCst) && known {
                200
            } else {
                500
            };
            let body = r#"{"access_token":"head.body","refresh_token":"r"}"#;
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).ok()?;
        }
    }

    fn wait_for(load: &Load, what: impl Fn(&Tally) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !what(&load.tally()) {
            assert!(Instant::now() < deadline, "{}", load.tally());
            std::thread::yield_now();
        }
    }

    #[test]
    fn sessions_wander_between_nodes_and_avoid_one_that_is_out_of_service() {
        let good = Arc::new(AtomicBool::new(true));
        let unwell = Arc::new(AtomicBool::new(true));
        let load = Load::start([node(&good), node(&unwell)], &Person::invent("load").unwrap(), 3);
        wait_for(&load, |tally| {
            tally.elsewhere > 2 && tally.looked > tally.elsewhere
        });
        let out = load.out_of_service(1);
        unwell.store(false, Ordering::SeqCst);
        let before = load.tally().refreshed;
        wait_for(&load, |tally| tally.refreshed > before + 5);
        unwell.store(true, Ordering::SeqCst);
        drop(out);
        let (tally, firsts) = load.end();
        tally.judge().unwrap();
        assert_eq!((tally.heads.len(), firsts.len()), (1, 3));
    }

    #[test]
    fn a_failure_is_counted_and_judged() {
        let good = Arc::new(AtomicBool::new(true));
        let load = Load::start([node(&good)], &Person::invent("load").unwrap(), 1);
        wait_for(&load, |tally| tally.looked > 0);
        good.store(false, Ordering::SeqCst);
        wait_for(&load, |tally| tally.failed > 0);
        let (tally, _) = load.end();
        assert!(tally.judge().unwrap_err().to_string().contains("500"));
    }
}
