//! Ports without state worth a contract, in their plainest form.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    Error, Violation,
    audit::AuditEntry,
    ports::{
        ClusterBarrier, DenialLog, KeyPairs, KeyUses, KnownSchema, PasswordHasher, SchemaError, Schemas,
        StoreError, Throttle, TracePropagation, UseCaseMetrics, Verified, WorkSignal,
    },
};
use postrider_domain::{
    ApiKeyId, TenantId, Timestamp,
    endpoints::Ed25519Key,
    event_types::{Example, SchemaText},
    messages::TraceParent,
    users::{Email, PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};

/// "Hashes" a password by writing a marker before it: instant, and of no protection at all.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainPasswords;

impl PlainPasswords {
    /// What stands before the password.
    pub const MARKER: &'static str = "$plain$";
    /// What stood there under the parameters of yesterday.
    pub const OUTDATED_MARKER: &'static str = "$plain-once$";
}

#[async_trait]
impl PasswordHasher for PlainPasswords {
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, Error> {
        Ok(PasswordHash::from_phc(format!(
            "{}{}",
            Self::MARKER,
            password.expose_secret()
        )))
    }

    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<Verified, Error> {
        let hashed_after = |marker| {
            hash.as_ref().and_then(|hash| hash.as_phc().strip_prefix(marker))
                == Some(password.expose_secret())
        };
        Ok(if hashed_after(Self::MARKER) {
            Verified::Right
        } else if hashed_after(Self::OUTDATED_MARKER) {
            Verified::RightButOutdated
        } else {
            Verified::Wrong
        })
    }
}

/// "Public keys" that are their seeds with every bit turned: of no use for signing.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainKeyPairs;

impl KeyPairs for PlainKeyPairs {
    fn ed25519_public_key(&self, seed: &[u8; Ed25519Key::BYTES]) -> Result<[u8; Ed25519Key::BYTES], Error> {
        Ok(seed.map(|byte| !byte))
    }
}

/// Holds nobody up.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoThrottle;

impl Throttle for NoThrottle {
    fn attempt(&self, _: &Email, _: Option<IpAddr>) -> Result<(), Duration> {
        Ok(())
    }

    fn succeeded(&self, _: &Email, _: Option<IpAddr>) {}
}

/// A barrier that everybody has passed, unless it is held up; counts who asked.
#[derive(Debug, Default)]
pub struct NoBarrier {
    asked: AtomicUsize,
    held_up: AtomicBool,
}

impl NoBarrier {
    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether a node lives from now on that does not follow: nobody is told then that all have seen a change.
    pub fn hold_up(&self, held_up: bool) {
        self.held_up.store(held_up, Ordering::SeqCst);
    }
}

#[async_trait]
impl ClusterBarrier for NoBarrier {
    async fn passed(&self) -> Result<(), StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.held_up.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("a node does not follow".into()));
        }
        Ok(())
    }
}

/// Forgets that keys are used, as the port allows.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoKeyUses;

impl KeyUses for NoKeyUses {
    fn used(&self, _: TenantId, _: ApiKeyId, _: Timestamp) {}
}

/// Remembers who was denied what.
#[derive(Debug, Default)]
pub struct RecordedDenials {
    entries: Mutex<Vec<AuditEntry>>,
}

impl RecordedDenials {
    /// All denials, in order.
    pub fn entries(&self) -> Vec<AuditEntry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl DenialLog for RecordedDenials {
    fn denied(&self, entry: AuditEntry) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }
}

/// Counts how often work was signalled.
#[derive(Debug, Default)]
pub struct CountingSignal {
    count: AtomicUsize,
}

impl CountingSignal {
    /// How often work was signalled.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl WorkSignal for CountingSignal {
    fn work_queued(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

/// No trace, until a test says that there is one.
#[derive(Debug, Default)]
pub struct NoTrace {
    current: Mutex<Option<TraceParent>>,
}

impl NoTrace {
    /// From now on every task runs in `trace`.
    pub fn set(&self, trace: Option<TraceParent>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = trace;
    }
}

impl TracePropagation for NoTrace {
    fn current(&self) -> Option<TraceParent> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Remembers the use cases that were counted.
#[derive(Debug, Default)]
pub struct RecordedMetrics {
    records: Mutex<Vec<(&'static str, &'static str, Duration)>>,
}

impl RecordedMetrics {
    /// Name, outcome and duration of each, in order.
    pub fn records(&self) -> Vec<(&'static str, &'static str, Duration)> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl UseCaseMetrics for RecordedMetrics {
    fn record(&self, name: &'static str, outcome: &'static str, elapsed: Duration) {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, outcome, elapsed));
    }
}

/// Schemas that are words: a payload is as its schema says if the word is in it. There is never time for the word
/// `busy`, the word `broken` cannot be applied, and the empty one is no schema.
#[derive(Debug, Default)]
pub struct WordSchemas;

impl WordSchemas {
    fn apply(word: &str, field: &str, text: &[u8]) -> Result<Vec<Violation>, SchemaError> {
        if word == "busy" {
            return Err(SchemaError::Busy);
        }
        if word == "broken" {
            return Err(SchemaError::Internal("it is broken".into()));
        }
        let word_is_there = text.windows(word.len()).any(|piece| piece == word.as_bytes());
        Ok(if word_is_there {
            Vec::new()
        } else {
            vec![Violation {
                field: field.to_owned().into(),
                rule: "word".into(),
                message: "must hold the word".to_owned(),
            }]
        })
    }
}

#[async_trait]
impl Schemas for WordSchemas {
    async fn check(
        &self,
        _: TenantId,
        schema: &SchemaText,
        example: Option<&Example>,
    ) -> Result<Vec<Violation>, SchemaError> {
        let word = schema.as_str();
        if word.is_empty() {
            return Ok(vec![Violation {
                field: "schema".into(),
                rule: "required".into(),
                message: "must be a word".to_owned(),
            }]);
        }
        let example = example.map(|example| Self::apply(word, "example", example.as_str().as_bytes()));
        example.unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn validate(
        &self,
        _: TenantId,
        schema: &KnownSchema,
        field: &'static str,
        payload: &Arc<[u8]>,
    ) -> Result<Vec<Violation>, SchemaError> {
        Self::apply(schema.text().as_str(), field, payload)
    }
}
