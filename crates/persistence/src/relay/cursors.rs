//! The cursors of the installation's subscribers. Held by a node's epoch, which fences every change.

use async_trait::async_trait;
use postrider_application::ports::{
    AggregateKey, Blocked, Epoch, HeldCursor, RelayCursors, SetAside, StartAt, StoreError,
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, QueryResult, Statement, Value};

use super::dead_letters::{self, AsideRow};
use crate::{SqlStore, connection::Scope, error::OrStoreError as _};

/// How long the cursor of a subscriber that no living node holds still counts: a week, in microseconds.
const ABANDONED_AFTER_US: i64 = 7 * 24 * 3_600 * 1_000_000;

const DECLARE: &str = "
INSERT INTO relay_cursors (subscriber, position, moved_at) VALUES ($1, {position}, {now})
ON CONFLICT (subscriber) DO NOTHING";

/// All cursors; whose node lives, and of which something is to be delivered again.
const LOOK: &str = "
SELECT c.subscriber, c.position, c.owner,
    EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = c.owner AND NOT n.dead AND n.lease_until > {now}) AS held,
    EXISTS (SELECT 1 FROM dead_letters d WHERE d.subscriber = c.subscriber AND (d.again OR d.discarded)) AS again
FROM relay_cursors c ORDER BY c.subscriber";

/// Of racing takers the second waits for the first, and then sees that the cursor has a living owner.
const TAKE: &str = "
UPDATE relay_cursors SET owner = $1, moved_at = {now}
WHERE subscriber = $2
    AND NOT EXISTS (
        SELECT 1 FROM nodes n WHERE n.epoch = relay_cursors.owner AND NOT n.dead AND n.lease_until > {now})
    AND EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = $1 AND NOT n.dead AND n.lease_until > {now})";

const ADVANCE: &str = "
UPDATE relay_cursors SET position = $3, moved_at = {now}
WHERE subscriber = $1 AND owner = $2 AND position <= $3";

/// Nobody needs what all cursors are past that count, all living nodes have seen, and before what is set aside for
/// those.
const DONE: &str = "
WITH counted AS (
    SELECT c.subscriber, c.position FROM relay_cursors c
    WHERE c.moved_at > {now} - $1
        OR EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = c.owner AND NOT n.dead AND n.lease_until > {now})
)
SELECT min(position) AS position FROM (
    SELECT position FROM counted
    UNION ALL SELECT min(d.position) - 1 FROM dead_letters d JOIN counted c ON c.subscriber = d.subscriber
    UNION ALL SELECT min(n.seen_pos) FROM nodes n WHERE NOT n.dead
    UNION ALL SELECT coalesce(max(e.pos), 0) FROM outbox_events e
) AS needed WHERE position IS NOT NULL";

#[derive(FromQueryResult)]
struct CursorRow {
    subscriber: String,
    position: i64,
    owner: i64,
    held: bool,
    again: bool,
}

#[derive(FromQueryResult)]
struct Position {
    position: Option<i64>,
}

impl SqlStore {
    pub(super) async fn rows_of_relay(&self, statement: Statement) -> Result<Vec<QueryResult>, StoreError> {
        let reading = self.database.read(Scope::Engine).await?;
        reading.query_all_raw(statement).await.or_store_error()
    }

    /// Whether anything was changed.
    async fn changed(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<bool, StoreError> {
        let statement = self.database.dialect().statement(sql, values);
        let changed = self.database.engine().execute_raw(statement).await;
        Ok(changed.or_store_error()?.rows_affected() > 0)
    }

    async fn cursors(&self) -> Result<Vec<CursorRow>, StoreError> {
        let look = self.database.dialect().statement(LOOK, []);
        let rows = self.rows_of_relay(look).await?;
        let cursor = |row| CursorRow::from_query_result(row, "").or_store_error();
        rows.iter().map(cursor).collect()
    }
}

#[async_trait]
impl RelayCursors for SqlStore {
    async fn declare(&self, subscriber: &str, start: StartAt) -> Result<(), StoreError> {
        let (position, value) = match start {
            StartAt::Beginning => ("0", None),
            StartAt::Head => ("(SELECT coalesce(max(pos), 0) FROM outbox_events)", None),
            StartAt::After(position) => ("$2", Some(position.into())),
        };
        let sql = DECLARE.replace("{position}", position);
        let values = [subscriber.into()].into_iter().chain(value);
        self.changed(&sql, values).await.map(drop)
    }

    async fn take(&self, node: Epoch, subscribers: &[&str]) -> Result<Vec<HeldCursor>, StoreError> {
        let wanted = |cursor: &CursorRow| subscribers.contains(&&*cursor.subscriber);
        let mut cursors = self.cursors().await?;
        let mut taken = false;
        for free in cursors.iter().filter(|cursor| wanted(cursor) && !cursor.held) {
            let values = [node.0.into(), free.subscriber.as_str().into()];
            taken |= self.changed(TAKE, values).await?;
        }
        if taken {
            cursors = self.cursors().await?;
        }
        let held = cursors
            .into_iter()
            .filter(|cursor| cursor.owner == node.0 && wanted(cursor));
        let held = held.map(|cursor| HeldCursor {
            subscriber: cursor.subscriber,
            position: cursor.position,
            again: cursor.again,
        });
        Ok(held.collect())
    }

    async fn advance(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        aside: &[SetAside],
    ) -> Result<bool, StoreError> {
        let values = || [subscriber.into(), node.0.into(), position.into()];
        if aside.is_empty() {
            return self.changed(ADVANCE, values()).await;
        }
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Engine).await?;
        let advance = dialect.statement(ADVANCE, values());
        let moved = transaction.execute_raw(advance).await.or_store_error()?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in dead_letters::set_aside(dialect, subscriber, aside)? {
            transaction.execute_raw(statement).await.or_store_error()?;
        }
        let from = aside.iter().map(|one| one.position).min();
        let of_gone = dialect.exactly(dead_letters::OF_GONE, [subscriber.into(), from.into()]);
        transaction.execute_raw(of_gone).await.or_store_error()?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn blocked(&self, subscriber: &str) -> Result<Blocked, StoreError> {
        let blocked = dead_letters::blocked(self.database.dialect(), subscriber);
        dead_letters::read_blocked(&self.rows_of_relay(blocked).await?)
    }

    async fn reconsider(&self, subscriber: &str, error: &str) -> Result<(), StoreError> {
        let values = [subscriber.into(), error.into()];
        self.changed(dead_letters::RECONSIDERED, values).await.map(drop)
    }

    async fn to_deliver_again(&self, subscriber: &str, limit: u32) -> Result<Vec<SetAside>, StoreError> {
        let again = dead_letters::to_deliver_again(self.database.dialect(), subscriber, limit);
        let rows = self.rows_of_relay(again).await?;
        rows.iter().map(AsideRow::read).collect()
    }

    async fn first_set_aside(
        &self,
        subscriber: &str,
        of: &AggregateKey,
    ) -> Result<Option<SetAside>, StoreError> {
        let first = dead_letters::first_of(self.database.dialect(), subscriber, of);
        let rows = self.rows_of_relay(first).await?;
        rows.first().map(AsideRow::read).transpose()
    }

    async fn delivered(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        next: &[SetAside],
    ) -> Result<bool, StoreError> {
        let values = [subscriber.into(), position.into(), node.0.into()];
        if next.is_empty() {
            return self.changed(dead_letters::DELIVERED, values).await;
        }
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Engine).await?;
        let delivered = dialect.statement(dead_letters::DELIVERED, values);
        let delivered = transaction.execute_raw(delivered).await.or_store_error()?;
        if delivered.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in dead_letters::set_aside(dialect, subscriber, next)? {
            transaction.execute_raw(statement).await.or_store_error()?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn refused_again(
        &self,
        node: Epoch,
        subscriber: &str,
        position: i64,
        attempts: u32,
        error: &str,
    ) -> Result<bool, StoreError> {
        let values = [
            subscriber.into(),
            position.into(),
            node.0.into(),
            crate::codec::stored_count("attempts", attempts)?.into(),
            error.into(),
        ];
        self.changed(dead_letters::REFUSED_AGAIN, values).await
    }

    async fn all_done_up_to(&self) -> Result<i64, StoreError> {
        let done = self
            .database
            .dialect()
            .statement(DONE, [ABANDONED_AFTER_US.into()]);
        let rows = self.rows_of_relay(done).await?;
        let position = rows.first().map(|row| Position::from_query_result(row, ""));
        let position = position.transpose().or_store_error()?;
        Ok(position.and_then(|row| row.position).unwrap_or(0))
    }
}
