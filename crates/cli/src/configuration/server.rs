use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use postrider_api::AllowedOrigins;
use serde::Deserialize;

use super::Faults;

/// `[server]`: the API's listener and its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// Where to listen. Default `127.0.0.1:8080`.
    pub(crate) listen: SocketAddr,
    /// The most bytes of a message's payload. Default 1 MiB.
    pub(crate) max_payload_bytes: usize,
    /// The most requests that one worker serves at once. Default 10,000.
    pub(crate) max_connections_per_worker: usize,
    /// How long a client may take to send its request's head. Default 10,000.
    pub(crate) request_head_timeout_ms: u64,
    /// The addresses and networks of our own proxies: only their `X-Forwarded-For` is believed, for the audit log
    /// and the throttle of logins. Default none.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may call the API from a browser, as browsers write them (`https://console.example.com`);
    /// `*`: all. They send a token of their own, never cookies. Default none.
    pub(crate) allowed_origins: Vec<String>,
    /// How long a shutdown waits for requests under way. Default 30 s.
    pub(crate) shutdown_timeout_s: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            max_payload_bytes: 1 << 20,
            max_connections_per_worker: 10_000,
            request_head_timeout_ms: 10_000,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
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
            self.max_connections_per_worker,
            1..=100_000,
        );
        faults.range(
            "server.request_head_timeout_ms",
            self.request_head_timeout_ms,
            100..=120_000,
        );
        faults.range("server.shutdown_timeout_s", self.shutdown_timeout_s, 1..=600);
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

    /// Whose pages may call; which of them are no origins.
    pub(crate) fn origins(&self) -> Result<AllowedOrigins, Vec<String>> {
        AllowedOrigins::parse(self.allowed_origins.iter().map(String::as_str))
    }
}
