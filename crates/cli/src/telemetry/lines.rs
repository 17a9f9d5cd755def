//! How a log line looks: one JSON object with the event's fields, the trace that it belongs to, and whom the spans
//! around it are about.

use std::{fmt, sync::Arc};

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use super::repeats::Repeats;

/// The fields of spans that lines repeat: ids, never contents. What the spans hold besides, the traces show.
const TOLD: [&str; 11] = [
    "request_id",
    "use_case",
    "tenant",
    "principal",
    "application",
    "message",
    "endpoint",
    "attempt",
    "replay",
    "subscriber",
    "chore",
];

/// Writes lines.
pub(super) struct JsonLines {
    repeats: Arc<Repeats>,
}

impl JsonLines {
    pub(super) const fn new(repeats: Arc<Repeats>) -> Self {
        Self { repeats }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.insert("timestamp".into(), time.into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        event.record(&mut Fields(&mut line));
        // The innermost span says it best, so outer ones change nothing of what is there.
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Value::Object(fields)) = fields.and_then(|fields| serde_json::from_str(fields).ok()) {
                for name in TOLD {
                    if let Some(value) = fields.get(name).filter(|value| !is_empty(value)) {
                        line.entry(name).or_insert_with(|| value.clone());
                    }
                }
            }
        }
        let current = opentelemetry::Context::current();
        let span = current.span();
        let span = span.span_context();
        if span.is_valid() {
            line.insert("trace_id".into(), span.trace_id().to_string().into());
            line.insert("span_id".into(), span.span_id().to_string().into());
        }
        if let Some(kept_back) = self.repeats.kept_back(&metadata.callsite()) {
            line.insert("suppressed".into(), kept_back.into());
        }
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// Puts the fields of an event into a line.
struct Fields<'l>(&'l mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        // What the `log` crate's records carry besides their text is in the line's own fields.
        if !field.name().starts_with("log.") {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{super::written::Written, *};

    /// The lines that `say` makes, with traces.
    fn lines(say: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(written.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new(Arc::new(Repeats::new(0))));
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer).with(traces);
        tracing::subscriber::with_default(subscriber, say);
        written
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_tells_its_trace_and_whom_it_is_about() {
        let lines = lines(|| {
            let request = tracing::info_span!(
                "request",
                request_id = "req_1",
                tenant = "ten_1",
                user_agent.original = "curl"
            );
            let _request = request.enter();
            let case = tracing::info_span!(
                "use_case",
                use_case = "messages.publish",
                tenant = tracing::field::Empty
            );
            let _case = case.enter();
            tracing::warn!(rows = 3, "the database\nis \"away\"");
        });
        let line = &lines[0];
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "the database\nis \"away\"");
        assert_eq!((&line["rows"], &line["tenant"]), (&3.into(), &"ten_1".into()));
        assert_eq!(line["use_case"], "messages.publish");
        assert_eq!(line["request_id"], "req_1");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
        assert!(line.get("user_agent.original").is_none());
    }

    #[test]
    fn outside_of_spans_there_is_neither_trace_nor_whom() {
        let lines = lines(|| tracing::info!("started"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].get("trace_id").is_none() && lines[0].get("tenant").is_none());
    }
}
