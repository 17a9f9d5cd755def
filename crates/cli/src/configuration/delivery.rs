use std::time::Duration;

use postrider_domain::{
    deliveries::{RetryPolicy, RetrySchedule},
    endpoints::{AddressPolicy, FailingPolicy},
};
use postrider_engine::CaptureHeaders;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// Of which answers the headers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CaptureResponseHeaders {
    /// Of none.
    None,
    /// Of those to attempts that failed.
    Failed,
    /// Of all.
    All,
}

impl From<CaptureResponseHeaders> for CaptureHeaders {
    fn from(capture: CaptureResponseHeaders) -> Self {
        match capture {
            CaptureResponseHeaders::None => Self::None,
            CaptureResponseHeaders::Failed => Self::Failed,
            CaptureResponseHeaders::All => Self::All,
        }
    }
}

/// `[delivery]`: how webhooks are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeliveryConfig {
    /// Networks beside the public Internet that webhooks may be sent to, `10.1.0.0/16`.
    pub(crate) allowed_networks: Vec<String>,
    /// The most attempts under way at once on this node. One endpoint may take a quarter of those that are free, one
    /// tenant as many as are free.
    pub(crate) max_in_flight: usize,
    /// The most attempts under way at once to one endpoint, from this node.
    pub(crate) max_in_flight_per_endpoint: usize,
    /// The most deliveries that wait in memory for a turn at their endpoint; more wait in the database.
    pub(crate) max_waiting: usize,
    /// The most bytes of payloads and captured answers in memory, for deliveries.
    pub(crate) max_memory_bytes: usize,
    /// How long one attempt may take in all, unless the endpoint says otherwise.
    pub(crate) attempt_timeout_ms: u64,
    /// How long connecting may take, of that.
    pub(crate) connect_timeout_ms: u64,
    /// How much of a receiver's answer is kept.
    pub(crate) max_response_body_bytes: usize,
    /// Of which answers the headers are kept, at most 32 and 4 KiB of each, secret values masked: those to `failed`
    /// attempts, `all` or `none`.
    pub(crate) capture_response_headers: CaptureResponseHeaders,
    /// The waits between attempts, unless the endpoint says otherwise.
    pub(crate) retry_schedule_s: Vec<u64>,
    /// By how much jitter may lengthen a wait.
    pub(crate) retry_jitter_percent: u8,
    /// The longest wait that a receiver may ask for by `Retry-After`.
    pub(crate) max_retry_after_s: u64,
    /// After how long an endpoint to which every attempt has failed is disabled; 0: never. It is judged by the hour.
    pub(crate) disable_failing_after_s: u64,
    /// How long a shutdown waits for attempts under way; the rest is handed back.
    pub(crate) drain_timeout_ms: u64,
    /// How long a publish's deduplication key is remembered.
    pub(crate) dedup_window_s: u64,
    /// How far ahead a message may be scheduled (`deliver_at`). Not longer than payloads are kept
    /// (`retention.payloads_days`).
    pub(crate) schedule_horizon_s: u64,
    /// The most endpoints of one application: what one message may become at most.
    pub(crate) max_endpoints_per_application: u32,
    /// The most event types of one tenant, archived ones too.
    pub(crate) max_event_types_per_tenant: u32,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            allowed_networks: Vec::new(),
            max_in_flight: 2_048,
            max_in_flight_per_endpoint: 64,
            max_waiting: 8_192,
            max_memory_bytes: 64 << 20,
            attempt_timeout_ms: 15_000,
            connect_timeout_ms: 5_000,
            max_response_body_bytes: 16 << 10,
            capture_response_headers: CaptureResponseHeaders::Failed,
            retry_schedule_s: RetrySchedule::default()
                .waits()
                .iter()
                .map(Duration::as_secs)
                .collect(),
            retry_jitter_percent: 20,
            max_retry_after_s: 86_400,
            disable_failing_after_s: 5 * 86_400,
            drain_timeout_ms: 20_000,
            dedup_window_s: 86_400,
            schedule_horizon_s: 30 * 86_400,
            max_endpoints_per_application: 100,
            max_event_types_per_tenant: 1_000,
        }
    }
}

impl DeliveryConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        for network in &self.allowed_networks {
            if network.parse::<ipnet::IpNet>().is_err() {
                faults.push(
                    "delivery.allowed_networks",
                    "must be networks such as 10.1.0.0/16",
                );
            }
        }
        if let Err(invalid) = self.schedule() {
            faults.push("delivery.retry_schedule_s", invalid.message);
        }
        faults.range("delivery.max_in_flight", self.max_in_flight, 1..=65_536);
        faults.range(
            "delivery.max_in_flight_per_endpoint",
            self.max_in_flight_per_endpoint,
            1..=65_536,
        );
        faults.range(
            "delivery.attempt_timeout_ms",
            self.attempt_timeout_ms,
            1_000..=60_000,
        );
        faults.range(
            "delivery.connect_timeout_ms",
            self.connect_timeout_ms,
            100..=60_000,
        );
        faults.range(
            "delivery.max_response_body_bytes",
            self.max_response_body_bytes,
            0..=1 << 20,
        );
        faults.range(
            "delivery.retry_jitter_percent",
            self.retry_jitter_percent,
            0..=100,
        );
        faults.range("delivery.max_waiting", self.max_waiting, 1..=1_000_000);
        faults.range(
            "delivery.max_memory_bytes",
            self.max_memory_bytes,
            1 << 20..=64 << 30,
        );
        faults.range(
            "delivery.max_retry_after_s",
            self.max_retry_after_s,
            1..=7 * 86_400,
        );
        faults.range(
            "delivery.disable_failing_after_s",
            self.disable_failing_after_s,
            0..=365 * 86_400,
        );
        faults.range("delivery.drain_timeout_ms", self.drain_timeout_ms, 10..=600_000);
        let max_endpoints = self.max_endpoints_per_application;
        faults.range("delivery.max_endpoints_per_application", max_endpoints, 1..=1_000);
        let max_event_types = self.max_event_types_per_tenant;
        faults.range(
            "delivery.max_event_types_per_tenant",
            max_event_types,
            1..=100_000,
        );
        faults.range(
            "delivery.schedule_horizon_s",
            self.schedule_horizon_s,
            60..=365 * 86_400,
        );
        faults.range("delivery.dedup_window_s", self.dedup_window_s, 60..=7 * 86_400);
    }

    fn schedule(&self) -> Result<RetrySchedule, postrider_domain::InvalidValue> {
        RetrySchedule::new(
            self.retry_schedule_s
                .iter()
                .copied()
                .map(Duration::from_secs)
                .collect(),
        )
    }

    /// The installation's retry policy. The configuration was validated; what is wrong falls back to the default.
    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            schedule: self.schedule().unwrap_or_default(),
            jitter_percent: self.retry_jitter_percent,
            max_retry_after: Duration::from_secs(self.max_retry_after_s),
        }
    }

    /// When an endpoint that only fails is disabled.
    pub(crate) fn failing_policy(&self) -> FailingPolicy {
        let after = Duration::from_secs(self.disable_failing_after_s);
        FailingPolicy {
            disable_after: Some(after).filter(|after| !after.is_zero()),
        }
    }

    /// Which addresses webhooks may be sent to.
    pub(crate) fn address_policy(&self) -> AddressPolicy {
        AddressPolicy::allowing(
            self.allowed_networks
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
        )
    }
}
