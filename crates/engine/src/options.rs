use std::time::Duration;

use postrider_domain::{deliveries::RetryPolicy, endpoints::AttemptTimeout};
use thiserror::Error;

/// An option that cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{option} {rule}")]
pub struct OptionsError {
    /// The option's name.
    pub option: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// How the engine works. Everything has a bound here; the defaults suit one node of two cores and more.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Attempts at one time. One endpoint may take a quarter of those that are free, and one tenant as many as are
    /// free; the last quarter of all is for endpoints without any. So beside hundreds of endpoints that do not answer
    /// there is a turn for another. 1 to 65,536; default 2,048.
    pub max_in_flight: usize,
    /// How many tenants have a label of their own in the counters of messages and attempts; the others share one. 0
    /// (default): there is no such label.
    pub tenant_labels: usize,
    /// Attempts to one endpoint at one time. At most `max_in_flight`; default 64.
    pub max_in_flight_per_endpoint: usize,
    /// Deliveries that may wait for a turn in memory, over all endpoints. But for the last quarter, one endpoint and one
    /// tenant may take as many as are free, so never more than three eighths; the last quarter is for tenants with few.
    /// What finds no room is parked in the database and fetched when its lane has drained. 1 to 1,000,000; default
    /// 8,192.
    ///
    /// Rows that the database refuses, each by itself, to read or to settle are in memory besides: they are tried
    /// again after 30 seconds, ten a second at most, until they are repaired. With all rows in memory refused, this
    /// node claims nothing more.
    pub max_waiting: usize,
    /// Bytes of payloads and of captured answers that may be in memory. Half of them may be under way: one endpoint may
    /// take a quarter of those that are free, one tenant as many as are free. What has no room is read when there is
    /// some; answers of attempts under way may overdraw it. At least 1 MiB; default 64 MiB.
    pub max_memory_bytes: usize,
    /// How long a message's deliveries are written down together, as its fan-out. After that each that is not
    /// concluded becomes a row of the queue by itself. 1 millisecond to 10 seconds; default 500 milliseconds.
    pub explode_after: Duration,
    /// How often the node looks for rows that it owns without knowing, because an answer of the database was lost.
    /// Default a minute.
    pub adoption_interval: Duration,
    /// The most rows a claim takes, and a read of messages and endpoints asks for. 1 to 500; default 500.
    pub claim_batch: u32,
    /// The most rows a settle writes. 1 to 500; default 500.
    pub settle_batch: usize,
    /// How long outcomes gather before they are written, unless half a batch is there before: nobody waits for them, and
    /// each write costs something, whatever its size. An outcome that is not written when the node dies is repeated.
    /// At most a second; default 10 milliseconds.
    pub settle_gather: Duration,
    /// How often the node extends its lease. Default 3 seconds.
    pub lease_beat: Duration,
    /// How long a lease runs from a beat. At least twice `lease_beat`, so that one beat may be lost; default 15
    /// seconds.
    pub lease_ttl: Duration,
    /// Whether no other node can work on this database, as with SQLite, whose directory is locked. Then what
    /// earlier lives left behind is taken over at the start; otherwise only after this node has itself held an
    /// unbroken lease for one `lease_ttl`, so that after an outage of the database the first node to come back
    /// does not declare all others dead. Default false.
    pub sole_node: bool,
    /// How often the queue is looked at when nothing says that there is work: the net beneath the signals.
    /// Default 5 seconds.
    pub poll_net_interval: Duration,
    /// How often dead nodes are looked for. Default 5 seconds; with `lease_ttl` it bounds how late a killed node's
    /// work is taken over.
    pub dead_sweep_interval: Duration,
    /// How long a call of the store may take before it is given up and repeated. Default 10 seconds.
    pub store_timeout: Duration,
    /// How long attempts under way may take to end at shutdown; the rest goes back to the queue. Default 20
    /// seconds.
    pub drain_timeout: Duration,
    /// How long an attempt may take in all, unless the endpoint says otherwise. Default 15 seconds.
    pub attempt_timeout: AttemptTimeout,
    /// When to try again, unless the endpoint says otherwise, and how far waits are stretched.
    pub retry: RetryPolicy,
    /// The `user-agent` of attempts. Visible ASCII.
    pub user_agent: String,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            max_in_flight: 2_048,
            max_in_flight_per_endpoint: 64,
            max_waiting: 8_192,
            max_memory_bytes: 64 << 20,
            explode_after: Duration::from_millis(500),
            adoption_interval: Duration::from_mins(1),
            claim_batch: 500,
            settle_batch: 500,
            settle_gather: Duration::from_millis(10),
            lease_beat: Duration::from_secs(3),
            lease_ttl: Duration::from_secs(15),
            sole_node: false,
            poll_net_interval: Duration::from_secs(5),
            dead_sweep_interval: Duration::from_secs(5),
            store_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
            attempt_timeout: AttemptTimeout::default(),
            retry: RetryPolicy::default(),
            user_agent: concat!("Postrider/", env!("CARGO_PKG_VERSION")).to_owned(),
            tenant_labels: 0,
        }
    }
}

fn check(option: &'static str, good: bool, rule: &'static str) -> Result<(), OptionsError> {
    if good {
        Ok(())
    } else {
        Err(OptionsError { option, rule })
    }
}

fn check_interval(option: &'static str, interval: Duration) -> Result<(), OptionsError> {
    const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
    check(
        option,
        RANGE.contains(&interval),
        "must be from 10 milliseconds to 1 hour",
    )
}

impl EngineOptions {
    /// Rows in memory: those that wait, those under way, and as many again for their outcomes and for messages whose
    /// deliveries they are.
    pub(crate) const fn max_rows_in_memory(&self) -> usize {
        2 * (self.max_waiting + self.max_in_flight)
    }

    /// Refuses options that cannot be worked with; the first one is named.
    pub fn validate(&self) -> Result<(), OptionsError> {
        check(
            "max_in_flight",
            (1..=65_536).contains(&self.max_in_flight),
            "must be from 1 to 65536",
        )?;
        check(
            "max_in_flight_per_endpoint",
            (1..=self.max_in_flight).contains(&self.max_in_flight_per_endpoint),
            "must be from 1 to max_in_flight",
        )?;
        check(
            "max_waiting",
            (1..=1_000_000).contains(&self.max_waiting),
            "must be from 1 to 1000000",
        )?;
        check(
            "max_memory_bytes",
            self.max_memory_bytes >= 1 << 20,
            "must be at least 1 MiB",
        )?;
        check(
            "settle_gather",
            self.settle_gather <= Duration::from_secs(1),
            "must be at most 1 second",
        )?;
        check(
            "explode_after",
            (Duration::from_millis(1)..=Duration::from_secs(10)).contains(&self.explode_after),
            "must be from 1 millisecond to 10 seconds",
        )?;
        check(
            "claim_batch",
            (1..=500).contains(&self.claim_batch),
            "must be from 1 to 500",
        )?;
        check(
            "settle_batch",
            (1..=500).contains(&self.settle_batch),
            "must be from 1 to 500",
        )?;
        for (option, interval) in [
            ("lease_beat", self.lease_beat),
            ("lease_ttl", self.lease_ttl),
            ("poll_net_interval", self.poll_net_interval),
            ("dead_sweep_interval", self.dead_sweep_interval),
            ("store_timeout", self.store_timeout),
            ("drain_timeout", self.drain_timeout),
            ("adoption_interval", self.adoption_interval),
        ] {
            check_interval(option, interval)?;
        }
        check(
            "lease_ttl",
            self.lease_ttl >= self.lease_beat * 2,
            "must be at least twice lease_beat",
        )?;
        check(
            "retry.jitter_percent",
            self.retry.jitter_percent <= 100,
            "must be at most 100",
        )?;
        let visible = self.user_agent.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        check(
            "user_agent",
            visible && !self.user_agent.trim().is_empty(),
            "must be visible ASCII",
        )
    }
}

/// Of which answers the headers are kept. They cost what they are long in every stored attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureHeaders {
    /// Of none.
    None,
    /// Of those to attempts that failed.
    #[default]
    Failed,
    /// Of all.
    All,
}

/// How webhooks are sent.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long resolving the name and connecting may take together; the TLS handshake may take as long again.
    /// The attempt's own time-out bounds all of it. Default 5 seconds.
    pub connect_timeout: Duration,
    /// The bytes kept of an answer's body. Default 16 KiB.
    pub max_response_body_bytes: usize,
    /// The bytes read of an answer's body, so that the connection can be used again; a longer body closes it.
    /// At least `max_response_body_bytes`; default 64 KiB.
    pub max_response_read_bytes: usize,
    /// The most bytes of an answer's status line and headers. At least 8 KiB; default 64 KiB.
    pub max_response_header_bytes: usize,
    /// How long an unused connection is kept. Default 30 seconds, shorter than most receivers keep theirs.
    pub pool_idle_timeout: Duration,
    /// The most unused connections kept to one host. Several endpoints, of several tenants, may be on one. Default 512.
    pub pool_max_idle_per_host: usize,
    /// Root certificates to trust besides Mozilla's, PEM, for receivers with certificates of a private authority.
    pub extra_roots_pem: Vec<u8>,
    /// Of which answers the headers are kept. Default: of those to attempts that failed.
    pub capture_headers: CaptureHeaders,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            max_response_body_bytes: 16 * 1_024,
            max_response_read_bytes: 64 * 1_024,
            max_response_header_bytes: 64 * 1_024,
            pool_idle_timeout: Duration::from_secs(30),
            pool_max_idle_per_host: 512,
            extra_roots_pem: Vec::new(),
            capture_headers: CaptureHeaders::default(),
        }
    }
}

impl HttpOptions {
    /// The most header fields of an answer; hyper's own default, said aloud.
    pub const MAX_RESPONSE_HEADERS: usize = 100;
    /// The most addresses of one name that are tried: a name may have thousands.
    pub const MAX_ADDRESSES: usize = 8;

    /// Refuses options that cannot be worked with; the first one is named.
    pub fn validate(&self) -> Result<(), OptionsError> {
        check_interval("connect_timeout", self.connect_timeout)?;
        check_interval("pool_idle_timeout", self.pool_idle_timeout)?;
        check(
            "max_response_body_bytes",
            self.max_response_body_bytes <= 1_024 * 1_024,
            "must be at most 1 MiB",
        )?;
        check(
            "max_response_read_bytes",
            (self.max_response_body_bytes..=16 * 1_024 * 1_024).contains(&self.max_response_read_bytes),
            "must be from max_response_body_bytes to 16 MiB",
        )?;
        check(
            "max_response_header_bytes",
            (8_192..=1_024 * 1_024).contains(&self.max_response_header_bytes),
            "must be from 8 KiB to 1 MiB",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(EngineOptions::default().validate(), Ok(()));
        assert_eq!(HttpOptions::default().validate(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let refused = |change: fn(&mut EngineOptions)| {
            let mut options = EngineOptions::default();
            change(&mut options);
            options.validate().unwrap_err().option
        };
        assert_eq!(refused(|o| o.max_in_flight = 0), "max_in_flight");
        assert_eq!(
            refused(|o| o.max_in_flight_per_endpoint = 2_049),
            "max_in_flight_per_endpoint"
        );
        assert_eq!(refused(|o| o.claim_batch = 501), "claim_batch");
        assert_eq!(refused(|o| o.lease_ttl = o.lease_beat), "lease_ttl");
        assert_eq!(
            refused(|o| o.poll_net_interval = Duration::ZERO),
            "poll_net_interval"
        );
        assert_eq!(refused(|o| o.user_agent = "a\r\nb".to_owned()), "user_agent");
        let http = HttpOptions {
            max_response_read_bytes: 1,
            ..HttpOptions::default()
        };
        assert_eq!(http.validate().unwrap_err().option, "max_response_read_bytes");
    }
}
