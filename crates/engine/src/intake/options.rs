use std::time::Duration;

use crate::OptionsError;

/// How messages are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeOptions {
    /// Messages that may wait to be committed, those under way included. One tenant may fill a quarter of it while
    /// others wait too, and three quarters otherwise, so that there is always room for others. 4 to 1,000,000;
    /// default 4,096.
    pub max_rows: usize,
    /// Bytes that their payloads may have together, with the same shares. What is longer than a share finds room
    /// when its tenant has nothing else waiting. At least 1 MiB; default 32 MiB.
    pub max_bytes: usize,
    /// How many batches are committed at the same time. 1 to 16; default 2. SQLite has one writer: 1 there.
    pub committers: usize,
    /// The most messages of a batch. 1 to 1,000; default 256.
    pub batch_rows: usize,
    /// The most bytes of a batch's payloads; a longer payload is a batch by itself. At least 64 KiB; default 4 MiB.
    pub batch_bytes: usize,
    /// How long a message may wait until it is committed, tries after failures included. Then the caller is told that
    /// it was not stored, or that it is unknown. At most 15 seconds: a row that was committed though its answer was lost
    /// is adopted by the engine some time after that. Default 10 seconds.
    pub accept_timeout: Duration,
    /// How long an answer waits at most while deliveries of the same application cannot keep up with what is published,
    /// though its endpoints answer. Zero: not at all. At most a second; default 100 milliseconds.
    pub slow_down_for_at_most: Duration,
    /// How long one try may take. Default 5 seconds.
    pub write_timeout: Duration,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        Self {
            max_rows: 4_096,
            max_bytes: 32 << 20,
            committers: 2,
            batch_rows: 256,
            batch_bytes: 4 << 20,
            accept_timeout: Duration::from_secs(10),
            slow_down_for_at_most: Duration::from_millis(100),
            write_timeout: Duration::from_secs(5),
        }
    }
}

impl IntakeOptions {
    /// Refuses options that cannot be worked with; the first one is named.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let check = |option, good: bool, rule| {
            if good {
                Ok(())
            } else {
                Err(OptionsError { option, rule })
            }
        };
        check(
            "max_rows",
            (4..=1_000_000).contains(&self.max_rows),
            "must be from 4 to 1000000",
        )?;
        check("max_bytes", self.max_bytes >= 1 << 20, "must be at least 1 MiB")?;
        check(
            "committers",
            (1..=16).contains(&self.committers),
            "must be from 1 to 16",
        )?;
        check(
            "batch_rows",
            (1..=1_000).contains(&self.batch_rows),
            "must be from 1 to 1000",
        )?;
        check(
            "batch_bytes",
            self.batch_bytes >= 64 << 10,
            "must be at least 64 KiB",
        )?;
        let within = Duration::from_millis(10)..=Duration::from_secs(15);
        check(
            "accept_timeout",
            within.contains(&self.accept_timeout),
            "must be from 10 milliseconds to 15 seconds",
        )?;
        check(
            "slow_down_for_at_most",
            self.slow_down_for_at_most <= Duration::from_secs(1),
            "must be at most 1 second",
        )?;
        check(
            "write_timeout",
            within.contains(&self.write_timeout) && self.write_timeout <= self.accept_timeout,
            "must be at least 10 milliseconds and at most accept_timeout",
        )
    }
}
