//! History on PostgreSQL is partitioned by time: a partition holds the rows of the messages of a day (UTC).
//!
//! A message's id is a UUIDv7, whose first 48 bits are the milliseconds since the Unix epoch, and PostgreSQL compares
//! ids byte by byte. So the least id of a day is those 48 bits followed by zeros, and all tables of history are cut at
//! the same ids. A partition is named after its last day.
//!
//! The first partition has no lower bound: whatever is older than the installation (a clock that was set back, rows
//! that were brought in) is kept there, rather than refused. There are no gaps: a partition begins where the one before
//! it ends, even if none were made for a month. There is no partition for what is later than the last; such a row is
//! refused, for otherwise it would be in the way of the partition that it belongs to.
//!
//! Partitions are reached through their table only, whose rights and policies are the ones that hold. They have none
//! themselves, and row-level security without a policy lets nobody through, their owner included.

use time::Date;

/// The tables of history, and the column that holds the message.
pub const HISTORY: [(&str, &str); 4] = [
    ("messages", "id"),
    ("payloads", "message"),
    ("deliveries", "message"),
    ("attempts", "message"),
];

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// The Julian day number of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    /// The day of a time in milliseconds since the Unix epoch.
    pub const fn of_millis(millis: u64) -> Self {
        Self(millis / DAY_MILLIS)
    }

    /// The day of an id, as text: of the time that it begins with.
    pub fn of_id(id: &str) -> Option<Self> {
        let (high, low) = (id.get(..8)?, id.get(9..13)?);
        let (high, low) = (u64::from_str_radix(high, 16), u64::from_str_radix(low, 16));
        Some(Self::of_millis(high.ok()? << 16 | low.ok()?))
    }

    /// So many days later.
    #[must_use]
    pub const fn plus(self, days: u64) -> Self {
        Self(self.0 + days)
    }

    /// The day before, if there is one.
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    /// The least id of the day, as text.
    pub fn first_id(self) -> String {
        let millis = self.0 * DAY_MILLIS;
        format!(
            "{:08x}-{:04x}-0000-0000-000000000000",
            millis >> 16,
            millis & 0xffff
        )
    }

    /// As in the name of a partition: `20261122`; beyond what calendars know, the day's number.
    fn name(self) -> String {
        let julian = i32::try_from(self.0).ok().and_then(|day| day.checked_add(EPOCH));
        match julian.map(Date::from_julian_day) {
            Some(Ok(date)) => format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day()),
            _ => format!("day{}", self.0),
        }
    }
}

/// A partition of a table of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    table: &'static str,
    /// The least id that belongs to it; none: it is the first.
    from: Option<String>,
    last: Day,
}

impl Partition {
    /// The first partition of a table, up to the end of a day.
    pub fn first(table: &'static str, last: Day) -> Self {
        let from = None;
        Self { table, from, last }
    }

    /// What a table lacks so that there are partitions for every id up to the end of the day `until`, if there are some
    /// for the ids before `covered` (an id as text; none: for no id at all). `today` is not cut from what comes before.
    pub fn missing(table: &'static str, covered: Option<String>, today: Day, until: Day) -> Vec<Self> {
        let first = covered.as_deref().and_then(Day::of_id);
        let mut from = covered;
        let mut last = first.map_or(today, |first| first.max(today));
        let mut missing = Vec::new();
        if first.is_some_and(|first| first > until) {
            return missing;
        }
        while last <= until {
            let next = last.plus(1);
            let begin = from.replace(next.first_id());
            missing.push(Self {
                table,
                from: begin,
                last,
            });
            last = next;
        }
        missing
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("{}_p{}", self.table, self.last.name())
    }

    /// The statements that make it, for one transaction. Rows are written meanwhile: only what changes the table itself
    /// waits, unlike with `CREATE TABLE ... PARTITION OF`. There is nothing in it to be checked when it is attached.
    pub fn make(&self) -> Vec<String> {
        let (table, name) = (self.table, self.name());
        vec![
            format!("CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"),
            format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {name} FORCE ROW LEVEL SECURITY"),
            self.attach(),
        ]
    }

    /// The statement that makes an ordinary table of its name a partition.
    pub fn attach(&self) -> String {
        let from = match &self.from {
            Some(id) => format!("'{id}'"),
            None => "MINVALUE".to_owned(),
        };
        format!(
            "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({from}) TO ('{}')",
            self.table,
            self.name(),
            self.last.plus(1).first_id()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T00:00:00Z.
    const MIDNIGHT: u64 = 1_795_305_600_000;

    #[test]
    fn a_day_begins_with_the_least_id_of_its_first_millisecond() {
        let day = Day::of_millis(MIDNIGHT);
        assert_eq!(day.first_id(), "01a2008d-7400-0000-0000-000000000000");
        assert_eq!(
            u128::from(MIDNIGHT) << 80,
            0x01a2_008d_7400_u128 << 80,
            "the first 48 bits"
        );
        assert_eq!(day.name(), "20261122");
        assert_eq!(Day::of_id(&day.first_id()), Some(day));

        // The last id of the day before, and the first of the day after.
        let before = format!(
            "{:08x}-{:04x}-7fff-bfff-ffffffffffff",
            (MIDNIGHT - 1) >> 16,
            (MIDNIGHT - 1) & 0xffff
        );
        assert!(before < day.first_id());
        assert_eq!(Day::of_id(&before).map(|before| before.plus(1)), Some(day));
        assert_eq!(Day::of_millis(MIDNIGHT + DAY_MILLIS - 1), day);
        assert_eq!(Day::of_millis(MIDNIGHT + DAY_MILLIS), day.plus(1));
        assert_eq!(
            Day::of_millis(0).first_id(),
            "00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(Day::of_id("no id"), None);
    }

    #[test]
    fn days_beyond_the_calendar_have_a_name() {
        assert_eq!(Day::of_millis(0xffff_ffff_ffff).name(), "day3257812");
    }

    fn spans(partitions: &[Partition]) -> Vec<(Option<Day>, Day)> {
        let from = |partition: &Partition| partition.from.as_deref().and_then(Day::of_id);
        partitions
            .iter()
            .map(|partition| (from(partition), partition.last))
            .collect()
    }

    #[test]
    fn partitions_are_made_without_gaps() {
        let today = Day::of_millis(MIDNIGHT);
        let missing = |covered: Option<Day>, until: u64| {
            let covered = covered.map(Day::first_id);
            spans(&Partition::missing("messages", covered, today, today.plus(until)))
        };
        assert_eq!(
            missing(None, 1),
            [(None, today), (Some(today.plus(1)), today.plus(1))]
        );
        assert_eq!(missing(Some(today), 0), [(Some(today), today)]);
        assert_eq!(missing(Some(today.plus(1)), 0), []);
        assert_eq!(missing(Some(today.plus(9)), 3), []);
        assert_eq!(
            missing(Some(today.plus(3)), 3),
            [(Some(today.plus(3)), today.plus(3))]
        );
        // Nobody was here for ten days: one partition for all of them.
        let long_ago = Day(today.0 - 10);
        assert_eq!(missing(Some(long_ago), 0), [(Some(long_ago), today)]);
    }

    #[test]
    fn a_partition_is_attached_between_its_bounds() {
        let today = Day::of_millis(MIDNIGHT);
        assert_eq!(
            Partition::first("payloads", today).attach(),
            "ALTER TABLE payloads ATTACH PARTITION payloads_p20261122 FOR VALUES FROM (MINVALUE) \
             TO ('01a205b3-d000-0000-0000-000000000000')"
        );
    }
}
