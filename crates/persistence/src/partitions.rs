//! History's partitions, made before rows of their time come.
//!
//! What a partition is, and where it begins and ends, is [`postrider_migrations::partitions`].

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{Partitions, StoreError};
use postrider_migrations::partitions::{Day, HISTORY, Partition};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    SqlStore, advisory_lock,
    connection::{Dialect, Scope},
    error::{OrStoreError as _, fault},
};

/// For each table that is partitioned: up to which id there are partitions (none: without end), and the time in
/// milliseconds since the Unix epoch. Ids as text are in the order of ids, if bytes are compared.
const COVERED: &str = r#"
SELECT t.relname::text AS name, (extract(epoch from now()) * 1000)::bigint AS now,
    count(bound.till) = count(p.oid) AS ends, max(bound.till COLLATE "C") AS till
FROM pg_class t
LEFT JOIN pg_inherits i ON i.inhparent = t.oid AND NOT i.inhdetachpending
LEFT JOIN pg_class p ON p.oid = i.inhrelid
LEFT JOIN LATERAL (
    SELECT substring(pg_get_expr(p.relpartbound, p.oid) FROM 'TO \(''([-0-9a-f]{36})''\)')
) AS bound (till) ON true
WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'p' GROUP BY t.relname"#;

/// Whoever else holds the table's lock, say to analyse it, is not waited for longer than this.
const DO_NOT_WAIT: &str = "SET LOCAL lock_timeout = '2s'";

/// Coverage that goes on for this many days after what was asked for is none that was made on purpose: until then
/// everything is in one partition, and nothing can be dropped.
const FAR_AHEAD: u64 = 60;

#[derive(FromQueryResult)]
struct Covered {
    name: String,
    now: i64,
    ends: bool,
    till: Option<String>,
}

/// Why no partition will be made for a table for a long time, if so.
fn why_never(covered: &Covered, until: Day) -> Option<&'static str> {
    if !covered.ends {
        return Some("there is a partition without an upper bound, or a default one");
    }
    let till = covered.till.as_deref().and_then(Day::of_id)?;
    let far_ahead = till > until.plus(FAR_AHEAD);
    far_ahead.then_some("there are partitions up to a time far ahead, as if of a clock that was wrong")
}

/// What is missing so that there are partitions until `ahead` from now.
async fn missing(connection: &impl ConnectionTrait, ahead: Duration) -> Result<Vec<Partition>, StoreError> {
    let rows = connection
        .query_all_raw(Dialect::Postgres.exactly(COVERED, []))
        .await
        .or_store_error()?;
    let covered = |row| Covered::from_query_result(row, "").or_store_error();
    let covered = rows.iter().map(covered).collect::<Result<Vec<_>, _>>()?;
    let mut missing = Vec::new();
    for (table, _) in HISTORY {
        let known = covered.iter().find(|covered| covered.name == table);
        let known = known.ok_or_else(|| fault("a table of history is not partitioned"))?;
        let now = u64::try_from(known.now).unwrap_or(0);
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        let (today, until) = (Day::of_millis(now), Day::of_millis(now.saturating_add(ahead)));
        if let Some(why) = why_never(known, until) {
            tracing::warn!(table, till = known.till, "no partitions by day are made: {why}");
        }
        if !known.ends {
            continue;
        }
        missing.extend(Partition::missing(table, known.till.clone(), today, until));
    }
    Ok(missing)
}

#[async_trait]
impl Partitions for SqlStore {
    async fn make_ahead(&self, ahead: Duration) -> Result<u32, StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            return Ok(0);
        }
        // The engine may look; to make them is the owner's.
        if missing(&self.database.read(Scope::Engine).await?, ahead)
            .await?
            .is_empty()
        {
            return Ok(0);
        }
        let transaction = self.database.begin(Scope::Operator).await?;
        transaction.take_turn(advisory_lock::PARTITIONS).await?;
        transaction
            .execute_unprepared(DO_NOT_WAIT)
            .await
            .or_store_error()?;
        // Again: another node may have been first.
        let missing = missing(&transaction, ahead).await?;
        for statement in missing.iter().flat_map(Partition::make) {
            transaction
                .execute_unprepared(&statement)
                .await
                .or_store_error()?;
        }
        transaction.commit().await?;
        u32::try_from(missing.len()).map_err(|_| fault("more partitions than can be counted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_that_stops_the_making_of_partitions_is_told() {
        let until = Day::of_millis(1_795_305_600_000);
        let covered = |ends, till: Option<Day>| Covered {
            name: "messages".to_owned(),
            now: 0,
            ends,
            till: till.map(Day::first_id),
        };
        assert_eq!(why_never(&covered(true, None), until), None, "none yet");
        for days in [0, 1, FAR_AHEAD] {
            assert_eq!(why_never(&covered(true, Some(until.plus(days))), until), None);
        }
        let far = why_never(&covered(true, Some(until.plus(FAR_AHEAD + 1))), until);
        assert!(far.is_some_and(|why| why.contains("far ahead")), "{far:?}");
        let endless = why_never(&covered(false, Some(until)), until);
        assert!(
            endless.is_some_and(|why| why.contains("upper bound")),
            "{endless:?}"
        );
    }
}
