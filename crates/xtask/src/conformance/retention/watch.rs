//! Who holds which lock for how long, and who waits, looked at many times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::postgres::{Connection, Row};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// As `application_name` of whoever deletes row by row.
pub(super) const COMPARED: &str = "retention-compared";

/// Locks of tables and partitions of history, and every wait of anybody. The product's retention is known by its
/// advisory lock.
const LOOK: &str = "
with ours as (
    select pid from pg_locks where locktype = 'advisory' and classid = 28783 and objid = 1936982043 and granted
    union select pid from pg_stat_activity where application_name = 'retention-compared')
select l.pid, coalesce(c.relname, l.locktype), l.mode, l.granted, l.pid in (select pid from ours),
    case when l.granted then '' else array_to_string(pg_blocking_pids(l.pid), ',') end
from pg_locks l join pg_stat_activity a on a.pid = l.pid and a.datname = current_database()
    left join pg_class c on c.oid = l.relation
where not l.granted
    or (c.relkind in ('r', 'p') and c.relname ~ '^(messages|payloads|deliveries|attempts)(_p[0-9]+)?$'
        and l.mode <> 'AccessShareLock' and (l.mode <> 'RowExclusiveLock' or l.pid in (select pid from ours)))";

/// What a lock is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Table,
    Partition,
    Transaction,
    Other,
}

impl On {
    fn of(object: &str) -> Self {
        const TABLES: [&str; 4] = ["messages", "payloads", "deliveries", "attempts"];
        match object {
            table if TABLES.contains(&table) => Self::Table,
            "virtualxid" | "transactionid" => Self::Transaction,
            part if TABLES.iter().any(|table| part.starts_with(&format!("{table}_p"))) => Self::Partition,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Partition => "partition",
            Self::Transaction => "end of a transaction",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lock {
    ours: bool,
    on: On,
    mode: String,
    granted: bool,
}

/// One session's lock, as long as it is seen in each look.
type Seen = (String, String, Lock);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Watched {
    looks: u64,
    longest: BTreeMap<Lock, Duration>,
    open: BTreeMap<Seen, Instant>,
    /// Longest wait of somebody for the one that is watched.
    pub(super) behind: Duration,
}

impl Watched {
    fn look(&mut self, rows: &[Row], now: Instant) {
        self.looks += 1;
        let text = |row: &Row, at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        let ours: BTreeSet<String> = rows
            .iter()
            .filter(|row| text(row, 4) == "t")
            .map(|row| text(row, 0))
            .collect();
        let mut still = BTreeMap::new();
        for row in rows {
            let (pid, object) = (text(row, 0), text(row, 1));
            let lock = Lock {
                ours: ours.contains(&pid),
                on: On::of(&object),
                mode: text(row, 2),
                granted: text(row, 3) == "t",
            };
            let waits_for_ours = !lock.ours && text(row, 5).split(',').any(|pid| ours.contains(pid));
            let key = (pid, object, lock.clone());
            let since = self.open.get(&key).copied().unwrap_or(now);
            let long = now.duration_since(since);
            let longest = self.longest.entry(lock).or_default();
            *longest = (*longest).max(long);
            if waits_for_ours {
                // It was seen once, so it waited for some time.
                self.behind = self.behind.max(long.max(Duration::from_millis(1)));
            }
            still.insert(key, since);
        }
        self.open = still;
    }

    /// Whether the one that is watched was seen at all: if not, nothing was looked at.
    pub(super) fn saw_it(&self) -> bool {
        self.longest.keys().any(|lock| lock.ours)
    }

    /// The longest that the one that is watched waited for a lock or a transaction, at a stretch.
    pub(super) fn waited(&self) -> Duration {
        let waits = self.longest.iter().filter(|(lock, _)| lock.ours && !lock.granted);
        waits.map(|(_, long)| *long).max().unwrap_or_default()
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  locks, seen in {} looks, longest at a stretch:", self.looks)?;
        for (lock, long) in &self.longest {
            write!(
                f,
                "\n    {:<8} {:<6} {:<26} on {:<20} {:>8.0} ms",
                if lock.ours { "it" } else { "others" },
                if lock.granted { "held" } else { "waited" },
                lock.mode,
                lock.on.name(),
                long.as_secs_f64() * 1e3
            )?;
        }
        write!(
            f,
            "\n    anybody behind it: {:.0} ms",
            self.behind.as_secs_f64() * 1e3
        )
    }
}

/// Looks until it is told to stop.
pub(super) fn watch(port: u16, database: &str, stop: &AtomicBool) -> anyhow::Result<Watched> {
    let mut connection = Connection::open(port, database)?;
    let mut watched = Watched::default();
    while !stop.load(Ordering::Relaxed) {
        let rows = connection.query(LOOK)?;
        watched.look(&rows, Instant::now());
        thread::sleep(PAUSE);
    }
    Ok(watched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: &str, object: &str, mode: &str, (granted, ours): (bool, bool), behind: &str) -> Row {
        let flag = |yes: bool| if yes { "t" } else { "f" };
        [pid, object, mode, flag(granted), flag(ours), behind]
            .map(|text| Some(text.to_owned()))
            .to_vec()
    }

    #[test]
    fn what_is_seen_without_a_break_is_one_stretch() {
        let mut watched = Watched::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let waits = [
            row("1", "virtualxid", "ShareLock", (false, true), "9"),
            row("2", "messages", "AccessShareLock", (false, false), "1"),
        ];
        watched.look(&waits, at(0));
        watched.look(&waits, at(100));
        watched.look(&[], at(200));
        watched.look(&waits[..1], at(300));
        watched.look(&waits[..1], at(350));
        assert_eq!(watched.waited(), Duration::from_millis(100));
        assert_eq!(watched.behind, Duration::from_millis(100));
        assert!(watched.saw_it());
        let mut others = Watched::default();
        others.look(&waits[1..], at(0));
        assert!(!others.saw_it() && others.behind.is_zero());
        let said = watched.to_string();
        assert!(
            said.contains("end of a transaction") && said.contains("5 looks"),
            "{said}"
        );
    }

    #[test]
    fn retention_is_known_by_its_advisory_lock() {
        assert_eq!((28_783_u64 << 32) | 0x7374_001b, 0x706f_7374_001b);
        assert!(LOOK.contains(COMPARED));
    }
}
