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

/// The head of the index; parked and owned rows are elsewhere in it.
const NEXT_DUE: &str =
    "SELECT due_at - {now} AS wait FROM outbox_work WHERE owner = 0 ORDER BY due_at LIMIT 1";

#[derive(FromQueryResult)]
struct Wait {
    wait: i64,
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
        let sql = dialect.choose(HAND_BACK_ON_POSTGRES, HAND_BACK_ON_SQLITE);
        let statement = dialect.exactly(sql, values);
        self.database
            .engine()
            .execute_raw(statement)
            .await
            .or_store_error()
            .map(drop)
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
