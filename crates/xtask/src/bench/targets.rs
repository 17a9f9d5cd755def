//! What was hoped for: reported, never a reason to fail.

use std::fmt;

use serde::Serialize;

use super::peer;
use super::results::Results;
use super::scenarios::GROWTH;
use crate::product::Database;

/// One hope, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Target {
    pub(super) database: &'static str,
    pub(super) what: String,
    pub(super) value: f64,
    /// The bound.
    pub(super) wanted: f64,
    /// Whether the value is to be at least the bound, or at most.
    pub(super) at_least: bool,
    pub(super) met: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (met, sign) = (
            if self.met { "met   " } else { "missed" },
            if self.at_least { ">=" } else { "<=" },
        );
        write!(
            f,
            "{met} {:<10} {:<66} {:>10.2} {sign} {:.2}",
            self.database, self.what, self.value, self.wanted
        )
    }
}

/// Collects targets of one database.
struct Hopes<'a> {
    results: &'a Results,
    database: Database,
    list: Vec<Target>,
}

/// Judges everything that was measured; what was not is left out.
pub(super) fn judge(results: &Results) -> Vec<Target> {
    Database::ALL
        .into_iter()
        .rev()
        .flat_map(|database| {
            let mut hopes = Hopes {
                results,
                database,
                list: Vec::new(),
            };
            hopes.against_the_peer();
            hopes.against_the_limits();
            hopes.resources();
            hopes.list
        })
        .collect()
}

impl Hopes<'_> {
    fn push(&mut self, what: &str, value: Option<f64>, at_least: bool, wanted: f64) {
        let Some(value) = value else { return };
        self.list.push(Target {
            database: self.database.name(),
            what: what.to_owned(),
            value,
            wanted,
            at_least,
            met: if at_least {
                value >= wanted
            } else {
                value <= wanted
            },
        });
    }

    fn at_least(&mut self, what: &str, value: Option<f64>, wanted: f64) {
        self.push(what, value, true, wanted);
    }

    fn at_most(&mut self, what: &str, value: Option<f64>, wanted: f64) {
        self.push(what, value, false, wanted);
    }

    fn against_the_peer(&mut self) {
        let (results, database) = (self.results, self.database);
        let find = |name| results.find(name, database);
        let rate = |name, peers: f64| find(name).map(|one| one.delivered_per_s / peers);
        let (one, five, single) = (
            rate("one", peer::ONE_ENDPOINT_PER_S),
            rate("five", peer::FIVE_ENDPOINTS_PER_S),
            rate("one-single", peer::SINGLE_CLIENT_PER_S),
        );
        let peers_cpu = peer::SERVER_CPU_US + peer::DATABASE_CPU_US;
        let cpu = find("one").and_then(|one| Some(peers_cpu / one.cpu_us.product()?));
        let p99 = find("open500").map(|open| open.median_p99_us / peer::OPEN_P99_US);
        let p50 = find("open500").map(|open| open.median_p50_us / peer::OPEN_P50_US);
        self.at_least(
            "messages delivered to 1 endpoint, in those of the peer",
            one,
            12.0,
        );
        self.at_least(
            "messages delivered to 5 endpoints, in those of the peer",
            five,
            12.0,
        );
        self.at_least("the peer's CPU a message (server + database), in ours", cpu, 12.0);
        self.at_most("p99 at 500/s, in the peer's", p99, 0.5);
        self.at_most("p50 at 500/s, in the peer's", p50, 1.0);
        self.at_least("messages from a single client, in those of the peer", single, 1.0);
    }

    fn against_the_limits(&mut self) {
        let (results, database) = (self.results, self.database);
        let find = |name| results.find(name, database);
        let both = |ours, limit| find(ours).zip(find(limit));
        let rate =
            both("accept", "limit-plain").map(|(ours, plain)| ours.accepted_per_s / plain.accepted_per_s);
        let cpu = both("accept", "limit-plain")
            .and_then(|(ours, plain)| Some(plain.cpu_us.product()? / ours.cpu_us.product()?));
        let single = both("accept-single", "limit-plain-single")
            .map(|(ours, plain)| ours.accepted_per_s / plain.accepted_per_s);
        let share = both("limit-discard", "limit-batches")
            .zip(find("accept"))
            .and_then(|((discard, batches), ours)| {
                // Where the database is embedded, what drives it is the database.
                let stored = match database {
                    Database::Postgres => batches.cpu_us.database?,
                    Database::Sqlite => batches.cpu_us.server,
                };
                Some((discard.cpu_us.server + stored) / ours.cpu_us.product()?)
            });
        self.at_least(
            "accepted messages, in those of plain transactions (iv)",
            rate,
            6.0,
        );
        let wanted = if database == Database::Sqlite { 8.0 } else { 1.0 };
        self.at_least(
            "CPU of plain transactions (iv), in that of accepting",
            cpu,
            wanted,
        );
        self.at_least(
            "accepted from a single client, in plain transactions (iv)",
            single,
            1.0,
        );
        self.at_least(
            "CPU of not storing (i) + of batches (ii), in that of accepting",
            share,
            0.6,
        );
    }

    fn resources(&mut self) {
        let (results, database) = (self.results, self.database);
        let find = |name| results.find(name, database);
        let fact = |name| results.fact(name, database);
        let p99 = |name| find(name).map(|open| open.median_p99_us);
        let calm = p99("open-half")
            .zip(p99("open-tenth"))
            .map(|(half, tenth)| half / tenth);
        let fair = p99("slow-with")
            .zip(p99("slow-without"))
            .map(|(with, without)| with / without);
        let wal = find("one").map(|one| one.wal_bytes).filter(|wal| *wal > 0.0);
        let (busy, idle) = (
            fact("MB under full load at most"),
            fact("MB when idle after the start"),
        );
        let flat = fact(GROWTH);
        self.at_most("p99 at half the highest rate, in that at a tenth", calm, 4.0);
        self.at_most("p99 beside a slow endpoint, in that without", fair, 1.2);
        self.at_most("bytes of write-ahead log a message, 1 endpoint", wal, 4_096.0);
        self.at_most("MB of memory under full load", busy, 100.0);
        self.at_most("MB of memory when idle", idle, 40.0);
        let (free, keyed) = (
            fact("cost a message among many, in that among few, no keys"),
            fact("cost a message among many, in that among few, keys"),
        );
        let (claim, held) = (
            fact("backlog: claim, last tenth in first"),
            fact("backlog, old snapshot: claim, last tenth in first"),
        );
        self.at_most(
            "cost a message among many, in that among few, without keys",
            free,
            1.15,
        );
        self.at_most(
            "cost a message among many, in that among few, with keys",
            keyed,
            1.15,
        );
        self.at_most("claiming the last tenth of a backlog, in the first", claim, 1.1);
        self.at_most("the same while an old snapshot is held", held, 1.1);
        self.at_most(GROWTH, flat, 1.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::machine::Machine;
    use crate::bench::measure::{Cpu, Measured};

    #[test]
    fn what_was_measured_is_judged_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::new(Machine::look(folder.path(), None).unwrap(), 1.0);
        let measured = Measured {
            delivered_per_s: 13_000.0,
            cpu_us: Cpu {
                server: 100.0,
                database: Some(100.0),
                ..Cpu::default()
            },
            ..Measured::default()
        };
        let mut unseen = measured.clone();
        unseen.cpu_us.database = None;
        results.keep("one", Database::Sqlite, measured);
        results.keep("one", Database::Postgres, unseen);
        results.note("MB when idle after the start", Database::Postgres, 39.0);
        let targets = judge(&results);
        let told: Vec<_> = targets
            .iter()
            .map(|target| (target.database, target.met))
            .collect();
        // What the database cost is not known of PostgreSQL here: the rate is judged, the CPU is not.
        assert_eq!(
            told,
            [
                ("PostgreSQL", true),
                ("PostgreSQL", true),
                ("SQLite", true),
                ("SQLite", false)
            ]
        );
        assert!(targets[2].to_string().starts_with("met    SQLite"));
        assert!((targets[3].value - 8.6).abs() < 1e-9);
    }
}
