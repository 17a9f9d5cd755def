//! Ports without state worth a contract, in their plainest form.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    Error,
    ports::{PasswordHasher, TracePropagation, UseCaseMetrics, WorkSignal},
};
use postrider_domain::{messages::TraceParent, users::PasswordHash};
use secrecy::{ExposeSecret as _, SecretString};

/// "Hashes" a password by writing a marker before it: instant, and of no protection at all.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainPasswords;

impl PlainPasswords {
    /// What stands before the password.
    pub const MARKER: &'static str = "$plain$";
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

    async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<bool, Error> {
        Ok(hash
            .is_some_and(|hash| hash.as_phc().strip_prefix(Self::MARKER) == Some(password.expose_secret())))
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
