//! What the tests of this crate share.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::{
    audit::Record,
    ports::{Clock, Ids, Randomness, RetiredKeys, SigningKeyStore, StoreError, StoredSigningKey},
};
use postrider_domain::Timestamp;
use tokio::sync::{Barrier, OnceCell, Semaphore};
use uuid::Uuid;

use crate::{AeadSealer, MasterKey, signing_key::SigningKey};

/// A clock that only the test moves.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at_seconds(seconds: i64) -> Self {
        Self(AtomicI64::new(seconds * 1_000_000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::from_micros(0))
    }
}

/// 1, 2, 3...
#[derive(Default)]
pub(crate) struct CountingIds(AtomicU64);

impl Ids for CountingIds {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

/// Bytes that count up, so that tests are repeatable (and nonces still differ).
#[derive(Default)]
pub(crate) struct CountingRandomness(AtomicU64);

impl Randomness for CountingRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            // Knuth's multiplier spreads the count over the byte; no quality is needed here.
            *byte = count.wrapping_mul(6_364_136_223_846_793_005).to_be_bytes()[2];
        }
    }
}

/// Seals and opens with the master key of these bytes.
pub(crate) fn sealer(key_byte: u8) -> AeadSealer {
    knowing(key_byte, &[])
}

/// Seals with the first master key, and opens with the others as well.
pub(crate) fn knowing(current: u8, others: &[u8]) -> AeadSealer {
    let key = |byte: &u8| MasterKey::from_bytes([*byte; 32]);
    let others: Vec<_> = others.iter().map(key).collect();
    AeadSealer::with_known(&key(&current), &others, Arc::new(CountingRandomness::default()))
}

/// Lets a future go as far as it can without waiting.
pub(crate) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A store in which everybody who looks first finds nothing, `racers` of them.
pub(crate) struct StoredKeys {
    pub(crate) stored: Mutex<Vec<StoredSigningKey>>,
    pub(crate) offered: Mutex<Vec<String>>,
    before_adding: Barrier,
    /// Reads take a permit, if reading is gated.
    pub(crate) gate: Option<Semaphore>,
    reads: AtomicU32,
    broken: AtomicBool,
    pub(crate) retired_before: Mutex<Option<Timestamp>>,
}

impl StoredKeys {
    pub(crate) fn for_racers(racers: usize) -> Arc<Self> {
        Arc::new(Self::ungated(racers))
    }

    pub(crate) fn holding(keys: impl IntoIterator<Item = StoredSigningKey>) -> Arc<Self> {
        let store = Self::for_racers(1);
        store.stored.lock().unwrap().extend(keys);
        store
    }

    pub(crate) fn ungated(racers: usize) -> Self {
        Self {
            stored: Mutex::default(),
            offered: Mutex::default(),
            before_adding: Barrier::new(racers),
            gate: None,
            reads: AtomicU32::new(0),
            broken: AtomicBool::new(false),
            retired_before: Mutex::default(),
        }
    }

    pub(crate) fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

#[async_trait]
impl SigningKeyStore for StoredKeys {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let read = self.stored.lock().unwrap().clone();
        // As every real store does, and others go on meanwhile.
        tokio::task::yield_now().await;
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("connection refused".into()));
        }
        Ok(read)
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError> {
        self.before_adding.wait().await;
        self.offered.lock().unwrap().push(key.kid.clone());
        let mut stored = self.stored.lock().unwrap();
        if stored.is_empty() {
            stored.push(key);
        }
        Ok(())
    }

    async fn add_signing_key(
        &self,
        key: StoredSigningKey,
        retired: RetiredKeys,
        _: Record,
    ) -> Result<Vec<String>, StoreError> {
        *self.retired_before.lock().unwrap() = Some(retired.replaced_before);
        let mut stored = self.stored.lock().unwrap();
        stored.push(key);
        stored.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        // A key was replaced when the next newer one was made.
        let mut gone: Vec<_> = stored
            .windows(2)
            .filter(|pair| pair[0].created_at < retired.replaced_before)
            .map(|pair| pair[1].kid.clone())
            .collect();
        gone.extend(retired.named);
        stored.retain(|key| !gone.contains(&key.kid));
        Ok(gone)
    }
}

/// Key generation is dear; these are made once for all tests: (1,000 s, 2,000 s), sealed with master key 1.
pub(crate) async fn two_keys() -> (StoredSigningKey, StoredSigningKey) {
    static KEYS: OnceCell<(StoredSigningKey, StoredSigningKey)> = OnceCell::const_new();
    let make = async |seconds: i64| {
        let at = Timestamp::from_micros(seconds * 1_000_000);
        SigningKey::generate(&sealer(1), at).await.unwrap()
    };
    KEYS.get_or_init(|| async { (make(1_000).await, make(2_000).await) })
        .await
        .clone()
}
