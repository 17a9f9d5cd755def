use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliveryQueue, Epoch, Settlement, StoreError, WorkRef,
};
use postrider_domain::WorkId;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use super::settle::Batch;
use crate::{
    SqlStore,
    batch::hex,
    connection::{Dialect, Scope},
    error::OrStoreError as _,
};

const HAND_BACK_ON_POSTGRES: &str = "
UPDATE outbox_work w SET owner = 0 FROM unnest($2::uuid[], $3::int[]) AS held(id, claim)
WHERE w.id = held.id AND w.claim = held.claim AND w.owner = $1";
/// The plus: see settling.
const HAND_BACK_ON_SQLITE: &str = "
UPDATE outbox_work SET owner = 0
WHERE +owner = $1 AND (id, claim) IN (SELECT unhex(value ->> 0), value ->> 1 FROM json_each($2))";

/// Rows of the queue that are held under those claims, unless an eraser is about to take them.
macro_rules! still_held {
    ($held:literal, $w:literal, $owner:literal) => {
        concat!(
            "SELECT w.id FROM ",
            $held,
            $w,
            " outbox_work w ON w.id = held.id AND w.claim = held.claim AND ",
            $owner,
            " = $1
             JOIN tenants t ON t.id = w.tenant AND t.status <> 'deleting'"
        )
    };
}
const STILL_HELD_ON_POSTGRES: &str = still_held!(
    "unnest($2::uuid[], $3::int[]) AS held(id, claim)",
    " JOIN",
    "w.owner"
);
const STILL_HELD_ON_SQLITE: &str = still_held!(
    "(SELECT unhex(value ->> 0) AS id, value ->> 1 AS claim FROM json_each($2)) AS held",
    " CROSS JOIN",
    "+w.owner"
);

/// The head of the index; parked and owned rows are elsewhere in it.
const NEXT_DUE: &str =
    "SELECT due_at - {now} AS wait FROM outbox_work WHERE owner = 0 ORDER BY due_at LIMIT 1";

#[derive(FromQueryResult)]
struct Wait {
    wait: i64,
}

#[derive(FromQueryResult)]
struct Held {
    id: Uuid,
}

/// `node`, and the rows as the statements above read them.
fn held_by(dialect: Dialect, node: Epoch, rows: &[WorkRef]) -> Vec<Value> {
    let mut values: Vec<Value> = vec![node.0.into()];
    match dialect {
        Dialect::Postgres => {
            let (ids, claims): (Vec<Uuid>, Vec<i32>) =
                rows.iter().map(|row| (row.id.as_uuid(), row.claim)).unzip();
            values.extend([ids.into(), claims.into()]);
        }
        Dialect::Sqlite => {
            let rows: Vec<(String, i32)> = rows
                .iter()
                .map(|row| (hex(row.id.as_uuid()), row.claim))
                .collect();
            values.push(serde_json::json!(rows).to_string().into());
        }
    }
    values
}

#[async_trait]
impl DeliveryQueue for SqlStore {
    async fn claim(&self, node: Epoch, from: ClaimFrom, limit: u32) -> Result<Vec<ClaimedWork>, StoreError> {
        self.take(node, from, limit).await
    }

    async fn settle(&self, node: Epoch, batch: Vec<Settlement>) -> Result<Vec<WorkId>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(batch)?;
        match self.database.dialect() {
            Dialect::Postgres => self.settle_on_postgres(node, &batch).await,
            Dialect::Sqlite => self.settle_on_sqlite(node, &batch).await,
        }
    }

    async fn hand_back(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let dialect = self.database.dialect();
        let sql = dialect.choose(HAND_BACK_ON_POSTGRES, HAND_BACK_ON_SQLITE);
        let statement = dialect.exactly(sql, held_by(dialect, node, &rows));
        self.database
            .engine()
            .execute_raw(statement)
            .await
            .or_store_error()
            .map(drop)
    }

    async fn still_held(&self, node: Epoch, rows: &[WorkRef]) -> Result<Vec<WorkId>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let dialect = self.database.dialect();
        let sql = dialect.choose(STILL_HELD_ON_POSTGRES, STILL_HELD_ON_SQLITE);
        let statement = dialect.exactly(sql, held_by(dialect, node, rows));
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let held = |row| {
            let row = Held::from_query_result(row, "").or_store_error()?;
            Ok(WorkId::from_uuid(row.id))
        };
        rows.iter().map(held).collect()
    }

    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        let statement = self.database.dialect().statement(NEXT_DUE, []);
        let row = self
            .database
            .read(Scope::Engine)
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        let wait = row
            .map(|row| Wait::from_query_result(&row, ""))
            .transpose()
            .or_store_error()?;
        // What was due before now is due now.
        Ok(wait.map(|wait| Duration::from_micros(u64::try_from(wait.wait).unwrap_or(0))))
    }
}
