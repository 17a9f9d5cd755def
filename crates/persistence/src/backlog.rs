//! What waits, as figures: looked at now and then, and never for long.
//!
//! Each count ends at a bound and each age is one step into an index, so that a look at a queue of a million rows takes
//! no longer than one at as many rows as the bound says.

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{Backlog, Backlogs, QueueBacklog, StoreError, SubscriberBacklog};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use crate::{
    SqlStore,
    connection::Scope,
    error::{OrStoreError as _, fault},
    nodes::steps_over_owners,
};

/// Dead nodes' rows are found as those are that take them over.
const QUEUE: &str = concat!(
    steps_over_owners!(),
    ",
dead (epoch) AS (
    SELECT s.epoch FROM steps s
    WHERE s.epoch > 0 AND NOT EXISTS (SELECT 1 FROM living l WHERE l.epoch = s.epoch)
)
SELECT
    (SELECT CAST(count(*) AS bigint) FROM
        (SELECT 1 FROM outbox_work WHERE owner = 0 AND due_at <= {now} LIMIT $1) AS due) AS due,
    (SELECT CAST(count(*) AS bigint) FROM
        (SELECT 1 FROM dead d JOIN outbox_work w ON w.owner = d.epoch LIMIT $1) AS orphaned) AS orphaned,
    (SELECT CAST(count(*) AS bigint) FROM
        (SELECT 1 FROM outbox_work WHERE owner = 0 AND due_at > {now} LIMIT $1) AS scheduled) AS scheduled,
    (SELECT CAST(count(*) AS bigint) FROM
        (SELECT 1 FROM outbox_work WHERE owner = -1 LIMIT $1) AS parked) AS parked,
    {now} - (SELECT min(w.due_at) FROM outbox_work w WHERE w.owner = 0) AS oldest_due,
    {now} - (SELECT min(oldest) FROM
        (SELECT (SELECT min(w.due_at) FROM outbox_work w WHERE w.owner = d.epoch) AS oldest FROM dead d) AS first)
        AS oldest_orphan"
);

const SUBSCRIBERS: &str = "
SELECT c.subscriber, coalesce((SELECT max(pos) FROM outbox_events), 0) - c.position AS lag,
    {now} - (SELECT e.recorded_at FROM outbox_events e WHERE e.pos > c.position ORDER BY e.pos LIMIT 1) AS age,
    (SELECT CAST(count(*) AS bigint) FROM
        (SELECT 1 FROM dead_letters d WHERE d.subscriber = c.subscriber AND d.attempts > 0
            AND NOT d.discarded LIMIT $1) AS letters)
        AS dead_letters
FROM relay_cursors c ORDER BY c.subscriber";

const REPLAYS: &str = "
SELECT CAST(count(*) AS bigint) AS replays FROM (SELECT 1 FROM replays WHERE status = 'running' LIMIT $1) AS running";

#[derive(FromQueryResult)]
struct QueueRow {
    due: i64,
    orphaned: i64,
    scheduled: i64,
    parked: i64,
    oldest_due: Option<i64>,
    oldest_orphan: Option<i64>,
}

#[derive(FromQueryResult)]
struct SubscriberRow {
    subscriber: String,
    lag: i64,
    age: Option<i64>,
    dead_letters: i64,
}

#[derive(FromQueryResult)]
struct ReplaysRow {
    replays: i64,
}

/// What is not there yet, or is due later, has waited for no time.
fn waited(micros: Option<i64>) -> Duration {
    Duration::from_micros(micros.map_or(0, counted))
}

fn counted(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[async_trait]
impl Backlogs for SqlStore {
    async fn backlog(&self, most: u32) -> Result<Backlog, StoreError> {
        let queue: Vec<QueueRow> = self.look(Scope::Engine, QUEUE, most).await?;
        let subscribers: Vec<SubscriberRow> = self.look(Scope::Engine, SUBSCRIBERS, most).await?;
        // The engine knows nothing of replays, which become rows of the queue.
        let replays: Vec<ReplaysRow> = self.look(Scope::Operator, REPLAYS, most).await?;
        let row = queue.first().ok_or_else(|| fault("the queue was not counted"))?;
        Ok(Backlog {
            queue: QueueBacklog {
                due: counted(row.due.saturating_add(row.orphaned).min(i64::from(most))),
                scheduled: counted(row.scheduled),
                parked: counted(row.parked),
                oldest_due: waited(row.oldest_due).max(waited(row.oldest_orphan)),
            },
            subscribers: subscribers.into_iter().map(SubscriberRow::backlog).collect(),
            replays: replays.first().map_or(0, |row| counted(row.replays)),
        })
    }
}

impl SubscriberRow {
    fn backlog(self) -> SubscriberBacklog {
        SubscriberBacklog {
            lag: counted(self.lag),
            age: waited(self.age),
            dead_letters: counted(self.dead_letters),
            subscriber: self.subscriber,
        }
    }
}

impl SqlStore {
    async fn look<R: FromQueryResult>(
        &self,
        scope: Scope,
        sql: &str,
        most: u32,
    ) -> Result<Vec<R>, StoreError> {
        let statement = self.database.dialect().statement(sql, [i64::from(most).into()]);
        let reading = self.database.read(scope).await?;
        let rows = reading.query_all_raw(statement).await.or_store_error()?;
        let rows = rows.iter().map(|row| R::from_query_result(row, ""));
        rows.collect::<Result<_, _>>().or_store_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Database, DatabaseOptions, SqliteOptions};

    #[derive(FromQueryResult)]
    struct Step {
        detail: String,
    }

    /// Of SQLite, which tells how it will go about it before there are any rows.
    #[tokio::test]
    async fn no_look_walks_through_the_queue() {
        let directory = tempfile::tempdir().unwrap();
        let options = DatabaseOptions::Sqlite(SqliteOptions::in_directory(directory.path()));
        let database = Database::open(options).await.unwrap();
        database.migrate().await.unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {QUEUE}");
        let statement = database.dialect().statement(&explain, [1_000_i64.into()]);
        let reading = database.read(Scope::Engine).await.unwrap();
        let plan = reading.query_all_raw(statement).await.unwrap();
        let steps: Vec<String> = plan
            .iter()
            .map(|row| Step::from_query_result(row, "").unwrap().detail)
            .collect();
        let of_queue = |step: &&String| {
            let mut words = step.split_whitespace().skip(1);
            words
                .next()
                .is_some_and(|table| ["outbox_work", "w"].contains(&table))
        };
        let of_queue: Vec<_> = steps.iter().filter(of_queue).collect();
        assert!(of_queue.len() >= 6, "{steps:#?}");
        for step in of_queue {
            assert!(step.starts_with("SEARCH"), "{step}");
        }
    }
}
