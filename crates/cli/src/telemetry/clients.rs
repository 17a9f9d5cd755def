//! What is left out of the log because it is no fault of ours.

use std::fmt;

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Leaves out what clients do wrong: one that sends no HTTP has its 400, or its connection closed, and that is no error
/// of ours, though the server's library says so as one. What fails of our answers it says at the same place, and that
/// stays.
///
/// It stands at the writing of a line: a filter of a layer that looks at an event's fields disturbs the others.
pub(super) struct NotOfClients<F> {
    lines: F,
    /// Whether somebody asked for it by name.
    wanted: bool,
}

/// Where it is said.
const OF_CLIENTS: &str = "actix_http::h1::dispatcher";

impl<F> NotOfClients<F> {
    pub(super) fn unless_named_in(directives: &str, lines: F) -> Self {
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

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

    use super::*;

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
