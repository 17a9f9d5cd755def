use std::{path::PathBuf, time::Duration};

use postrider_api::composition::{JsonLinesTarget, RelayOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// Where the installation's events go besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SinkKind {
    /// Nowhere.
    Off,
    /// To standard output, one JSON object a line.
    Stdout,
    /// To a file, one JSON object a line.
    File,
}

/// `[events]`: the log of what happened to tenants, people, applications and endpoints, and who hears of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventsConfig {
    /// `off` (default), `stdout` or `file`: every event of the log as one JSON object a line, in commit order, each at
    /// least once, without secrets. One node at a time writes them: where there are several, their sinks are set alike.
    /// Switched on, it begins with the oldest event that is kept; switched off for longer than a week, it loses its place.
    pub(crate) sink: SinkKind,
    /// The file, for `file`. It is appended to and synced to disk before an event counts as written; it is opened anew
    /// each time, so that it may be rotated. When it cannot be written, events wait, and it is tried again.
    pub(crate) sink_path: Option<PathBuf>,
    /// How often a subscriber may refuse an event before the event is set aside, and later ones of the same aggregate
    /// with it; the operator can have it delivered again.
    pub(crate) max_attempts: u32,
    /// The most events that are set aside for one subscriber; then it stands still until some are delivered.
    pub(crate) max_set_aside: u64,
    /// How often the log is looked at when nothing says that it has grown.
    pub(crate) poll_interval_ms: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        let options = RelayOptions::default();
        Self {
            sink: SinkKind::Off,
            sink_path: None,
            max_attempts: options.max_attempts,
            max_set_aside: options.max_set_aside,
            poll_interval_ms: 5_000,
        }
    }
}

impl EventsConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if (self.sink == SinkKind::File) != self.sink_path.is_some() {
            faults.push(
                "events.sink_path",
                "must be given exactly if `events.sink` is `file`",
            );
        }
        faults.range("events.max_attempts", self.max_attempts, 1..=1_000);
        faults.range("events.max_set_aside", self.max_set_aside, 1..=1_000_000);
        faults.range("events.poll_interval_ms", self.poll_interval_ms, 100..=60_000);
    }

    /// Of the relay.
    pub(crate) fn options(&self) -> RelayOptions {
        RelayOptions {
            poll_interval: Duration::from_millis(self.poll_interval_ms),
            max_attempts: self.max_attempts,
            max_set_aside: self.max_set_aside,
            ..RelayOptions::default()
        }
    }

    /// Of the sink.
    pub(crate) fn target(&self) -> Option<JsonLinesTarget> {
        match self.sink {
            SinkKind::Off => None,
            SinkKind::Stdout => Some(JsonLinesTarget::Stdout),
            SinkKind::File => self.sink_path.clone().map(JsonLinesTarget::File),
        }
    }
}
