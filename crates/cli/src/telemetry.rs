//! Logs on standard error; traces and metrics by OTLP where the standard `OTEL_EXPORTER_OTLP_ENDPOINT` (or its
//! per-signal forms) is set.

use std::{env, fmt, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Histogram, trace::TracerProvider as _};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use postrider_application::ports::UseCaseMetrics;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::configuration::{LogFormat, TelemetryConfig};

/// Keeps the exporters; dropping it flushes them.
///
/// It must be made and dropped outside of any async runtime: the exporters' HTTP client is a blocking one.
pub(crate) struct Telemetry {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The OTLP exporter could not be made, say for a malformed endpoint.
    #[error("OTLP exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Somebody installed a subscriber before.
    #[error("log subscriber: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
}

impl Telemetry {
    /// Starts logging, and exporting where the environment asks for it.
    pub(crate) fn start(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
        let tracer = exports("TRACES").then(tracer_provider).transpose()?;
        let meter = exports("METRICS").then(meter_provider).transpose()?;
        let otel = tracer.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("postrider"))
                // What the exporter itself does must not be traced, or it would never end.
                .with_filter(EnvFilter::new(
                    "info,hyper=off,hyper_util=off,h2=off,reqwest=off,opentelemetry=off",
                ))
        });
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match config.format {
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .map_event_format(|lines| NotOfClients::unless_named_in(&config.log, lines))
                .boxed(),
            LogFormat::Pretty => lines
                .with_target(false)
                .map_event_format(|lines| NotOfClients::unless_named_in(&config.log, lines))
                .boxed(),
        };
        tracing_subscriber::registry()
            .with(otel)
            .with(lines.with_filter(filter))
            .try_init()?;
        Ok(Self { tracer, meter })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // At the end there is nobody left to tell of a failure.
        if let Some(tracer) = &self.tracer {
            let _ = tracer.shutdown_with_timeout(Duration::from_secs(5));
        }
        if let Some(meter) = &self.meter {
            let _ = meter.shutdown();
        }
    }
}

/// Leaves out what clients do wrong: one that sends no HTTP has its 400, or its connection closed, and that is no error
/// of ours, though the server's library says so as one. What fails of our answers it says at the same place, and that
/// stays.
///
/// It stands at the writing of a line: a filter of a layer that looks at an event's fields disturbs the others.
struct NotOfClients<F> {
    lines: F,
    /// Whether somebody asked for it by name.
    wanted: bool,
}

/// Where it is said.
const OF_CLIENTS: &str = "actix_http::h1::dispatcher";

impl<F> NotOfClients<F> {
    fn unless_named_in(directives: &str, lines: F) -> Self {
        Self {
            lines,
            wanted: directives.contains("actix_http"),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for NotOfClients<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !self.wanted && event.metadata().target() == OF_CLIENTS && is_of_client(event) {
            return Ok(());
        }
        self.lines.format_event(context, writer, event)
    }
}

/// Whether it is about what came in, as its message says it.
fn is_of_client(event: &Event<'_>) -> bool {
    struct Beginning(bool);

    impl Visit for Beginning {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}").starts_with("stream error");
            }
        }
    }

    let mut beginning = Beginning(false);
    event.record(&mut beginning);
    beginning.0
}

/// Whether the environment asks for OTLP export of `signal` (`TRACES`, `METRICS`).
fn exports(signal: &str) -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    let none = env::var(format!("OTEL_{signal}_EXPORTER")).is_ok_and(|value| value == "none");
    !disabled
        && !none
        && (set("OTEL_EXPORTER_OTLP_ENDPOINT") || set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")))
}

fn resource() -> Resource {
    let builder =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if env::var_os("OTEL_SERVICE_NAME").is_some() {
        builder.build()
    } else {
        builder.with_service_name("postrider").build()
    }
}

fn tracer_provider() -> Result<SdkTracerProvider, TelemetryError> {
    // The batch processor's queue is bounded; a dead collector costs dropped spans, never memory or a request.
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    global::set_tracer_provider(provider.clone());
    Ok(provider)
}

fn meter_provider() -> Result<SdkMeterProvider, TelemetryError> {
    let exporter = MetricExporter::builder().with_http().build()?;
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter)
        .with_resource(resource())
        .build();
    global::set_meter_provider(provider.clone());
    Ok(provider)
}

/// Use cases as a histogram of OpenTelemetry; costs next to nothing where metrics are not exported.
pub(crate) struct OtelUseCaseMetrics {
    duration: Histogram<f64>,
}

impl OtelUseCaseMetrics {
    /// To be made after [`Telemetry::start`].
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
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what the server's library says, and of what we say.
    fn written(directives: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .map_event_format(|lines| NotOfClients::unless_named_in(directives, lines));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(EnvFilter::new(directives)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: OF_CLIENTS, "stream error: {}", "theirs");
            tracing::error!(target: OF_CLIENTS, "Response payload stream error: ours");
            tracing::error!(target: "postrider", "stream error of our own");
            tracing::debug!(target: "postrider", "a detail");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_clients_do_wrong_is_no_error_of_ours() {
        let text = written("info");
        assert!(!text.contains("theirs") && !text.contains("a detail"), "{text}");
        assert!(
            text.contains("ours") && text.contains("stream error of our own"),
            "{text}"
        );
        assert!(written("info,actix_http=error").contains("theirs"));
        assert!(written("debug").contains("a detail"));
    }
}
