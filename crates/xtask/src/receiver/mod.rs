//! A webhook receiver that verifies with the official Rust library, keeps what arrived, and can be slow on purpose.

mod connection;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use standardwebhooks::Webhook;

use crate::http::Message;

/// The most connections at once; more are closed at once, which the sender sees as a failed attempt.
const MAX_CONNECTIONS: usize = 1_024;
/// Verifying needs little stack, and there may be many threads.
const STACK_BYTES: usize = 256 << 10;
const POLL: Duration = Duration::from_millis(10);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A webhook that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// `webhook-id`.
    pub id: String,
    /// Of the body.
    pub sha256: [u8; 32],
    /// The body's length.
    pub bytes: usize,
    /// What the official library found wrong with it, if anything.
    pub fault: Option<String>,
    /// When the body was complete.
    pub at: Instant,
    /// When its answer was written, if it was. Whether anybody was left to read it, the receiver cannot know.
    pub answered: Option<Instant>,
}

/// How long a request waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The shortest wait.
    pub least: Duration,
    /// The longest wait; waits are spread evenly in between.
    pub most: Duration,
}

impl Pace {
    /// Every request is answered at once.
    pub const AT_ONCE: Self = Self {
        least: Duration::ZERO,
        most: Duration::ZERO,
    };

    /// The wait of the n-th request: the golden ratio spreads any number of them evenly, without randomness.
    fn wait(self, n: usize) -> Duration {
        let share = u32::try_from(n % (1 << 20)).unwrap_or_default();
        let share = (f64::from(share) * 0.618_033_988_749_895).fract();
        self.least + self.most.saturating_sub(self.least).mul_f64(share)
    }
}

/// A running receiver. Dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    webhook: Webhook,
    pace: Pace,
    arrivals: Mutex<Vec<Arrival>>,
    answered: AtomicUsize,
    connections: AtomicUsize,
    stopping: AtomicBool,
    /// Whether requests wait no longer.
    hurry: Mutex<bool>,
    hurried: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// Listens on a free loopback port.
    pub fn start(secret: &str, pace: Pace) -> anyhow::Result<Self> {
        Self::start_at(0, secret, pace)
    }

    /// Listens on this loopback port.
    pub fn start_at(port: u16, secret: &str, pace: Pace) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            webhook: Webhook::new(secret)?,
            pace,
            arrivals: Mutex::default(),
            answered: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            hurry: Mutex::new(false),
            hurried: Condvar::new(),
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
    pub fn url(&self) -> String {
        format!("http://{}/webhooks", self.address)
    }

    /// From now on answers at once, also those that wait.
    pub fn hurry(&self) {
        *lock(&self.shared.hurry) = true;
        self.shared.hurried.notify_all();
    }

    /// How many have arrived.
    pub fn count(&self) -> usize {
        lock(&self.shared.arrivals).len()
    }

    /// How many answers have been written.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Those that arrived since the first `seen`.
    pub fn since(&self, seen: usize) -> Vec<Arrival> {
        lock(&self.shared.arrivals)
            .get(seen..)
            .unwrap_or_default()
            .to_vec()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.hurry();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while self.shared.connections.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Verifies and keeps the webhook; answers its place and whether it is good.
    fn take(&self, request: &Message) -> (usize, bool) {
        let arrival = arrival(&self.webhook, request);
        let good = arrival.fault.is_none();
        let mut arrivals = lock(&self.arrivals);
        arrivals.push(arrival);
        (arrivals.len() - 1, good)
    }

    /// Waits as long as the pace wants.
    fn hold(&self, place: usize) {
        let wait = self.pace.wait(place);
        if wait.is_zero() {
            return;
        }
        let hurry = lock(&self.hurry);
        let _held = self
            .hurried
            .wait_timeout_while(hurry, wait, |hurry| !*hurry)
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn note_answer(&self, place: usize) {
        if let Some(arrival) = lock(&self.arrivals).get_mut(place) {
            arrival.answered = Some(Instant::now());
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

fn arrival(webhook: &Webhook, request: &Message) -> Arrival {
    let mut headers = ::http::HeaderMap::new();
    for (name, value) in &request.headers {
        if let (Ok(name), Ok(value)) = (
            name.parse::<::http::HeaderName>(),
            value.parse::<::http::HeaderValue>(),
        ) {
            headers.insert(name, value);
        }
    }
    let fault = webhook.verify(&request.body, &headers).err();
    Arrival {
        id: request.header("webhook-id").unwrap_or_default().to_owned(),
        sha256: Sha256::digest(&request.body).into(),
        bytes: request.body.len(),
        fault: fault.map(|error| error.to_string()),
        at: Instant::now(),
        answered: None,
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.is_stopping() {
        match listener.accept() {
            Ok((stream, _)) => serve(stream, shared),
            // Nobody is there; or a connection was gone before it was accepted, or no file is left: the next may be better.
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// A thread for the connection, unless there are too many: then it is closed.
fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    if shared.connections.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    let own = Arc::clone(shared);
    let spawned = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // However it ends is the sender's to see.
            let _ = connection::serve(stream, &own);
            own.connections.fetch_sub(1, Ordering::SeqCst);
        });
    if spawned.is_err() {
        shared.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A panic elsewhere while the lock was held leaves lists that are still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;
    use crate::product::signing_secret;

    const LIMIT: Duration = Duration::from_secs(5);

    fn post(receiver: &Receiver, secret: &str, id: &str, body: &str) -> u16 {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let webhook = Webhook::new(secret).unwrap();
        let signature = webhook
            .sign(id, i64::try_from(now).unwrap(), body.as_bytes())
            .unwrap();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", &now.to_string()),
            ("webhook-signature", &signature),
        ];
        let client = Client::new(receiver.address, LIMIT);
        client
            .post_json("/webhooks", &headers, body.as_bytes())
            .unwrap()
            .status
    }

    #[test]
    fn what_is_signed_is_kept_and_what_is_not_is_refused() {
        let secret = signing_secret().unwrap();
        let receiver = Receiver::start(&secret, Pace::AT_ONCE).unwrap();
        assert_eq!(post(&receiver, &secret, "msg_1", "{}"), 204);
        assert_eq!(post(&receiver, &signing_secret().unwrap(), "msg_2", "{}"), 401);
        let arrivals = receiver.since(0);
        assert_eq!((arrivals[0].id.as_str(), arrivals[0].bytes), ("msg_1", 2));
        assert_eq!(arrivals[0].sha256, <[u8; 32]>::from(Sha256::digest(b"{}")));
        assert!(arrivals[0].fault.is_none() && arrivals[1].fault.is_some());
        assert_eq!((receiver.count(), receiver.since(2).len()), (2, 0));
    }

    #[test]
    fn a_slow_receiver_can_be_hurried() {
        let secret = signing_secret().unwrap();
        let pace = Pace {
            least: Duration::from_mins(10),
            most: Duration::from_mins(10),
        };
        let receiver = Receiver::start(&secret, pace).unwrap();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| post(&receiver, &secret, "msg_1", "{}"));
            while receiver.count() == 0 && !slow.is_finished() {
                std::thread::yield_now();
            }
            assert_eq!(receiver.answered(), 0);
            receiver.hurry();
            assert_eq!(slow.join().unwrap(), 204);
        });
        // Counted after it was written: the client may be quicker.
        let deadline = Instant::now() + LIMIT;
        while receiver.answered() == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(receiver.answered(), 1);
        assert!(receiver.since(0)[0].answered.is_some());
    }

    #[test]
    fn waits_are_spread_between_least_and_most() {
        let pace = Pace {
            least: Duration::from_secs(1),
            most: Duration::from_secs(3),
        };
        let waits: Vec<Duration> = (0..100).map(|n| pace.wait(n)).collect();
        assert!(waits.iter().all(|wait| (pace.least..=pace.most).contains(wait)));
        let below_half = waits
            .iter()
            .filter(|wait| **wait < Duration::from_secs(2))
            .count();
        assert!((45..=55).contains(&below_half), "{below_half}");
    }
}
