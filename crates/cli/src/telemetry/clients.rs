//! What is left out of the log because it is no fault of ours.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing::{
    Event, Level, Metadata,
    field::{Field, Visit},
};
use tracing_subscriber::filter::Targets;

/// What clients do wrong: one that sends no HTTP has its 400, or its connection closed, and that is no error of ours, though
/// the server's library says so as one. Such lines count as of the level `debug`, and are written if that is asked for at
/// their place. Everything else that is said there, such as what fails of our answers, stays what it is.
#[derive(Debug)]
pub(super) struct FaultsOfClients {
    wanted: AtomicBool,
}

/// Where it is said.
pub(super) const PLACE: &str = "actix_http::h1::dispatcher";
/// How it is said: what came in cannot be read, did not come in time, or is left behind unread.
const OF_REQUESTS: [&str; 4] = [
    "stream error: request parse error: ",
    "stream error: request did not complete within",
    "stream error: connection shutdown timeout",
    "stream error: handler dropped payload before reading EOF",
];
/// How it is said that a connection broke, and what then follows if it was the other side, or we at our own time-out.
const OF_CONNECTIONS: &str = "stream error: I/O error: ";
const BROKEN: [&str; 5] = [
    "Connection reset by peer",
    "Broken pipe",
    "Connection timed out",
    "Transport endpoint is not connected",
    "Socket not connected",
];

impl FaultsOfClients {
    /// As the level `directives` have it.
    pub(super) fn at(directives: &str) -> Self {
        Self {
            wanted: AtomicBool::new(are_wanted(directives)),
        }
    }

    /// Other directives are in force from now on.
    pub(super) fn follow(&self, directives: &str) {
        self.wanted.store(are_wanted(directives), Ordering::Relaxed);
    }

    /// Whether this is one, and not to be written.
    pub(super) fn hide(&self, event: &Event<'_>) -> bool {
        is_place(event.metadata()) && !self.wanted.load(Ordering::Relaxed) && is_of_client(event)
    }
}

fn is_place(metadata: &Metadata<'_>) -> bool {
    metadata.target() == PLACE
}

fn are_wanted(directives: &str) -> bool {
    // Those of spans say nothing of this place.
    let of_places: Vec<&str> = directives
        .split(',')
        .filter(|directive| !directive.contains(['[', ']', '{', '}']))
        .collect();
    let targets = of_places.join(",").parse::<Targets>();
    targets.is_ok_and(|targets| targets.would_enable(PLACE, &Level::DEBUG))
}

/// Whether it is about what came in, or about a connection that broke, as its message says it.
fn is_of_client(event: &Event<'_>) -> bool {
    struct Said(bool);

    impl Visit for Said {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                let said = format!("{value:?}");
                let of_connection = said
                    .strip_prefix(OF_CONNECTIONS)
                    .is_some_and(|error| BROKEN.iter().any(|broken| error.starts_with(broken)));
                self.0 = of_connection || OF_REQUESTS.iter().any(|beginning| said.starts_with(beginning));
            }
        }
    }

    let mut said = Said(false);
    event.record(&mut said);
    said.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_clients_are_of_the_level_debug() {
        for hidden in [
            "info",
            "debug,actix_http=info",
            "info,[span{field=1}]=debug",
            "off",
        ] {
            assert!(!are_wanted(hidden), "{hidden}");
        }
        for shown in [
            "debug",
            "trace",
            "info,actix_http=debug",
            "info,actix_http::h1=trace",
        ] {
            assert!(are_wanted(shown), "{shown}");
        }
        let faults = FaultsOfClients::at("info");
        faults.follow("debug");
        assert!(faults.wanted.load(Ordering::Relaxed));
    }
}
