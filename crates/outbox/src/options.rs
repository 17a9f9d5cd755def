use std::time::Duration;

/// How the relay reads and retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayOptions {
    /// The most events that are read at a time, for each subscriber; 100 by default, at least 1.
    pub batch: u32,
    /// How long after a look that found nothing more there is another without having been woken; 5 seconds by default.
    /// Commits wake the relays of all nodes: this is only the net beneath that.
    pub poll_interval: Duration,
    /// How long a subscriber may take over one event before it is tried again; 10 seconds by default. It counts as away
    /// then, and the event is not set aside for it.
    pub handle_timeout: Duration,
    /// The pause after a first failure; 100 milliseconds by default. It doubles with every further one.
    pub retry_first: Duration,
    /// The longest pause between tries; 10 seconds by default.
    pub retry_cap: Duration,
    /// How often a subscriber may refuse an event before it is set aside; 8 by default, at least 1: some 13 seconds.
    pub max_attempts: u32,
    /// How many events of one subscriber may be set aside, those included that wait for an earlier one of their
    /// aggregate; 10,000 by default. When as many are, the subscriber stands still until the operator has some of them
    /// delivered: nothing is lost, and its lag shows.
    pub max_set_aside: u64,
    /// How many events that wait for one of their aggregate are written down as set aside, for each aggregate; 100 by
    /// default, at least 1. Later ones are read from the log again when it is their turn, so that one aggregate cannot
    /// take up all the room.
    pub max_waiting: u64,
    /// How long whoever waits for all nodes waits at most; 20 seconds by default, which is longer than leases run.
    pub barrier_timeout: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            batch: 100,
            poll_interval: Duration::from_secs(5),
            handle_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(100),
            retry_cap: Duration::from_secs(10),
            max_attempts: 8,
            max_set_aside: 10_000,
            max_waiting: 100,
            barrier_timeout: Duration::from_secs(20),
        }
    }
}

impl RelayOptions {
    /// The same, with what cannot be worked with replaced by the least that can.
    pub(crate) fn sound(self) -> Self {
        Self {
            batch: self.batch.max(1),
            max_attempts: self.max_attempts.max(1),
            max_waiting: self.max_waiting.max(1),
            ..self
        }
    }
}
