//! The log of events as the database has it, and as the sink was told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::postgres::{Connection, Postgres, Row};
use crate::process;

const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Asks an SQLite file, and waits for whoever writes to it.
const ASK_SQLITE: &str = "import json, sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=20)
rows = base.execute(sys.argv[2]).fetchall()
base.commit()
print(json.dumps([[None if v is None else str(v) for v in row] for row in rows]))";

/// Asks the database of an installation beside its nodes.
#[derive(Debug)]
pub(super) enum Sql {
    /// The port, and the database's name.
    Postgres(u16, String),
    /// The file.
    Sqlite(PathBuf),
}

impl Sql {
    /// Of this installation's folder, or of its database on that server.
    pub(super) fn of(
        postgres: Option<&Postgres>,
        database: Option<&str>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let Some(server) = postgres else {
            return Ok(Self::Sqlite(folder.join("data").join("postrider.sqlite3")));
        };
        let port = server.port().context("a server of ours has a port")?;
        let database = database.context("the installation has no database")?;
        Ok(Self::Postgres(port, database.to_owned()))
    }

    pub(super) fn ask(&self, sql: &str) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Postgres(port, database) => Connection::open(*port, database)?.query(sql),
            Self::Sqlite(file) => {
                let mut command = Command::new("python3");
                command.args(["-c", ASK_SQLITE]).arg(file).arg(sql);
                let said =
                    process::capture(&mut command, ASK_LIMIT).context("the database is not answered for")?;
                Ok(serde_json::from_str(&said)?)
            }
        }
    }

    /// Text as the column of events' bodies wants it.
    fn json(&self, text: &str) -> String {
        match self {
            Self::Postgres(..) => format!("CAST('{text}' AS json)"),
            Self::Sqlite(_) => format!("'{text}'"),
        }
    }

    /// Writes an event that some release of the future might write about this aggregate.
    pub(super) fn append_unknown(&self, aggregate: &str, kind: &str) -> anyhow::Result<()> {
        let body = self.json(r#"{"v":999,"hologram":true}"#);
        let sql = format!(
            "INSERT INTO outbox_events (tenant, aggregate, version, kind, body, recorded_at)
             SELECT tenant, aggregate, version, '{kind}', {body}, recorded_at FROM outbox_events
             WHERE aggregate = '{aggregate}' ORDER BY pos DESC LIMIT 1"
        );
        self.ask(&sql).map(drop)
    }

    /// All that is kept, in order.
    pub(super) fn events(&self) -> anyhow::Result<BTreeMap<i64, Event>> {
        let rows = self.ask("SELECT pos, aggregate, kind FROM outbox_events ORDER BY pos")?;
        rows.into_iter().map(event).collect()
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) aggregate: String,
    pub(super) kind: String,
}

fn event(row: Row) -> anyhow::Result<(i64, Event)> {
    let [Some(position), Some(aggregate), Some(kind)] =
        <[Option<String>; 3]>::try_from(row).map_err(|row| anyhow::anyhow!("no event: {row:?}"))?
    else {
        anyhow::bail!("an event with a column that is null");
    };
    Ok((position.parse()?, Event { aggregate, kind }))
}

/// What the sink was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// In the order of the file, repeats included.
    lines: Vec<(i64, Event)>,
    /// Lines that a kill cut off.
    pub(super) halves: usize,
}

impl Told {
    /// Reads a sink's file; none if it is not there yet.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            let parsed = serde_json::from_str::<Value>(line).ok();
            let event = parsed.as_ref().and_then(|line| {
                let event = Event {
                    aggregate: line["aggregate"].as_str()?.to_owned(),
                    kind: line["kind"].as_str()?.to_owned(),
                };
                Some((line["position"].as_i64()?, event))
            });
            match event {
                Some(event) => told.lines.push(event),
                None => told.halves += 1,
            }
        }
        told
    }

    /// How often something came again.
    pub(super) fn repeats(&self) -> usize {
        let different: BTreeSet<i64> = self.lines.iter().map(|(position, _)| *position).collect();
        self.lines.len() - different.len()
    }

    /// Whether everything of the log is there, as it is there, nothing else, and each aggregate's first occurrences in
    /// the log's order.
    pub(super) fn judge(&self, log: &BTreeMap<i64, Event>, kills: usize) -> anyhow::Result<()> {
        let mut first: BTreeSet<i64> = BTreeSet::new();
        let mut last_of: BTreeMap<&str, i64> = BTreeMap::new();
        for (position, event) in &self.lines {
            let known = log.get(position);
            ensure!(
                known == Some(event),
                "position {position}: the sink was told of {event:?}, the log has {known:?}"
            );
            if !first.insert(*position) {
                continue;
            }
            let before = last_of.insert(&event.aggregate, *position);
            ensure!(
                before.is_none_or(|before| before < *position),
                "{}: {position} was told first after {before:?}",
                event.aggregate
            );
        }
        let lacks: Vec<i64> = log
            .keys()
            .filter(|position| !first.contains(position))
            .copied()
            .collect();
        ensure!(
            lacks.is_empty(),
            "the sink was never told of {} of {} events: {:?}",
            lacks.len(),
            log.len(),
            &lacks[..lacks.len().min(10)]
        );
        ensure!(
            self.halves <= kills,
            "{} lines are cut off by {kills} kills",
            self.halves
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[(i64, &str)]) -> BTreeMap<i64, Event> {
        let event = |aggregate: &str| Event {
            aggregate: aggregate.to_owned(),
            kind: "k".to_owned(),
        };
        events
            .iter()
            .map(|(position, aggregate)| (*position, event(aggregate)))
            .collect()
    }

    fn told(events: &[(i64, &str)]) -> Told {
        let line = |(position, aggregate): &(i64, &str)| {
            format!(r#"{{"position":{position},"aggregate":"{aggregate}","kind":"k"}}"#)
        };
        let lines: Vec<String> = events.iter().map(line).collect();
        Told::of(&lines.join("\n"))
    }

    #[test]
    fn repeats_are_no_fault_and_gaps_disorder_and_inventions_are() {
        let log = log(&[(1, "a"), (2, "b"), (3, "a")]);
        let good = told(&[(2, "b"), (1, "a"), (1, "a"), (3, "a"), (1, "a")]);
        good.judge(&log, 0).unwrap();
        assert_eq!(good.repeats(), 2);
        for (what, bad) in [
            ("never", told(&[(1, "a"), (3, "a")])),
            ("first after", told(&[(3, "a"), (1, "a"), (2, "b")])),
            ("the log has", told(&[(1, "a"), (2, "b"), (3, "a"), (4, "a")])),
            ("the log has", told(&[(1, "b"), (2, "b"), (3, "a")])),
        ] {
            let error = bad.judge(&log, 0).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_kill_may_cut_a_line_off() {
        let text = "{\"position\":1,\"aggr\n{\"position\":1,\"aggregate\":\"a\",\"kind\":\"k\"}\n";
        let told = Told::of(text);
        assert_eq!((told.lines.len(), told.halves), (1, 1));
        let log = log(&[(1, "a")]);
        told.judge(&log, 1).unwrap();
        told.judge(&log, 0).unwrap_err();
    }
}
