use std::time::Duration;

use postrider_engine::IntakeOptions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// `[intake]`: the queue of messages that wait to be stored.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IntakeConfig {
    /// The most messages that wait to be stored; more are refused with 503. One tenant may fill a quarter of it while
    /// others wait too, and three quarters otherwise; more of it is refused with 429.
    pub(crate) max_rows: usize,
    /// The most bytes of their payloads, with the same shares.
    pub(crate) max_bytes: usize,
    /// How many batches are stored at the same time, on PostgreSQL; SQLite has one writer.
    pub(crate) committers: usize,
    /// The most messages of a batch.
    pub(crate) batch_rows: usize,
    /// How long a publish may wait until its message is stored, before it is refused.
    pub(crate) accept_timeout_ms: u64,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        let options = IntakeOptions::default();
        Self {
            max_rows: options.max_rows,
            max_bytes: options.max_bytes,
            committers: options.committers,
            batch_rows: options.batch_rows,
            accept_timeout_ms: 10_000,
        }
    }
}

impl IntakeConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.range("intake.max_rows", self.max_rows, 4..=1_000_000);
        faults.range("intake.max_bytes", self.max_bytes, 1 << 20..=16 << 30);
        faults.range("intake.committers", self.committers, 1..=16);
        faults.range("intake.batch_rows", self.batch_rows, 1..=1_000);
        faults.range("intake.accept_timeout_ms", self.accept_timeout_ms, 100..=15_000);
    }

    /// For PostgreSQL, or for a database with one writer.
    pub(crate) fn options(&self, one_writer: bool) -> IntakeOptions {
        let accept_timeout = Duration::from_millis(self.accept_timeout_ms);
        let defaults = IntakeOptions::default();
        IntakeOptions {
            max_rows: self.max_rows,
            max_bytes: self.max_bytes,
            committers: if one_writer { 1 } else { self.committers },
            batch_rows: self.batch_rows,
            accept_timeout,
            write_timeout: defaults.write_timeout.min(accept_timeout),
            ..defaults
        }
    }
}
