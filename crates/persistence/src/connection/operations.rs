//! How long statements and transactions take, by the name of what they do; the wait for a connection is a part of it.

use std::{collections::HashMap, panic::Location, sync::Arc, time::Instant};

use opentelemetry::{KeyValue, global, metrics::Histogram};

use super::Dialect;

/// What each part of this crate does in the database, in words that stay when files are moved: whoever opens a scope is
/// known by its file. There are as many names as here, and none of them holds anything of a statement.
const NAMES: [(&str, &str); 44] = [
    ("answers", "command.answer"),
    ("applications", "applications.look"),
    ("audit/list", "audit.look"),
    ("backlog", "backlog.look"),
    ("bell", "queue.ring"),
    ("deliveries/claim", "queue.claim"),
    ("deliveries/list", "deliveries.look"),
    ("deliveries/queue", "queue.look"),
    ("deliveries/settle_postgres", "queue.settle"),
    ("deliveries/settle_sqlite", "queue.settle"),
    ("deliveries/views", "deliveries.look"),
    ("endpoints/material", "delivery.endpoints"),
    ("endpoints/views", "endpoints.look"),
    ("event_log", "events.read"),
    ("event_types/schemas", "event_types.look"),
    ("event_types/views", "event_types.look"),
    ("export", "tenant.export"),
    ("figures", "figures"),
    ("health", "endpoints.failing"),
    ("housekeeping", "housekeeping"),
    ("housekeeping/erasure", "tenant.erase"),
    ("housekeeping/erasure/progress", "tenant.erase"),
    ("installation", "installation"),
    ("messages/intake", "housekeeping"),
    ("messages/intake/postgres", "messages.accept"),
    ("messages/intake/sqlite", "messages.accept"),
    ("messages/list", "messages.look"),
    ("messages/material", "delivery.messages"),
    ("messages/views", "messages.look"),
    ("nodes", "nodes.lease"),
    ("partitions", "partitions.make"),
    ("reencryption", "secrets.reencrypt"),
    ("relay/cursors", "relay.cursors"),
    ("relay/listeners", "relay.listeners"),
    ("relay/sight", "relay.sight"),
    ("replays/steps", "replays.step"),
    ("replays/views", "replays.look"),
    ("retention", "retention"),
    ("retention/days", "retention"),
    ("retention/rows", "retention"),
    // Units of work, from the first statement to the last.
    ("store", "command"),
    ("tenants", "tenants.look"),
    ("users/identities", "identity.look"),
    ("users/views", "users.look"),
];

/// Of these nobody asked: the commands of an operator, and tests.
const OTHER: &str = "other";

/// Measures what is done in one database.
pub(crate) struct Operations {
    duration: Histogram<f64>,
    /// By file.
    labels: HashMap<&'static str, [KeyValue; 2]>,
    other: [KeyValue; 2],
}

impl Operations {
    pub(super) fn new(dialect: Dialect) -> Arc<Self> {
        let system = match dialect {
            Dialect::Postgres => "postgresql",
            Dialect::Sqlite => "sqlite",
        };
        let labels = |name: &'static str| {
            [
                KeyValue::new("db.system.name", system),
                KeyValue::new("db.operation.name", name),
            ]
        };
        let duration = global::meter("postrider")
            .f64_histogram("db.client.operation.duration")
            .with_unit("s")
            .with_description(
                "How long statements and transactions take, from the wait for a connection to the end, by the name of \
                 what they do",
            )
            .build();
        Arc::new(Self {
            duration,
            labels: NAMES.iter().map(|(file, name)| (*file, labels(name))).collect(),
            other: labels(OTHER),
        })
    }

    /// Something begins that is done by the file of `caller`.
    pub(super) fn begin(self: &Arc<Self>, caller: &'static Location<'static>) -> Operation {
        #[expect(
            clippy::disallowed_methods,
            reason = "the database knows no clock of the domain, and time that a test passes is none that it took"
        )]
        let started = Instant::now();
        Operation {
            of: Arc::clone(self),
            file: module(caller.file()),
            started,
        }
    }
}

/// `crates/persistence/src/deliveries/claim.rs` is `deliveries/claim`.
fn module(file: &'static str) -> &'static str {
    let own = file
        .rsplit_once("persistence/src/")
        .map_or("", |(_, own)| own.trim_end_matches(".rs"));
    own.strip_suffix("/mod").unwrap_or(own)
}

/// Something under way; it ends when this is dropped, whatever came of it.
pub(crate) struct Operation {
    of: Arc<Operations>,
    file: &'static str,
    started: Instant,
}

impl Drop for Operation {
    fn drop(&mut self) {
        let labels = self.of.labels.get(self.file).unwrap_or(&self.of.other);
        self.of
            .duration
            .record(self.started.elapsed().as_secs_f64(), labels);
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Operation").field(&self.file).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// How a scope is opened, or a connection taken.
    const OPENS: [&str; 5] = [
        ".read(Scope::",
        ".begin(Scope::",
        "database.begin(scope",
        "database.read(scope",
        ".engine()",
    ];

    fn opening(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                opening(&path, root, found);
                continue;
            }
            let text: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
            let opens = OPENS.iter().any(|opens| text.contains(opens)) || text.contains(".operation()");
            if opens && !path.starts_with(root.join("connection")) {
                let file = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                let file = file.trim_end_matches(".rs");
                found.insert(file.strip_suffix("/mod").unwrap_or(file).to_owned());
            }
        }
    }

    #[test]
    fn every_file_that_opens_a_scope_has_a_name_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        opening(&root, &root, &mut found);
        let named: BTreeSet<String> = NAMES.iter().map(|(file, _)| (*file).to_owned()).collect();
        assert_eq!(found, named);
    }

    #[test]
    fn a_file_is_known_by_its_module() {
        for (file, expected) in [
            ("crates/persistence/src/deliveries/claim.rs", "deliveries/claim"),
            ("/a/crates/persistence/src/export/mod.rs", "export"),
            ("crates/persistence/tests/contract.rs", ""),
        ] {
            assert_eq!(module(file), expected);
        }
    }
}
