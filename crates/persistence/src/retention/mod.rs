//! What is old enough goes: whole days of history where it is partitioned, and rows by the batch everywhere else.

mod days;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{
    EventReaders, RelayCursors as _, Removed, Retention, RetentionPolicy, StoreError,
};
use postrider_domain::Timestamp;
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use crate::{
    SqlStore,
    codec::timestamp,
    connection::{Dialect, Scope},
    error::{OrStoreError as _, fault},
};

#[derive(FromQueryResult)]
struct Now {
    now: i64,
}

/// For each table of history, in the order in which they are looked at, how long its rows are kept.
fn history(policy: &RetentionPolicy) -> [(&'static str, &'static str, Option<Duration>); 4] {
    [
        ("attempts", "message", policy.attempts),
        ("payloads", "message", policy.payloads),
        // A delivery without its message is seen by nobody. A message without its deliveries would look as though it had
        // never been sent.
        ("messages", "id", policy.messages),
        ("deliveries", "message", policy.messages),
    ]
}

#[async_trait]
impl Retention for SqlStore {
    async fn remove_old(
        &self,
        policy: &RetentionPolicy,
        needed: Option<i64>,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        let now = self.database_now().await?;
        let mut removed = match self.database.dialect() {
            Dialect::Postgres => match self.drop_days(policy, now).await? {
                Some(removed) => removed,
                // Another node is at it.
                None => return Ok(Removed::default()),
            },
            Dialect::Sqlite => self.remove_history(policy, now, limit).await?,
        };
        let logs = self.remove_from_logs(policy, now, needed, limit).await?;
        removed.rows += logs.rows;
        removed.more |= logs.more;
        Ok(removed)
    }
}

#[async_trait]
impl EventReaders for SqlStore {
    /// The first one that is not done with: subscribers' cursors, what is set aside, and what nodes have seen say so.
    async fn least_needed(&self) -> Result<Option<i64>, StoreError> {
        let done = self.all_done_up_to().await?;
        Ok(Some(done.saturating_add(1)))
    }
}

impl SqlStore {
    async fn database_now(&self) -> Result<Timestamp, StoreError> {
        let now = self.database.dialect().statement("SELECT {now} AS now", []);
        let reading = self.database.read(Scope::Engine).await?;
        let row = reading.query_one_raw(now).await.or_store_error()?;
        let row = row.ok_or_else(|| fault("the database does not tell the time"))?;
        Ok(timestamp(Now::from_query_result(&row, "").or_store_error()?.now))
    }
}
