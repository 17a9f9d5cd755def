//! What the standard variables ask for
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::env;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// How many spans are sent together, unless it is said otherwise, as the specification has it.
const SPANS_IN_A_BATCH: usize = 512;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }
}

/// The variables, by a function, so that tests have their own.
pub(super) struct Environment {
    variable: fn(&str) -> Option<String>,
}

impl Environment {
    /// Those of this process. Empty ones count as unset, as the specification has it.
    pub(super) const fn of_process() -> Self {
        Self {
            variable: |name| env::var(name).ok(),
        }
    }

    /// Without any: nothing is asked for.
    pub(super) const fn empty() -> Self {
        Self { variable: |_| None }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether `signal` goes to an OTLP endpoint: one was named, and nobody switched it off.
    pub(super) fn exports(&self, signal: Signal) -> bool {
        let off = self
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let name = signal.name();
        let exporter = self.get(&format!("OTEL_{name}_EXPORTER"));
        let endpoint = self.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
            || self.get(&format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT")).is_some();
        !off && exporter.as_deref().is_none_or(|kind| kind == "otlp") && endpoint
    }

    /// Whether any signal goes by gRPC, which needs a runtime.
    pub(super) fn grpc(&self) -> bool {
        [Signal::Traces, Signal::Metrics].into_iter().any(|signal| {
            let own = self.get(&format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", signal.name()));
            let protocol = own.or_else(|| self.get("OTEL_EXPORTER_OTLP_PROTOCOL"));
            self.exports(signal) && protocol.as_deref() == Some("grpc")
        })
    }

    /// Where each exported signal goes.
    pub(super) fn endpoints(&self) -> Vec<(&'static str, String)> {
        [Signal::Traces, Signal::Metrics]
            .into_iter()
            .filter(|signal| self.exports(*signal))
            .filter_map(|signal| {
                let own = self.get(&format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name()));
                let endpoint = own.or_else(|| self.get("OTEL_EXPORTER_OTLP_ENDPOINT"))?;
                Some((
                    match signal {
                        Signal::Traces => "traces",
                        Signal::Metrics => "metrics",
                    },
                    endpoint,
                ))
            })
            .collect()
    }

    /// How many ended spans may wait to be sent, and how many of them are sent together. 0 would lose all of them, and is no
    /// number that anybody means: it counts as unset.
    pub(super) fn spans_waiting(&self) -> (usize, usize) {
        let most = |name: &str, default: usize| {
            let told = self.get(name).and_then(|size| size.trim().parse().ok());
            told.filter(|size| *size > 0).unwrap_or(default)
        };
        let queue = most(
            "OTEL_BSP_MAX_QUEUE_SIZE",
            opentelemetry_sdk::trace::OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT,
        );
        let batch = most("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", SPANS_IN_A_BATCH);
        (queue, batch.min(queue))
    }

    /// Who it is that tells.
    pub(super) fn resource(&self) -> Resource {
        let builder =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if self.get("OTEL_SERVICE_NAME").is_some() {
            builder.build()
        } else {
            builder.with_service_name("postrider").build()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: fn(&str) -> Option<String>) -> Environment {
        Environment { variable }
    }

    #[test]
    fn an_endpoint_exports_both_unless_one_is_switched_off() {
        let environment = with(|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4318".into()),
            "OTEL_METRICS_EXPORTER" => Some("none".into()),
            _ => None,
        });
        assert!(environment.exports(Signal::Traces));
        assert!(!environment.exports(Signal::Metrics));
        assert!(!environment.grpc());
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint_or_with_an_empty_one() {
        assert!(!with(|_| None).exports(Signal::Traces));
        let empty = with(|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(String::new));
        assert!(!empty.exports(Signal::Traces));
    }

    #[test]
    fn the_sdk_can_be_switched_off_as_a_whole() {
        let off = with(|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4318".into()),
            "OTEL_SDK_DISABLED" => Some("TRUE".into()),
            _ => None,
        });
        assert!(!off.exports(Signal::Traces) && !off.exports(Signal::Metrics));
    }

    #[test]
    fn grpc_is_what_the_protocol_of_an_exported_signal_says() {
        let traces = with(|name| match name {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://collector:4317".into()),
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" => Some("grpc".into()),
            _ => None,
        });
        assert!(traces.grpc());
        let metrics = with(|name| match name {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://collector:4317".into()),
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL" => Some("grpc".into()),
            _ => None,
        });
        assert!(!metrics.grpc(), "metrics are not exported");
    }

    #[test]
    fn a_queue_without_room_is_none_that_anybody_wants() {
        assert_eq!(with(|_| None).spans_waiting(), (2_048, 512));
        let none = with(|name| name.starts_with("OTEL_BSP_MAX").then(|| "0".into()));
        assert_eq!(none.spans_waiting(), (2_048, 512));
        let few = with(|name| (name == "OTEL_BSP_MAX_QUEUE_SIZE").then(|| "64".into()));
        assert_eq!(few.spans_waiting(), (64, 64));
    }
}
