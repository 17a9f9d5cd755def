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

/// All dead epochs that still own rows. The owners are read off the index, one step for each, instead of looking
/// for the rows of every node that ever lived. An owner that is not known at all is dead too.
const DEAD_OWNERS: &str = "
WITH RECURSIVE owners (epoch) AS (
    SELECT (SELECT w.owner FROM outbox_work w WHERE w.owner > 0 ORDER BY w.owner LIMIT 1)
    UNION ALL
    SELECT (SELECT w.owner FROM outbox_work w WHERE w.owner > o.epoch ORDER BY w.owner LIMIT 1)
    FROM owners o WHERE o.epoch IS NOT NULL
)
SELECT o.epoch FROM owners o LEFT JOIN nodes n ON n.epoch = o.epoch
WHERE o.epoch IS NOT NULL AND (n.epoch IS NULL OR n.dead) ORDER BY o.epoch";

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
}

#[async_trait]
impl NodeRegistry for SqlStore {
    async fn join(&self, ttl: Duration) -> Result<Epoch, StoreError> {
        self.database.bury_predecessors().await?;
        let join = self.database.dialect().statement(
            "INSERT INTO nodes (joined_at, lease_until, key_id) VALUES ({now}, {now} + $1, $2) RETURNING epoch",
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
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Engine).await?;
        for sql in [
            "UPDATE nodes SET dead = true WHERE epoch = $1",
            "UPDATE outbox_work SET owner = 0 WHERE owner = $1",
        ] {
            transaction
                .execute_raw(dialect.exactly(sql, [node.0.into()]))
                .await
                .or_store_error()?;
        }
        transaction.commit().await
    }
}
