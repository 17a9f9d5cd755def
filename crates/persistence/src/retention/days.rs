//! Days of history go with their partition, on PostgreSQL.
//!
//! `DETACH PARTITION ... CONCURRENTLY` takes no lock that writers or readers wait for, but it cannot be part of a
//! transaction, and it waits for whoever still reads the table. So it has a connection of its own, as the tables'
//! owner, and short time-outs: what was begun and not finished is finished (`FINALIZE`) in a later round, and nobody
//! sees it meanwhile. A partition that is out is marked with its bounds, so that it is concluded even if we die in
//! between; one that somebody else took out is left alone.
//!
//! A day goes only when no row of the queue refers to one of its messages, and no day before it is kept. That is looked
//! at twice: before the partition is taken out, and when it is, as somebody may have sent one of its messages again in
//! between. Then it goes back in, and until it is there no other takes its place.
//!
//! But for that there is always a first partition without a lower bound, so that a row of a time that is gone has a
//! place to be written to (a clock that was set back, a delivery that is settled late).

use std::time::Duration;

use postrider_application::ports::{Removed, RetentionPolicy, StoreError};
use postrider_domain::Timestamp;
use postrider_migrations::{
    partitions::{Day, Partition},
    roles::ADMIN,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::history;
use crate::{SqlStore, advisory_lock, error::OrStoreError as _};

/// Who holds a lock, or reads what is to go, is not waited for longer than this; then it is the next round's turn.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '2s'";
/// As a comment on a partition that is being dropped, followed by its table and its bounds.
const MARK: &str = "postrider: old enough to be dropped";
/// In a mark: no bound.
const UNBOUNDED: &str = "-";
/// A day that the queue keeps for longer than this after its time is told of.
const HELD_BACK: Duration = Duration::from_hours(24);

const PARTITIONS: &str = r"
SELECT p.relname::text AS name, i.inhdetachpending AS pending,
    substring(pg_get_expr(p.relpartbound, p.oid) FROM 'FROM \(''([-0-9a-f]{36})''\)') AS since,
    substring(pg_get_expr(p.relpartbound, p.oid) FROM 'TO \(''([-0-9a-f]{36})''\)') AS till
FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhparent JOIN pg_class p ON p.oid = i.inhrelid
WHERE t.relnamespace = current_schema()::regnamespace AND t.relname = $1
ORDER BY 4 NULLS LAST";

const MARKED: &str = "
SELECT c.relname::text, obj_description(c.oid, 'pg_class') FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
    AND starts_with(obj_description(c.oid, 'pg_class'), $1)
ORDER BY c.relname";

/// By the index on pending deliveries, and by the key, as a fan-out has its message's id.
const REFERRED: &str = "
SELECT EXISTS (SELECT 1 FROM outbox_work WHERE message >= $1 AND message < $2 AND endpoint IS NOT NULL)
    OR EXISTS (SELECT 1 FROM outbox_work WHERE id >= $1 AND id < $2 AND endpoint IS NULL)";

/// A partition.
struct Found {
    name: String,
    pending: bool,
    /// The least id that belongs to it; none: it is the first.
    since: Option<String>,
    /// The least id that does not belong to it any more; none: it has no end, or it is none of ours.
    till: Option<String>,
}

/// The owner's connection.
struct Owner(PgConnection);

impl SqlStore {
    /// Drops the days that are old enough; how many partitions that were, and whether some would not go. None, if another
    /// node is at it.
    pub(super) async fn drop_days(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Option<Removed>, StoreError> {
        let _operation = self.database.operation();
        let pool = self.database.login_pool()?;
        let options = pool.connect_options();
        let mut owner = Owner(PgConnection::connect_with(&options).await.or_store_error()?);
        let dropped = owner.drop_days(policy, now).await;
        // With it go its locks and its role.
        let closed = owner.0.close().await.or_store_error();
        let dropped = dropped?;
        closed?;
        Ok(dropped)
    }
}

impl Owner {
    async fn run(&mut self, sql: String) -> Result<(), StoreError> {
        self.0
            .execute(AssertSqlSafe(sql))
            .await
            .or_store_error()
            .map(drop)
    }

    async fn drop_days(
        &mut self,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Option<Removed>, StoreError> {
        self.run(format!("SET ROLE {ADMIN}")).await?;
        self.run(LOCK_TIMEOUT.to_owned()).await?;
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(advisory_lock::RETENTION)
            .fetch_one(&mut self.0)
            .await
            .or_store_error()?;
        if !mine {
            return Ok(None);
        }
        let mut removed = Removed::default();
        for (table, _, kept) in history(policy) {
            match self.drop_of(table, kept, now).await {
                Ok(days) => removed.partitions += days,
                // The other tables have their turn.
                Err(error) => {
                    removed.refused = removed.refused.or(Some(table));
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::info!(table, cause, "days of history could not be dropped yet");
                }
            }
        }
        Ok(Some(removed))
    }

    async fn partitions(&mut self, table: &str) -> Result<Vec<Found>, StoreError> {
        let rows: Vec<(String, bool, Option<String>, Option<String>)> = sqlx::query_as(PARTITIONS)
            .bind(table)
            .fetch_all(&mut self.0)
            .await
            .or_store_error()?;
        let found = |(name, pending, since, till)| Found {
            name,
            pending,
            since,
            till,
        };
        Ok(rows.into_iter().map(found).collect())
    }

    async fn drop_of(
        &mut self,
        table: &'static str,
        kept: Option<Duration>,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        // What was begun comes to its end first: there is only ever one.
        let pending = self
            .partitions(table)
            .await?
            .into_iter()
            .find(|found| found.pending);
        let mut dropped = 0;
        if let Some(pending) = pending {
            self.run(format!(
                "ALTER TABLE {table} DETACH PARTITION {} FINALIZE",
                pending.name
            ))
            .await?;
            dropped += self.conclude(table, &pending).await?;
        }
        // As does what somebody took out and did not live to conclude.
        for found in self.marked(table).await? {
            dropped += self.conclude(table, &found).await?;
        }
        let ended = match kept {
            Some(kept) => self.drop_before(table, now.minus(kept), &mut dropped).await,
            None => Ok(()),
        };
        // Whatever came in between: rows of a time that is gone find a place. Not in the place of one that is out, and
        // may have to go back.
        if self.marked(table).await?.is_empty() {
            self.see_to_the_first(table).await?;
        }
        ended.map(|()| dropped)
    }

    /// Days go in their order, so that what is left has no gap: one that the queue refers to keeps those after it.
    async fn drop_before(
        &mut self,
        table: &'static str,
        before: Timestamp,
        dropped: &mut u32,
    ) -> Result<(), StoreError> {
        let millis = u64::try_from(before.as_unix_millis()).unwrap_or(0);
        let first_kept = Day::of_millis(millis).first_id();
        let late = u64::try_from(before.minus(HELD_BACK).as_unix_millis()).unwrap_or(0);
        let mut old = Vec::new();
        for found in self.partitions(table).await? {
            if !is_before(&found, &first_kept) {
                break;
            }
            if self.is_referred(&found).await? {
                let (partition, late) = (&found.name, Day::of_millis(late).first_id());
                if is_before(&found, &late) {
                    tracing::warn!(
                        table,
                        partition,
                        "a day of history is kept beyond its time, and those after it: the queue refers to it"
                    );
                }
                break;
            }
            old.push(found);
        }
        // The first one is there for what comes late. By itself, and without rows, it stays.
        if let [only] = old.as_slice()
            && only.since.is_none()
            && !self.has_rows(table, only).await?
        {
            return Ok(());
        }
        for found in &old {
            // Those before it may have taken long.
            if self.is_referred(found).await? {
                break;
            }
            self.take_out(table, found).await?;
            if self.conclude(table, found).await? == 0 {
                break;
            }
            *dropped += 1;
        }
        Ok(())
    }

    /// Takes a partition out, marked. What has not begun is not marked.
    async fn take_out(&mut self, table: &str, found: &Found) -> Result<(), StoreError> {
        self.mark(&found.name, Some(&mark_of(table, found))).await?;
        let detach = format!("ALTER TABLE {table} DETACH PARTITION {} CONCURRENTLY", found.name);
        let Err(error) = self.run(detach).await else {
            return Ok(());
        };
        let all = self.partitions(table).await?;
        if all.iter().any(|one| one.name == found.name && !one.pending) {
            self.mark(&found.name, None).await?;
        }
        Err(error)
    }

    /// A partition is out: it is dropped, or goes back in.
    async fn conclude(&mut self, table: &str, found: &Found) -> Result<u32, StoreError> {
        if self.is_referred(found).await? {
            let (since, till) = bounds(found);
            self.run(format!(
                "ALTER TABLE {table} ATTACH PARTITION {} FOR VALUES FROM ({since}) TO ({till})",
                found.name
            ))
            .await?;
            self.mark(&found.name, None).await?;
            return Ok(0);
        }
        self.run(format!("DROP TABLE {}", found.name)).await?;
        Ok(1)
    }

    async fn has_rows(&mut self, table: &str, found: &Found) -> Result<bool, StoreError> {
        let (Some(till), column) = (&found.till, if table == "messages" { "id" } else { "message" }) else {
            return Ok(true);
        };
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} < '{till}')");
        sqlx::query_scalar(AssertSqlSafe(any))
            .fetch_one(&mut self.0)
            .await
            .or_store_error()
    }

    async fn is_referred(&mut self, found: &Found) -> Result<bool, StoreError> {
        let id = |text: &Option<String>, none| text.as_deref().map_or(Ok(none), Uuid::parse_str);
        let since = id(&found.since, Uuid::nil()).map_err(|_| bound_is_no_id())?;
        let till = id(&found.till, Uuid::max()).map_err(|_| bound_is_no_id())?;
        sqlx::query_scalar(REFERRED)
            .bind(since)
            .bind(till)
            .fetch_one(&mut self.0)
            .await
            .or_store_error()
    }

    /// The text is one of ours, of names and ids: nothing in it is to be escaped.
    async fn mark(&mut self, name: &str, text: Option<&str>) -> Result<(), StoreError> {
        let mark = text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"));
        self.run(format!("COMMENT ON TABLE {name} IS {mark}")).await
    }

    /// What was taken out of the table, and neither dropped nor put back.
    async fn marked(&mut self, table: &str) -> Result<Vec<Found>, StoreError> {
        let marked: Vec<(String, String)> = sqlx::query_as(MARKED)
            .bind(mark_begins(table))
            .fetch_all(&mut self.0)
            .await
            .or_store_error()?;
        marked
            .into_iter()
            .map(|(name, text)| read_mark(table, name, &text).ok_or_else(bound_is_no_id))
            .collect()
    }

    /// Sees to it that there is one without a lower bound, which ends where the earliest of the others begins.
    async fn see_to_the_first(&mut self, table: &'static str) -> Result<(), StoreError> {
        let all = self.partitions(table).await?;
        if all.iter().any(|found| found.since.is_none()) {
            return Ok(());
        }
        let earliest = all.iter().filter_map(|found| found.since.as_deref()).min();
        let last = earliest.and_then(Day::of_id).and_then(Day::before);
        let Some(last) = last else { return Ok(()) };
        let statements = Partition::first(table, last).make();
        // All or none of them.
        let mut transaction = self.0.begin().await.or_store_error()?;
        for statement in statements {
            transaction
                .execute(AssertSqlSafe(statement))
                .await
                .or_store_error()?;
        }
        transaction.commit().await.or_store_error()
    }
}

/// Whether all of its rows are of before that id.
fn is_before(found: &Found, first_kept: &str) -> bool {
    found.till.as_deref().is_some_and(|till| till <= first_kept)
}

fn mark_begins(table: &str) -> String {
    format!("{MARK}: {table} ")
}

fn mark_of(table: &str, found: &Found) -> String {
    let bound = |id: &Option<String>| id.clone().unwrap_or_else(|| UNBOUNDED.to_owned());
    format!(
        "{}{} {}",
        mark_begins(table),
        bound(&found.since),
        bound(&found.till)
    )
}

fn read_mark(table: &str, name: String, text: &str) -> Option<Found> {
    let (since, till) = text.strip_prefix(&mark_begins(table))?.split_once(' ')?;
    let bound = |text: &str| match text {
        UNBOUNDED => Some(None),
        id => Uuid::parse_str(id).ok().map(|id| Some(id.to_string())),
    };
    Some(Found {
        name,
        pending: false,
        since: bound(since)?,
        till: bound(till)?,
    })
}

fn bounds(found: &Found) -> (String, String) {
    let bound = |id: &Option<String>, none: &str| match id {
        Some(id) => format!("'{id}'"),
        None => none.to_owned(),
    };
    (bound(&found.since, "MINVALUE"), bound(&found.till, "MAXVALUE"))
}

fn bound_is_no_id() -> StoreError {
    crate::error::fault("the bound of a partition is no id")
}
