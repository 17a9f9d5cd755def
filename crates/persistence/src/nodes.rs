//! Which nodes live. All times are the database's.

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{Epoch, NodeRegistry, StoreError};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};

use crate::{
    SqlStore,
    codec::micros,
    connection::{Database, Scope},
    error::{OrStoreError as _, fault},
};

#[derive(FromQueryResult)]
struct EpochRow {
    epoch: i64,
}

/// Steps over the owners of rows. They are read off the index, one step for each, instead of looking for the rows of
/// every node that ever lived; the rows of the living, who have nearly all of them, and what is left of their settled
/// ones, are stepped over.
macro_rules! steps_over_owners {
    () => {
        "
WITH RECURSIVE living (epoch) AS (SELECT epoch FROM nodes WHERE NOT dead),
steps (epoch) AS (
    SELECT CAST(0 AS bigint)
    UNION ALL
    SELECT coalesce(
        (SELECT w.owner FROM outbox_work w WHERE w.owner > s.epoch
            AND w.owner < coalesce((SELECT min(l.epoch) FROM living l WHERE l.epoch > s.epoch), 9223372036854775807)
         ORDER BY w.owner LIMIT 1),
        (SELECT min(l.epoch) FROM living l WHERE l.epoch > s.epoch)
    )
    FROM steps s WHERE s.epoch IS NOT NULL
)"
    };
}
pub(crate) use steps_over_owners;

/// All dead epochs that still own rows. An owner that is not known at all is dead too.
const DEAD_OWNERS: &str = concat!(
    steps_over_owners!(),
    "
SELECT s.epoch FROM steps s
WHERE s.epoch > 0 AND NOT EXISTS (SELECT 1 FROM living l WHERE l.epoch = s.epoch) ORDER BY s.epoch"
);

/// How many rows a leaving node gives back at a time: few enough for a statement that is far from its time-out.
const GIVE_BACK: u16 = 1_000;
/// How many times. What it owns beyond that is left to those who take over the rows of dead nodes.
const GIVE_BACK_BATCHES: usize = 100;

/// From a due time on: what was given back before is not walked over again. Who takes rows of the dead at the same time
/// has locked them.
const GIVE_BACK_ON_POSTGRES: &str = "
WITH held AS MATERIALIZED (
    SELECT id FROM outbox_work WHERE owner = $1 AND due_at >= $2 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE outbox_work w SET owner = 0 WHERE w.id = ANY (ARRAY(SELECT id FROM held)) RETURNING w.due_at";
const GIVE_BACK_ON_SQLITE: &str = "
UPDATE outbox_work SET owner = 0 WHERE id IN (
    SELECT id FROM outbox_work WHERE owner = $1 AND due_at >= $2 ORDER BY due_at LIMIT $3
) RETURNING due_at";

#[derive(FromQueryResult)]
struct GivenBack {
    due_at: i64,
}

/// Declares every node dead.
pub(crate) async fn bury_all(database: &Database) -> Result<(), StoreError> {
    let bury = database
        .dialect()
        .exactly("UPDATE nodes SET dead = true WHERE NOT dead", []);
    database
        .engine()
        .execute_raw(bury)
        .await
        .or_store_error()
        .map(drop)
}

impl SqlStore {
    async fn change_nodes(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        let statement = self.database.dialect().statement(sql, values);
        let changed = self
            .database
            .engine()
            .execute_raw(statement)
            .await
            .or_store_error()?;
        Ok(changed.rows_affected())
    }

    /// Gives rows of the node back to the queue, those that are due first, from a due time on. The latest due time of
    /// them, if there may be more.
    async fn give_back(&self, node: Epoch, from: i64) -> Result<Option<i64>, StoreError> {
        let dialect = self.database.dialect();
        let give = dialect.choose(GIVE_BACK_ON_POSTGRES, GIVE_BACK_ON_SQLITE);
        let values = [node.0.into(), from.into(), i64::from(GIVE_BACK).into()];
        let given = self
            .database
            .engine()
            .query_all_raw(dialect.exactly(give, values))
            .await
            .or_store_error()?;
        if given.len() < usize::from(GIVE_BACK) {
            return Ok(None);
        }
        let due_at = |row| GivenBack::from_query_result(row, "").map(|row| row.due_at);
        let due = given
            .iter()
            .map(due_at)
            .collect::<Result<Vec<_>, _>>()
            .or_store_error()?;
        Ok(due.into_iter().max())
    }
}

#[async_trait]
impl NodeRegistry for SqlStore {
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError> {
        self.database.bury_predecessors().await?;
        let join = self.database.dialect().statement(
            "INSERT INTO nodes (joined_at, lease_until, key_id, seen_pos) VALUES ({now}, {now} + $1, $2, 0) RETURNING epoch",
            [micros(ttl).into(), self.secrets.sealer().key_id().into()],
        );
        let row = self
            .database
            .engine()
            .query_one_raw(join)
            .await
            .or_store_error()?;
        let row = row.ok_or_else(|| fault("a node joined and got no epoch"))?;
        Ok(Epoch(
            EpochRow::from_query_result(&row, "").or_store_error()?.epoch,
        ))
    }

    async fn beat(&self, node: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        let extended = self
            .change_nodes(
                "UPDATE nodes SET lease_until = {now} + $2 WHERE epoch = $1 AND NOT dead",
                [node.0.into(), micros(ttl).into()],
            )
            .await?;
        Ok(extended == 1)
    }

    async fn bury(&self) -> Result<Vec<Epoch>, StoreError> {
        self.change_nodes(
            "UPDATE nodes SET dead = true WHERE NOT dead AND lease_until <= {now}",
            [],
        )
        .await?;
        let owners = self.database.dialect().exactly(DEAD_OWNERS, []);
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(owners)
            .await
            .or_store_error()?;
        let epoch = |row| {
            Ok(Epoch(
                EpochRow::from_query_result(row, "").or_store_error()?.epoch,
            ))
        };
        rows.iter().map(epoch).collect()
    }

    async fn leave(&self, node: Epoch) -> Result<(), StoreError> {
        // First of all, and by itself: from now on whatever it still owns is a dead node's, and anybody may take it.
        self.change_nodes("UPDATE nodes SET dead = true WHERE epoch = $1", [node.0.into()])
            .await?;
        let mut from = i64::MIN;
        for _ in 0..GIVE_BACK_BATCHES {
            match self.give_back(node, from).await? {
                Some(last) => from = last,
                None => break,
            }
        }
        Ok(())
    }
}
