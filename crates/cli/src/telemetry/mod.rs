//! What the process tells of itself: logs on standard error; traces and metrics by OTLP where the standard `OTEL_*`
//! variables ask for it; metrics on the management listener.
//!
//! | module | what lives there |
//! |---|---|
//! | `choice` | which lines are written, of those that the level lets through |
//! | `clients` | what is left out of the log because clients do it |
//! | `environment` | what the `OTEL_*` variables ask for |
//! | `traces` | spans on their way to the collector, bounded and counted |
//! | `ids` | ids of spans |
//! | `metrics` | the instruments' provider, and the page that Prometheus reads |
//! | `process` | what the process and its runtime use |
//! | `lines` | how a log line looks |
//! | `repeats` | lines that say the same over and over |
//! | `level` | what is logged, changeable while it runs |

mod choice;
mod clients;
mod environment;
mod ids;
mod level;
mod lines;
mod metrics;
mod process;
mod repeats;
mod traces;
#[cfg(test)]
mod written;

use std::{io, sync::Arc, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use postrider_api::management::{LogControl, MetricsPage};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::configuration::{LogFormat, TelemetryConfig};

pub(crate) use self::metrics::OtelUseCaseMetrics;
use self::{
    choice::Choice,
    clients::FaultsOfClients,
    environment::{Environment, Signal},
    level::Level,
    lines::JsonLines,
    metrics::Prometheus,
    repeats::Repeats,
};

/// What the exporters themselves do must not be traced, or it would never end.
const TRACED: &str = "info,hyper=off,hyper_util=off,h2=off,tonic=off,tower=off,reqwest=off,opentelemetry=off";

/// Keeps the exporters; dropping it flushes them.
///
/// It must be made and dropped outside of any async runtime: the exporters' HTTP client is a blocking one, and the gRPC
/// one has a runtime of its own, which is ended here.
pub(crate) struct Telemetry {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
    prometheus: Option<Prometheus>,
    level: Option<Level>,
    /// Where the gRPC exporters work; `None` where there are none.
    _exporting: Option<tokio::runtime::Runtime>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The OTLP exporter could not be made, say for a malformed endpoint.
    #[error(
        "OTLP exporter: a setting OTEL_EXPORTER_OTLP_… cannot be used, such as an endpoint that is no URL"
    )]
    Exporter,
    /// The page of metrics could not be made.
    #[error("metrics: {0}")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// Somebody installed a subscriber before.
    #[error("log subscriber: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    /// The thread of the gRPC exporters could not be started.
    #[error("the exporters' runtime: {0}")]
    Runtime(#[from] io::Error),
}

/// What it says of a setting may repeat it, and it may hold a password.
impl From<opentelemetry_otlp::ExporterBuildError> for TelemetryError {
    fn from(_: opentelemetry_otlp::ExporterBuildError) -> Self {
        Self::Exporter
    }
}

/// What is wanted besides logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing is exported or measured.
    LogsOnly,
    /// Logs, and whatever the environment asks for: a command that runs for a moment.
    Brief,
    /// Metrics to be read as well: a server.
    Server,
}

impl Telemetry {
    /// Starts logging, exporting where the environment asks for it, and measuring where `scope` does.
    pub(crate) fn start(config: &TelemetryConfig, scope: Scope) -> Result<Self, TelemetryError> {
        let environment = match scope {
            Scope::LogsOnly => Environment::empty(),
            Scope::Brief | Scope::Server => Environment::of_process(),
        };
        let exporting = environment.grpc().then(grpc_runtime).transpose()?;
        let _entered = exporting.as_ref().map(tokio::runtime::Runtime::enter);
        let repeats = Arc::new(Repeats::new(config.repeated_lines));
        let wanted = environment.exports(Signal::Traces);
        let tracer = wanted.then(|| traces::provider(&environment)).transpose()?;
        let (meter, prometheus) = metrics::provider(&environment, scope)?;
        let otel = tracer.as_ref().map(|(provider, _)| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("postrider"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(EnvFilter::new(TRACED))
        });
        let choice = Choice {
            clients: Arc::new(FaultsOfClients::at(&config.log)),
            repeats: Arc::clone(&repeats),
        };
        let (level, filter) = Level::new(&config.log, Arc::clone(&choice.clients));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = match config.format {
            LogFormat::Json => lines
                .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
                .event_format(choice.of(JsonLines::new(Arc::clone(&repeats))))
                .boxed(),
            LogFormat::Pretty => lines
                .with_target(false)
                .map_event_format(|lines| choice.told_after(lines))
                .boxed(),
        };
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(otel)
            .try_init()?;
        metrics::observe_telemetry(tracer.as_ref().map(|(_, counts)| counts), &repeats);
        Ok(Self {
            tracer: tracer.map(|(provider, _)| provider),
            meter,
            prometheus,
            level: Some(level),
            _exporting: exporting,
        })
    }

    /// The metrics to be read, if there are any.
    pub(crate) fn metrics_page(&self) -> Option<Arc<dyn MetricsPage>> {
        let prometheus = self.prometheus.clone()?;
        Some(Arc::new(prometheus))
    }

    /// Begins to measure the process and the runtime that this is called on, for whoever serves.
    pub(crate) fn observe_process(&self, database: &'static str) {
        if self.meter.is_some() {
            process::observe(database);
        }
    }

    /// What changes the level of logs.
    pub(crate) fn log_control(&self) -> Option<Arc<dyn LogControl>> {
        let level = self.level.clone()?;
        Some(Arc::new(level))
    }
}

/// How long sending what is left of each signal may take at the end.
const FLUSH: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Sends what is left, and ends, well within so long.
    pub(crate) fn flush(mut self, within: Duration) {
        self.end(FLUSH.min(within / 3));
    }

    fn end(&mut self, each: Duration) {
        // At the end there is nobody left to tell of a failure.
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.shutdown_with_timeout(each);
        }
        if let Some(meter) = self.meter.take() {
            let _ = meter.shutdown_with_timeout(each);
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.end(FLUSH);
    }
}

/// Where each exported signal goes, by its name. The URLs may hold credentials.
pub(crate) fn otlp_endpoints() -> Vec<(&'static str, String)> {
    Environment::of_process().endpoints()
}

/// One thread is plenty: the exporters send a batch at a time.
fn grpc_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("otlp-grpc")
        .enable_all()
        .build()
}
