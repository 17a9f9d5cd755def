use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::Faults;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`: logs, on standard error. Traces and metrics are exported by OTLP where the standard
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryConfig {
    /// What to log: a level, or `tracing` directives such as `info,postrider_engine=debug`.
    pub(crate) log: String,
    /// `json` (default) or `pretty`.
    pub(crate) format: LogFormat,
    /// The most lines that one place in the code may log in ten seconds; what it says beyond is counted, and told with
    /// its next line. 0: no bound.
    pub(crate) repeated_lines: u32,
    /// How many tenants have a label of their own in the counters of messages and attempts; the others share `other`.
    /// At most 1,000. 0 (default): there is no such label.
    pub(crate) tenant_labels: usize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".into(),
            format: LogFormat::Json,
            repeated_lines: 20,
            tenant_labels: 0,
        }
    }
}

impl TelemetryConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if EnvFilter::try_new(&self.log).is_err() {
            faults.push("telemetry.log", "must be a level or a list of tracing directives");
        }
        faults.range("telemetry.repeated_lines", self.repeated_lines, 0..=1_000_000);
        faults.range("telemetry.tenant_labels", self.tenant_labels, 0..=1_000);
    }
}
