//! The instruments' provider: read by Prometheus on the management listener, pushed by OTLP, or both.

use std::{sync::Arc, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Histogram};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use postrider_api::management::{MetricsError, MetricsPage};
use postrider_application::ports::UseCaseMetrics;
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::{
    Scope, TelemetryError,
    environment::{Environment, Signal},
    repeats::Repeats,
    traces::SpanCounts,
};

/// The most series of one instrument; what comes after them is counted together.
const MAX_SERIES: usize = 2_000;
/// Bounds of durations, in seconds: from what the database takes at its fastest to what a time-out allows.
const SECONDS: [f64; 15] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Bounds of the time from acceptance to delivery, in seconds: retries go on for days.
const LATENCY: [f64; 18] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0,
    43_200.0, 259_200.0,
];
/// Bounds of sizes.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What is exported, and the page to be read; neither where nobody asked.
pub(super) fn provider(
    environment: &Environment,
    scope: Scope,
) -> Result<(Option<SdkMeterProvider>, Option<Prometheus>), TelemetryError> {
    let exports = environment.exports(Signal::Metrics);
    if !exports && scope != Scope::Server {
        return Ok((None, None));
    }
    let mut builder = SdkMeterProvider::builder()
        .with_resource(environment.resource())
        .with_view(stream);
    let mut prometheus = None;
    if scope == Scope::Server {
        let registry = Registry::new();
        builder = builder.with_reader(
            opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .scope_info_enabled(false)
                .build()?,
        );
        prometheus = Some(Prometheus { registry });
    }
    if exports {
        builder = builder.with_periodic_exporter(MetricExporter::builder().build()?);
    }
    let provider = builder.build();
    global::set_meter_provider(provider.clone());
    Ok((Some(provider), prometheus))
}

/// How an instrument is kept: bounded, and with buckets that fit what it measures.
fn stream(instrument: &Instrument) -> Option<Stream> {
    let stream = Stream::builder().with_cardinality_limit(MAX_SERIES);
    let bounds: Option<&[f64]> = match (instrument.kind(), instrument.unit(), instrument.name()) {
        (InstrumentKind::Histogram, _, "postrider.delivery.latency") => Some(&LATENCY),
        (InstrumentKind::Histogram, "s", _) => Some(&SECONDS),
        (InstrumentKind::Histogram, _, _) => Some(&COUNTS),
        _ => None,
    };
    let stream = match bounds {
        Some(bounds) => stream.with_aggregation(Aggregation::ExplicitBucketHistogram {
            boundaries: bounds.to_vec(),
            record_min_max: false,
        }),
        None => stream,
    };
    // Bounds that rise and a limit above nothing are all that it asks for.
    stream.build().ok()
}

/// The page that Prometheus reads.
#[derive(Clone)]
pub(super) struct Prometheus {
    registry: Registry,
}

impl MetricsPage for Prometheus {
    fn content_type(&self) -> &'static str {
        prometheus::TEXT_FORMAT
    }

    fn write(&self) -> Result<Vec<u8>, MetricsError> {
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .map_err(|error| MetricsError(error.to_string()))?;
        Ok(page)
    }
}

/// Tells what telemetry itself lost.
pub(super) fn observe_telemetry(spans: Option<&Arc<SpanCounts>>, repeats: &Arc<Repeats>) {
    let meter = global::meter("postrider");
    let spans = spans.cloned();
    meter
        .u64_observable_counter("postrider.telemetry.dropped")
        .with_description("What was to be exported and was not, by signal")
        .with_callback(move |observer| {
            let lost = spans.as_ref().map_or(0, |spans| spans.lost());
            observer.observe(lost, &[KeyValue::new("signal", "spans")]);
        })
        .build();
    let repeats = Arc::clone(repeats);
    meter
        .u64_observable_counter("postrider.logs.suppressed")
        .with_description("Lines of the log that said what had been said too often")
        .with_callback(move |observer| observer.observe(repeats.suppressed(), &[]))
        .build();
}

/// Use cases as a histogram of OpenTelemetry; costs next to nothing where metrics are neither read nor exported.
pub(crate) struct OtelUseCaseMetrics {
    duration: Histogram<f64>,
}

impl OtelUseCaseMetrics {
    /// To be made after [`super::Telemetry::start`].
    pub(crate) fn new() -> Self {
        let duration = global::meter("postrider")
            .f64_histogram("postrider.use_case.duration")
            .with_unit("s")
            .with_description("How long use cases take, by name and outcome")
            .build();
        Self { duration }
    }
}

impl UseCaseMetrics for OtelUseCaseMetrics {
    fn record(&self, name: &'static str, outcome: &'static str, elapsed: Duration) {
        let attributes = [KeyValue::new("use_case", name), KeyValue::new("outcome", outcome)];
        self.duration.record(elapsed.as_secs_f64(), &attributes);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;

    use super::*;

    fn page(measure: impl Fn(&opentelemetry::metrics::Meter)) -> String {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .unwrap();
        let provider = SdkMeterProvider::builder()
            .with_view(stream)
            .with_reader(reader)
            .build();
        measure(&provider.meter("postrider"));
        String::from_utf8(Prometheus { registry }.write().unwrap()).unwrap()
    }

    #[test]
    fn durations_have_buckets_in_seconds() {
        let page = page(|meter| {
            meter
                .f64_histogram("postrider.accept.duration")
                .with_unit("s")
                .build()
                .record(0.003, &[]);
        });
        assert!(
            page.contains(r#"postrider_accept_duration_seconds_bucket{le="0.0025"} 0"#),
            "{page}"
        );
        assert!(
            page.contains(r#"postrider_accept_duration_seconds_bucket{le="0.005"} 1"#),
            "{page}"
        );
        assert!(!page.contains("otel_scope"), "{page}");
    }

    #[test]
    fn series_beyond_the_limit_are_counted_together() {
        let page = page(|meter| {
            let counter = meter.u64_counter("postrider.many").build();
            for number in 0..3_000 {
                counter.add(1, &[KeyValue::new("kind", number)]);
            }
        });
        let series = page
            .lines()
            .filter(|line| line.starts_with("postrider_many"))
            .count();
        assert!(series <= MAX_SERIES + 1, "{series}");
        assert!(page.contains(r#"otel_metric_overflow="true""#), "{page}");
    }
}
