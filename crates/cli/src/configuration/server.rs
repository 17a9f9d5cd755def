use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use postrider_api::AllowedOrigins;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// For what comes after the engine's drain, at most, or else a third of what the grace leaves: outcomes are written, the lease
/// is given back, requests end, and then [`FAREWELL`] and [`GOODBYE`].
const AFTER_DRAIN: Duration = Duration::from_secs(8);
/// For clients that are still reading their answers to be cut off, at most, or else a sixth of what the grace leaves.
const FAREWELL: Duration = Duration::from_secs(2);
/// For what is left of a shutdown that is cut short, for the management listener and for telemetry, at most, or else a sixth
/// of what the grace leaves.
const GOODBYE: Duration = Duration::from_secs(4);

/// As many connections of a worker as there are, where nobody says how many.
const CONNECTIONS_PER_WORKER: usize = 10_000;

/// `[server]`: the API's listener and its bounds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The most bytes of a message's payload.
    pub(crate) max_payload_bytes: usize,
    /// The most connections that one worker of the API holds at once. Unless set: 10,000, or as many as the limit of open
    /// files has room for.
    pub(crate) max_connections_per_worker: Option<usize>,
    /// How long a client may take to send its request's head.
    pub(crate) request_head_timeout_ms: u64,
    /// The addresses and networks of our own proxies: only their `X-Forwarded-For` is believed, for the audit log and
    /// the throttle of logins.
    #[schemars(with = "Vec<String>")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may call the API from a browser, as browsers write them
    /// (`https://console.example.com`); `*`: all. They send a token of their own, never cookies.
    pub(crate) allowed_origins: Vec<String>,
    /// How long, after a signal to end, everything goes on as before while `/health/ready` says no: for load balancers
    /// to notice.
    pub(crate) drain_grace_s: u64,
    /// How long a shutdown may take in all, from the signal on: the grace, the attempts under way
    /// (`delivery.drain_timeout_ms`, or less if it does not fit in), the requests under way. What is left then is
    /// given back to the queue. Must be more than `drain_grace_s`.
    pub(crate) shutdown_timeout_s: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            max_payload_bytes: 1 << 20,
            max_connections_per_worker: None,
            request_head_timeout_ms: 10_000,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            drain_grace_s: 2,
            shutdown_timeout_s: 30,
        }
    }
}

impl ServerConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.range(
            "server.max_payload_bytes",
            self.max_payload_bytes,
            1_024..=16 << 20,
        );
        faults.range(
            "server.max_connections_per_worker",
            self.connections_per_worker(),
            1..=100_000,
        );
        faults.range(
            "server.request_head_timeout_ms",
            self.request_head_timeout_ms,
            100..=120_000,
        );
        faults.range("server.drain_grace_s", self.drain_grace_s, 0..=300);
        faults.range("server.shutdown_timeout_s", self.shutdown_timeout_s, 1..=900);
        if self.drain_grace_s >= self.shutdown_timeout_s {
            faults.push(
                "server.shutdown_timeout_s",
                "must be more than server.drain_grace_s",
            );
        }
        if let Err(wrong) = self.origins() {
            faults.push(
                "server.allowed_origins",
                format!(
                    "must be origins as browsers write them, such as https://console.example.com, or *; {} of them are not",
                    wrong.len()
                ),
            );
        }
    }

    /// The most connections of a worker, if there are files for as many.
    pub(crate) fn connections_per_worker(&self) -> usize {
        self.max_connections_per_worker.unwrap_or(CONNECTIONS_PER_WORKER)
    }

    /// Whose pages may call; which of them are no origins.
    pub(crate) fn origins(&self) -> Result<AllowedOrigins, Vec<String>> {
        AllowedOrigins::parse(self.allowed_origins.iter().map(String::as_str))
    }

    /// How long the engine may drain: what the grace leaves of the whole, but for what comes after it.
    pub(crate) fn drain_limit(&self) -> Duration {
        let left = self.after_grace();
        left.saturating_sub(AFTER_DRAIN.min(left / 3))
    }

    /// When, in a shutdown, requests and attempts that have not ended are given up.
    pub(crate) fn work_limit(&self) -> Duration {
        let whole = Duration::from_secs(self.shutdown_timeout_s);
        whole.saturating_sub(GOODBYE.min(self.after_grace() / 6))
    }

    /// When, in a shutdown, clients that have not read their answers are cut off.
    pub(crate) fn answers_limit(&self) -> Duration {
        self.work_limit()
            .saturating_sub(FAREWELL.min(self.after_grace() / 6))
    }

    fn after_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_s.saturating_sub(self.drain_grace_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_drains_within_the_whole() {
        let limit = |drain_grace_s, shutdown_timeout_s| {
            let config = ServerConfig {
                drain_grace_s,
                shutdown_timeout_s,
                ..ServerConfig::default()
            };
            config.drain_limit()
        };
        assert_eq!(ServerConfig::default().drain_limit(), Duration::from_secs(20));
        assert_eq!(limit(0, 600), Duration::from_secs(592));
        assert_eq!(limit(4, 10), Duration::from_secs(4));
    }

    #[test]
    fn the_end_has_room_for_each_of_its_steps() {
        for (drain_grace_s, shutdown_timeout_s) in [(2, 30), (0, 1), (3, 8), (0, 900), (299, 300)] {
            let config = ServerConfig {
                drain_grace_s,
                shutdown_timeout_s,
                ..ServerConfig::default()
            };
            let drained = Duration::from_secs(drain_grace_s) + config.drain_limit();
            let (answers, work) = (config.answers_limit(), config.work_limit());
            assert!(drained <= answers + Duration::from_millis(1), "{config:?}");
            assert!(
                answers < work && work < Duration::from_secs(shutdown_timeout_s),
                "{config:?}"
            );
        }
    }
}
