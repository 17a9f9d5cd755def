//! What the tests of this crate share.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use postrider_application::ports::{Clock, Ids, Randomness};
use postrider_domain::Timestamp;
use uuid::Uuid;

use crate::{AeadSealer, MasterKey};

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

pub(crate) fn sealer(key_byte: u8) -> AeadSealer {
    AeadSealer::new(
        &MasterKey::from_bytes([key_byte; 32]),
        Arc::new(CountingRandomness::default()),
    )
}

/// Lets a future go as far as it can without waiting.
pub(crate) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
