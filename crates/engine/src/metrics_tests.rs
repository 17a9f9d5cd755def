use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use postrider_application::ports::StoreError;
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{Attempt, CapturedBody, Delivery, FailureClass, FailureReason},
};
use uuid::Uuid;

use super::*;

/// What one engine measured.
struct Measured {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
    metrics: Metrics,
}

impl Measured {
    fn new(tenant_labels: usize) -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(exporter.clone()).build())
            .build();
        let options = EngineOptions {
            tenant_labels,
            ..EngineOptions::default()
        };
        let metrics = Metrics::new(&provider.meter("test"), &options);
        Self {
            provider,
            exporter,
            metrics,
        }
    }

    /// The points of the counter `name` as `label=value` and count, sorted.
    fn counter(&self, name: &str) -> Vec<(String, u64)> {
        self.provider.force_flush().unwrap();
        let mut points = Vec::new();
        let all = self.exporter.get_finished_metrics().unwrap();
        let last = all.last().unwrap();
        for metric in last
            .scope_metrics()
            .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics)
        {
            if metric.name() != name {
                continue;
            }
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                panic!("{name} is no counter");
            };
            points.extend(sum.data_points().map(|point| {
                let mut labels: Vec<_> = point
                    .attributes()
                    .map(|label| format!("{}={}", label.key, label.value))
                    .collect();
                labels.sort();
                (labels.join(","), point.value())
            }));
        }
        // Counters begin with nothing.
        points.retain(|(_, count)| *count > 0);
        points.sort();
        points
    }

    /// How many latencies were measured, and their sum in seconds.
    fn latencies(&self) -> (u64, f64) {
        self.provider.force_flush().unwrap();
        let all = self.exporter.get_finished_metrics().unwrap();
        let mut metrics = all
            .last()
            .unwrap()
            .scope_metrics()
            .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics);
        let latency = metrics
            .find(|metric| metric.name() == "postrider.delivery.latency")
            .unwrap();
        let AggregatedMetrics::F64(MetricData::Histogram(latency)) = latency.data() else {
            panic!("no histogram");
        };
        let point = latency.data_points().next().unwrap();
        (point.count(), point.sum())
    }
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

fn concluded(number: u32, outcome: Outcome, status: DeliveryStatus) -> Concluded {
    let at = Timestamp::from_micros(2_000_000);
    let mut delivery = Delivery::begin(
        MessageId::from_uuid(Uuid::nil()),
        EndpointId::from_uuid(Uuid::nil()),
        at,
    );
    delivery.status = status;
    Concluded {
        delivery,
        attempt: Some(Attempt {
            number,
            started_at: at,
            latency: Duration::from_millis(20),
            outcome,
            response_body: CapturedBody::default(),
        }),
        retry: None,
    }
}

fn timed_out() -> Outcome {
    Outcome::Failed {
        class: FailureClass::TimeOut,
        status: None,
    }
}

#[test]
fn attempts_are_counted_by_how_they_ended() {
    let measured = Measured::new(0);
    let since = Timestamp::from_micros(1_000_000);
    let pending = DeliveryStatus::Pending { due_at: since };
    measured
        .metrics
        .attempted(tenant(1), Some(since), &concluded(1, timed_out(), pending));
    let second = concluded(2, Outcome::of_status(204), DeliveryStatus::Delivered);
    measured.metrics.attempted(tenant(1), None, &second);
    assert_eq!(
        measured.counter("postrider.attempts"),
        [
            ("outcome_class=delivered".to_owned(), 1),
            ("outcome_class=timeout".to_owned(), 1)
        ]
    );
    assert_eq!(
        measured.counter("postrider.attempt.retries"),
        [(String::new(), 1)]
    );
}

#[test]
fn deliveries_are_counted_once_they_have_ended() {
    let measured = Measured::new(0);
    let pending = DeliveryStatus::Pending {
        due_at: Timestamp::from_micros(1),
    };
    let given_up = DeliveryStatus::Failed(FailureReason::Exhausted);
    let all = [
        concluded(1, timed_out(), pending),
        concluded(5, timed_out(), given_up),
        concluded(1, Outcome::of_status(200), DeliveryStatus::Delivered),
        concluded(1, Outcome::of_status(200), DeliveryStatus::Delivered),
    ];
    measured.metrics.concluded(all.iter());
    assert_eq!(
        measured.counter("postrider.deliveries.ended"),
        [
            ("status=delivered".to_owned(), 2),
            ("status=failed".to_owned(), 1)
        ]
    );
}

#[test]
fn refusals_have_a_reason_and_publishers_own_faults_are_none() {
    let measured = Measured::new(0);
    let elapsed = Duration::from_millis(1);
    let ask = |result: Result<(), IntakeError>| {
        measured.metrics.asked(1, result.as_ref().err(), elapsed);
    };
    ask(Ok(()));
    ask(Err(IntakeError::KeyConflict));
    ask(Err(IntakeError::Full));
    ask(Err(IntakeError::Store(StoreError::Unavailable("away".into()))));
    assert_eq!(
        measured.counter("postrider.messages.refused"),
        [
            ("reason=full".to_owned(), 1),
            ("reason=unavailable".to_owned(), 1)
        ]
    );
}

#[test]
fn tenants_have_labels_only_where_that_is_asked_for() {
    let since = Timestamp::from_micros(1_000_000);
    let delivered = concluded(1, Outcome::of_status(204), DeliveryStatus::Delivered);
    let without = Measured::new(0);
    let with = Measured::new(1);
    for number in 1..=3 {
        without.metrics.attempted(tenant(number), Some(since), &delivered);
        with.metrics.attempted(tenant(number), Some(since), &delivered);
    }
    assert_eq!(
        without.counter("postrider.attempts"),
        [("outcome_class=delivered".to_owned(), 3)]
    );
    assert_eq!(
        with.counter("postrider.attempts"),
        [
            ("outcome_class=delivered,tenant=other".to_owned(), 2),
            (format!("outcome_class=delivered,tenant={}", tenant(1)), 1)
        ]
    );
}

#[test]
fn the_latency_is_of_first_attempts_that_deliver() {
    let measured = Measured::new(0);
    let since = Timestamp::from_micros(1_000_000);
    let delivered = concluded(1, Outcome::of_status(204), DeliveryStatus::Delivered);
    let pending = DeliveryStatus::Pending { due_at: since };
    let failed = concluded(1, timed_out(), pending);
    measured.metrics.attempted(tenant(1), Some(since), &delivered);
    measured.metrics.attempted(tenant(1), Some(since), &failed);
    measured.metrics.attempted(tenant(1), None, &delivered);
    assert_eq!(
        measured.latencies(),
        (1, 1.02),
        "of one delivery: a second, and the attempt"
    );
}
