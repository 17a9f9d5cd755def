//! What went wrong with the database, counted by kind.

use std::sync::LazyLock;

use opentelemetry::{KeyValue, global, metrics::Counter};

/// Why the database did not do what it was asked to. What a row itself is to blame for is none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// All connections of a pool were taken for too long.
    PoolTimeout,
    /// No connection, or one that was lost.
    Connection,
    /// A statement took too long, or waited too long for a lock.
    Timeout,
    /// Others were in the way: deadlocks, serialization, a busy file.
    Contention,
    /// Disk, memory, connections of the server.
    Resources,
    /// Everything else.
    Other,
}

impl FailureKind {
    const ALL: [Self; 6] = [
        Self::PoolTimeout,
        Self::Connection,
        Self::Timeout,
        Self::Contention,
        Self::Resources,
        Self::Other,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::PoolTimeout => "pool_timeout",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Contention => "contention",
            Self::Resources => "resources",
            Self::Other => "other",
        }
    }

    /// It happened once more.
    pub(crate) fn count(self) {
        self.add(1);
    }

    fn add(self, count: u64) {
        FAILURES.add(count, &[KeyValue::new("kind", self.as_str())]);
    }
}

/// Errors are read where no component is at hand. Made when the first database is opened, which is after telemetry.
static FAILURES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("postrider")
        .u64_counter("postrider.database.failures")
        .with_unit("{failure}")
        .with_description("What the database did not do, by kind; not what a row itself is to blame for")
        .build()
});

/// Shows each kind, from nothing on.
pub(super) fn show() {
    for kind in FailureKind::ALL {
        kind.add(0);
    }
}
