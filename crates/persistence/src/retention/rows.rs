//! Rows that go one by one, up to so many of each table at a time.

use postrider_application::ports::{Removed, RetentionPolicy, StoreError};
use postrider_domain::Timestamp;
use sea_orm::{ConnectionTrait as _, Value};

use super::history;
use crate::{
    SqlStore,
    connection::{Dialect, Scope, Transaction},
    error::OrStoreError as _,
    housekeeping::delete_some,
    times_of_ids::{least_id_beyond, least_id_from},
};

/// A day that a node is dead and forgotten. The last one stays, so that no epoch is given twice.
const DEAD_NODES: &str = "dead AND lease_until < {now} - 86400000000
    AND epoch < (SELECT max(n.epoch) FROM nodes n)
    AND NOT EXISTS (SELECT 1 FROM outbox_work w WHERE w.owner = nodes.epoch) ORDER BY epoch LIMIT $1";

/// SQLite knows no rights: its audit log lets nothing go but by these two statements around it.
const OPEN_AUDIT: &str =
    "INSERT INTO installation (name, value) VALUES ('audit_retention', CAST(CAST($1 AS TEXT) AS BLOB))";
const CLOSE_AUDIT: &str = "DELETE FROM installation WHERE name = 'audit_retention'";

/// Deletes by such a statement, in a transaction of its own.
struct Batch {
    table: &'static str,
    key: &'static str,
    some: String,
    values: Vec<Value>,
}

impl SqlStore {
    /// History that is not partitioned.
    pub(super) async fn remove_history(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        for (table, column, kept) in history(policy) {
            let Some(kept) = kept else { continue };
            let key = match table {
                "attempts" => "message, endpoint, n",
                "deliveries" => "message, endpoint",
                _ => column,
            };
            let batch = Batch {
                table,
                key,
                // A fan-out by its key, deliveries by their unique index: the queue may be long.
                some: format!(
                    "{column} < $1
                    AND NOT EXISTS (SELECT 1 FROM outbox_work w WHERE w.id = {table}.{column})
                    AND NOT EXISTS (SELECT 1 FROM outbox_work w
                        WHERE w.message = {table}.{column} AND w.endpoint IS NOT NULL)
                    ORDER BY {column} LIMIT $2"
                ),
                values: vec![least_id_from(now.minus(kept)).into(), i64::from(limit).into()],
            };
            self.remove(&batch, limit, &mut removed).await?;
        }
        Ok(removed)
    }

    /// The logs, and nodes that have long been dead.
    pub(super) async fn remove_from_logs(
        &self,
        policy: &RetentionPolicy,
        now: Timestamp,
        needed: Option<i64>,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        if let Some(kept) = policy.audit {
            self.remove_audit(now.minus(kept), limit, &mut removed).await?;
        }
        if let Some(kept) = policy.events {
            let batch = Batch {
                table: "outbox_events",
                key: "pos",
                // The last one stays: whoever begins at the end of the log must find it. Positions rise with time, and
                // only they have an index: of the first ones those go that are old.
                some: "pos IN (SELECT f.pos FROM (SELECT e.pos, e.recorded_at FROM outbox_events e
                        ORDER BY e.pos LIMIT $3) f WHERE f.recorded_at < $1)
                    AND pos < $2 AND pos < (SELECT max(e.pos) FROM outbox_events e) ORDER BY pos LIMIT $3"
                    .to_owned(),
                values: vec![
                    now.minus(kept).as_micros().into(),
                    needed.unwrap_or(i64::MAX).into(),
                    i64::from(limit).into(),
                ],
            };
            self.remove(&batch, limit, &mut removed).await?;
        }
        let batch = Batch {
            table: "nodes",
            key: "epoch",
            some: DEAD_NODES.to_owned(),
            values: vec![i64::from(limit).into()],
        };
        self.remove(&batch, limit, &mut removed).await?;
        Ok(removed)
    }

    async fn remove_audit(
        &self,
        before: Timestamp,
        limit: u32,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        let batch = Batch {
            table: "audit_entries",
            key: "id",
            // The ids bound what is looked through, the times decide.
            some: "id < $1 AND at < $2 ORDER BY id LIMIT $3".to_owned(),
            values: vec![
                least_id_beyond(before).into(),
                before.as_micros().into(),
                i64::from(limit).into(),
            ],
        };
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Operator).await?;
        if dialect == Dialect::Sqlite {
            let open = dialect.exactly(OPEN_AUDIT, [before.as_micros().into()]);
            transaction.execute_raw(open).await.or_store_error()?;
        }
        batch.remove(&transaction, dialect, limit, removed).await?;
        if dialect == Dialect::Sqlite {
            let close = dialect.exactly(CLOSE_AUDIT, []);
            transaction.execute_raw(close).await.or_store_error()?;
        }
        transaction.commit().await
    }

    async fn remove(&self, batch: &Batch, limit: u32, removed: &mut Removed) -> Result<(), StoreError> {
        let transaction = self.database.begin(Scope::Operator).await?;
        batch
            .remove(&transaction, self.database.dialect(), limit, removed)
            .await?;
        transaction.commit().await
    }
}

impl Batch {
    async fn remove(
        &self,
        transaction: &Transaction,
        dialect: Dialect,
        limit: u32,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        let sql = delete_some(dialect, self.table, self.key, &self.some);
        let delete = dialect.statement(&sql, self.values.clone());
        let rows = transaction
            .execute_raw(delete)
            .await
            .or_store_error()?
            .rows_affected();
        removed.rows += rows;
        removed.more |= rows >= u64::from(limit);
        Ok(())
    }
}
