//! Clients that publish from several threads and know of every request how it ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use crate::http::{Outcome, Response};
use crate::product::{Api, Tenant};

const EVENT_TYPE: &str = "faults.counted";
/// How long a client waits before it knocks again at a server that is away.
const KNOCK: Duration = Duration::from_millis(20);
/// How long a client rests between two messages, so that the fault can come while some are still published.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a client that takes it easy rests between two messages.
const EASY: Duration = Duration::from_millis(60);

/// How the publishing went.
#[derive(Debug, Default, Clone)]
pub(super) struct Ledger {
    /// The ids of the 202s, with the payload's number and when the answer was read.
    pub(super) accepted: BTreeMap<String, (usize, Instant)>,
    /// Numbers whose request broke or was answered `outcome_unknown`: they may or may not have been accepted. They
    /// are not sent again.
    pub(super) unknown: Vec<usize>,
    /// How many of those were answered.
    pub(super) said_unknown: usize,
    /// Answers that said "not now"; the same number was sent again later.
    pub(super) refused: usize,
    /// Tries that found no server.
    pub(super) knocks: usize,
    /// What should never be answered.
    pub(super) wrong: Vec<String>,
}

impl Ledger {
    /// An error unless each of so many numbers has met its fate: a server that never again takes what is published has
    /// lost nothing that it accepted, and does not work all the same.
    pub(super) fn judge_whole(&self, total: usize) -> anyhow::Result<()> {
        let dealt_with = self.accepted.len() + self.unknown.len() + self.wrong.len();
        ensure!(
            dealt_with == total,
            "of {total} messages {dealt_with} were published, each under an id of its own; {} tries were answered \
             \"not now\", {} found no server",
            self.refused,
            self.knocks
        );
        Ok(())
    }
}

#[derive(Debug)]
struct Shared {
    tenant: Tenant,
    total: usize,
    deadline: Instant,
    next: AtomicUsize,
    accepted: AtomicUsize,
    stopping: AtomicBool,
    easy: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// Publishing under way. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Publisher {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Publisher {
    /// Publishes `total` messages, numbered from 0, from this many connections, until the deadline.
    pub(super) fn start(tenant: &Tenant, total: usize, clients: usize, deadline: Instant) -> Self {
        let shared = Arc::new(Shared {
            tenant: tenant.clone(),
            total,
            deadline,
            next: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            easy: AtomicBool::new(false),
            ledger: Mutex::default(),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Publishes slowly, so that there is something left to publish after a long farewell; or at full speed again.
    pub(super) fn take_it_easy(&self, easy: bool) {
        self.shared.easy.store(easy, Ordering::SeqCst);
    }

    /// How many 202s there are.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Whether every number was dealt with, or the deadline passed.
    pub(super) fn is_finished(&self) -> bool {
        self.clients.iter().all(JoinHandle::is_finished)
    }

    /// Ends it, and says how it went: requests under way are waited for, nothing more begins.
    pub(super) fn finish(&mut self) -> Ledger {
        self.end();
        self.ledger()
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }

    /// How it went so far.
    pub(super) fn ledger(&self) -> Ledger {
        self.shared.ledger().clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut api = self.tenant.api();
        loop {
            let easy = self.easy.load(Ordering::SeqCst);
            std::thread::sleep(if easy { EASY } else { PAUSE });
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.total || !self.publish(&mut api, number) {
                return;
            }
        }
    }

    /// Publishes one number until its fate is known or unknowable; false if it is time to stop.
    fn publish(&self, api: &mut Api, number: usize) -> bool {
        let body = crate::product::publish_body(EVENT_TYPE, &payload(number));
        while !self.stopping.load(Ordering::SeqCst) && Instant::now() < self.deadline {
            let answer = match api.try_post(&self.tenant.messages(), &body) {
                Outcome::Answered(response) => Answer::read(&response),
                Outcome::NotSent => Ok(Answer::Away),
                Outcome::Unknown(_) => Ok(Answer::Broken),
            };
            let mut ledger = self.ledger();
            match answer {
                Ok(Answer::Accepted(id)) => {
                    ledger.accepted.insert(id, (number, Instant::now()));
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                    return true;
                }
                Ok(answer @ (Answer::Unknown | Answer::Broken)) => {
                    ledger.unknown.push(number);
                    ledger.said_unknown += usize::from(answer == Answer::Unknown);
                    return true;
                }
                Ok(Answer::Refused) => ledger.refused += 1,
                Ok(Answer::Away) => ledger.knocks += 1,
                Err(error) => {
                    ledger.wrong.push(format!("message {number}: {error:#}"));
                    return true;
                }
            }
            drop(ledger);
            std::thread::sleep(KNOCK);
        }
        false
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accepted(String),
    /// Certainly not accepted.
    Refused,
    /// The server cannot tell.
    Unknown,
    /// The connection broke: nobody can tell.
    Broken,
    /// No server there.
    Away,
}

impl Answer {
    fn read(response: &Response) -> anyhow::Result<Self> {
        let body = response.json()?;
        let text = |field: &str| body[field].as_str();
        match (response.status, text("code")) {
            (202, _) => Ok(Self::Accepted(
                text("id").context("a 202 without `id`")?.to_owned(),
            )),
            (503, Some("outcome_unknown")) => Ok(Self::Unknown),
            (503, _) => Ok(Self::Refused),
            (status, _) => bail!("{status} {body}"),
        }
    }
}

/// The payload of this number; no two are alike.
pub(super) fn payload(number: usize) -> String {
    format!(
        "{{\"number\": {number}, \"note\": \"{}\"}}",
        "counted twice, lost never ".repeat(8)
    )
}

/// SHA-256 of the payload of this number.
pub(super) fn payload_hash(number: usize) -> [u8; 32] {
    Sha256::digest(payload(number)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> anyhow::Result<Answer> {
        Answer::read(&Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn answers_are_accepted_refused_unknown_or_wrong() {
        assert_eq!(
            read(202, r#"{"id":"msg_1"}"#).unwrap(),
            Answer::Accepted("msg_1".to_owned())
        );
        assert_eq!(read(503, r#"{"code":"unavailable"}"#).unwrap(), Answer::Refused);
        assert_eq!(
            read(503, r#"{"code":"outcome_unknown"}"#).unwrap(),
            Answer::Unknown
        );
        assert!(read(500, r#"{"code":"internal"}"#).is_err());
        assert!(read(202, "{}").is_err());
    }

    #[test]
    fn whoever_gave_up_or_was_given_the_id_of_another_is_missed() {
        let mut ledger = Ledger {
            unknown: vec![0],
            wrong: vec!["message 1: 500".to_owned()],
            ..Ledger::default()
        };
        ledger.accepted.insert("msg_a".to_owned(), (2, Instant::now()));
        assert!(ledger.judge_whole(3).is_ok());
        ledger.accepted.insert("msg_a".to_owned(), (3, Instant::now()));
        assert!(ledger.judge_whole(4).is_err());
    }

    #[test]
    fn payloads_differ_and_are_json() {
        assert_ne!(payload_hash(1), payload_hash(2));
        let value: serde_json::Value = serde_json::from_str(&payload(7)).unwrap();
        assert_eq!(value["number"], 7);
    }
}
