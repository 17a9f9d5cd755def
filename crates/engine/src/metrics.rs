//! What the engine does, as instruments of OpenTelemetry; they cost next to nothing where metrics are neither read nor
//! exported.

#[cfg(test)]
pub(crate) mod measured;
mod tenants;

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram, Meter},
};
use postrider_application::ports::{Concluded, IntakeError};
use postrider_domain::{
    TenantId, Timestamp,
    deliveries::{DeliveryStatus, Outcome},
    messages::Message,
};

use crate::{EngineHandle, EngineOptions};
use tenants::TenantLabels;

/// The instruments of one engine and its intake.
pub(crate) struct Metrics {
    accepted: Counter<u64>,
    refused: Counter<u64>,
    accept_duration: Histogram<f64>,
    attempts: Counter<u64>,
    attempt_duration: Histogram<f64>,
    retries: Counter<u64>,
    ended: Counter<u64>,
    latency: Histogram<f64>,
    settle_duration: Histogram<f64>,
    settle_size: Histogram<u64>,
    tenants: TenantLabels,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter, options: &EngineOptions) -> Self {
        let metrics = Self::silent(meter, options);
        metrics.begin();
        metrics
    }

    /// Shows counters from nothing on: of one that begins with 1 nobody can tell that it rose.
    fn begin(&self) {
        for reason in ["full", "share_exceeded", "outcome_unknown", "unavailable"] {
            self.refused.add(0, &[KeyValue::new("reason", reason)]);
        }
        for status in ["delivered", "failed", "cancelled"] {
            self.ended.add(0, &[KeyValue::new("status", status)]);
        }
        self.retries.add(0, &[]);
        if self.tenants.are_off() {
            self.accepted.add(0, &[]);
        }
    }

    fn silent(meter: &Meter, options: &EngineOptions) -> Self {
        let counter = |name: &'static str, unit: &'static str, text: &'static str| {
            meter
                .u64_counter(name)
                .with_unit(unit)
                .with_description(text)
                .build()
        };
        let seconds = |name: &'static str, text: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(text)
                .build()
        };
        Self {
            accepted: counter(
                "postrider.messages.accepted",
                "{message}",
                "Messages that are durable",
            ),
            refused: counter(
                "postrider.messages.refused",
                "{message}",
                "Messages that were not stored, by reason; not those whose publisher was at fault",
            ),
            accept_duration: seconds(
                "postrider.accept.duration",
                "From a message's admission until it is durable",
            ),
            attempts: counter("postrider.attempts", "{attempt}", "Attempts by how they ended"),
            attempt_duration: seconds(
                "postrider.attempt.duration",
                "How long requests to receivers take",
            ),
            retries: counter(
                "postrider.attempt.retries",
                "{attempt}",
                "Attempts that were not a delivery's first",
            ),
            ended: counter(
                "postrider.deliveries.ended",
                "{delivery}",
                "Deliveries that came to their end, by how",
            ),
            latency: seconds(
                "postrider.delivery.latency",
                "From a message's acceptance, or its time, until its receiver had it, of deliveries that the first attempt made",
            ),
            settle_duration: seconds(
                "postrider.settle.duration",
                "How long a batch of outcomes takes to be durable",
            ),
            settle_size: meter
                .u64_histogram("postrider.settle.batch_size")
                .with_description("Rows of a batch of outcomes")
                .build(),
            tenants: TenantLabels::new(options.tenant_labels),
        }
    }

    /// Messages became durable.
    pub(crate) fn accepted<'m>(&self, messages: impl Iterator<Item = &'m Message>) {
        if self.tenants.are_off() {
            let count = messages.count() as u64;
            if count > 0 {
                self.accepted.add(count, &[]);
            }
            return;
        }
        for message in messages {
            self.accepted.add(1, &[self.tenants.label(message.tenant)]);
        }
    }

    /// `count` messages were asked to be stored, which took so long, and may have failed.
    pub(crate) fn asked(&self, count: usize, failed: Option<&IntakeError>, elapsed: Duration) {
        let reason = match failed {
            None => return self.accept_duration.record(elapsed.as_secs_f64(), &[]),
            // The publisher's own doing.
            Some(IntakeError::KeyConflict) => return,
            Some(IntakeError::Full) => "full",
            Some(IntakeError::ShareExceeded) => "share_exceeded",
            Some(IntakeError::OutcomeUnknown(_)) => "outcome_unknown",
            Some(IntakeError::Store(_)) => "unavailable",
        };
        self.refused.add(count as u64, &[KeyValue::new("reason", reason)]);
    }

    /// An attempt has ended. If it was the first for a message that is new, it could have been made from `since` on.
    pub(crate) fn attempted(&self, tenant: TenantId, since: Option<Timestamp>, concluded: &Concluded) {
        let Some(attempt) = &concluded.attempt else {
            return;
        };
        let (outcome, class) = match attempt.outcome {
            Outcome::Delivered { .. } => ("delivered", "delivered"),
            Outcome::Failed { class, .. } => ("failed", class.as_str()),
        };
        let class = KeyValue::new("outcome_class", class);
        if self.tenants.are_off() {
            self.attempts.add(1, &[class]);
        } else {
            self.attempts.add(1, &[class, self.tenants.label(tenant)]);
        }
        self.attempt_duration.record(
            attempt.latency.as_secs_f64(),
            &[KeyValue::new("outcome", outcome)],
        );
        if attempt.number > 1 {
            self.retries.add(1, &[]);
        }
        if let Some(since) = since
            && concluded.delivery.status == DeliveryStatus::Delivered
        {
            let waited = attempt.started_at.since(since) + attempt.latency;
            self.latency.record(waited.as_secs_f64(), &[]);
        }
    }

    /// A batch of so many rows was settled, and took so long.
    pub(crate) fn settled(&self, rows: usize, elapsed: Duration) {
        self.settle_duration.record(elapsed.as_secs_f64(), &[]);
        self.settle_size.record(rows as u64, &[]);
    }

    /// These outcomes are durable.
    pub(crate) fn concluded<'c>(&self, concluded: impl Iterator<Item = &'c Concluded>) {
        let (mut delivered, mut failed, mut cancelled) = (0, 0, 0);
        for concluded in concluded {
            match concluded.delivery.status {
                DeliveryStatus::Pending { .. } => {}
                DeliveryStatus::Delivered => delivered += 1,
                DeliveryStatus::Failed(_) => failed += 1,
                DeliveryStatus::Cancelled => cancelled += 1,
            }
        }
        for (status, count) in [
            ("delivered", delivered),
            ("failed", failed),
            ("cancelled", cancelled),
        ] {
            if count > 0 {
                self.ended.add(count, &[KeyValue::new("status", status)]);
            }
        }
    }
}

impl EngineHandle {
    /// Lets the engine's state be read as gauges, from now on; once, by whoever composes.
    pub fn observe(&self, options: &EngineOptions) {
        let meter = global::meter("postrider");
        let limit = options.max_in_flight as u64;
        meter
            .u64_observable_gauge("postrider.attempts.in_flight.limit")
            .with_unit("{attempt}")
            .with_description("The most attempts under way at once")
            .with_callback(move |observer| observer.observe(limit, &[]))
            .build();
        for (name, text, read) in GAUGES {
            let shared = Arc::clone(&self.shared);
            meter
                .u64_observable_gauge(name)
                .with_description(text)
                .with_callback(move |observer| {
                    let handle = Self {
                        shared: Arc::clone(&shared),
                    };
                    observer.observe(read(&handle), &[]);
                })
                .build();
        }
    }
}

/// A gauge: its name, what it says, and where it is read.
type Gauge = (&'static str, &'static str, fn(&EngineHandle) -> u64);

/// What [`EngineHandle::status`] tells.
const GAUGES: [Gauge; 7] = [
    (
        "postrider.attempts.in_flight",
        "Rows of the queue being loaded, sent or settled",
        |handle| handle.status().in_flight as u64,
    ),
    (
        "postrider.lanes.waiting",
        "Deliveries that wait in memory for a turn at their endpoint",
        |handle| handle.status().waiting as u64,
    ),
    (
        "postrider.engine.memory_rows",
        "Rows of the queue in memory, and rows promised to messages being committed",
        |handle| handle.status().memory_rows as u64,
    ),
    (
        "postrider.engine.memory_bytes",
        "Bytes of payloads and captured answers in memory",
        |handle| handle.status().memory_bytes as u64,
    ),
    (
        "postrider.engine.rows_set_aside",
        "Rows that the database refuses to read or to settle",
        |handle| handle.status().refused as u64,
    ),
    (
        "postrider.engine.lease_held",
        "1 while this node holds its lease",
        |handle| u64::from(handle.status().lease_held),
    ),
    (
        "postrider.engine.draining",
        "1 while this node is about to end",
        |handle| u64::from(handle.status().draining),
    ),
];

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
