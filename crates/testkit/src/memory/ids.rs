use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use postrider_application::ports::{Clock, Ids};
use uuid::Uuid;

/// Ids that count: of the form of UUIDv7 (the time of a clock, then a number), increasing, and the same in every
/// run of a test.
pub struct SequentialIds {
    clock: Arc<dyn Clock>,
    /// The greatest time used, so that ids increase though the clock goes back.
    millis: Mutex<u64>,
    count: AtomicU64,
}

impl SequentialIds {
    /// Ids that hold the time of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            millis: Mutex::new(0),
            count: AtomicU64::new(0),
        }
    }
}

impl Ids for SequentialIds {
    fn next(&self) -> Uuid {
        let mut millis = self.millis.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u64::try_from(self.clock.now().as_unix_millis()).unwrap_or(0);
        *millis = now.max(*millis);
        // Counted under the lock: of two ids the one with the later time has the greater number as well.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // RFC 9562, section 5.7: 48 bits of milliseconds, the version, 12 bits, the variant, 62 bits.
        let (version, variant) = (0x7_u128 << 76, 0b10_u128 << 62);
        Uuid::from_u128((u128::from(*millis) << 80) | version | variant | u128::from(count))
    }
}
