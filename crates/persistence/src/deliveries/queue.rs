use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{
    ClaimFrom, ClaimedWork, DeliveryQueue, Epoch, Settlement, StoreError, WorkRef,
};
use postrider_domain::{EndpointId, Timestamp, WorkId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use super::{
    claim::{low_water, read_owned, work},
    settle::Batch,
};
use crate::{
    SqlStore,
    batch::JsonRows,
    codec::micros,
    connection::{Dialect, Scope},
    error::OrStoreError as _,
};

/// Rows that are held under those claims and get another owner. See settling.
macro_rules! let_go {
    (postgres, $owner:literal, $rows:literal) => {
        concat!(
            "UPDATE outbox_work w SET owner = ",
            $owner,
            "
             WHERE w.id = ANY ($2) AND w.owner + 0 = $1
                AND ((w.id, w.claim) IN (SELECT * FROM unnest($2::uuid[], $3::int[]))) IS TRUE",
            $rows
        )
    };
    (sqlite, $owner:literal, $rows:literal) => {
        concat!(
            "UPDATE outbox_work SET owner = ",
            $owner,
            " WHERE +owner = $1 AND (id, claim) IN (SELECT unhex(value ->> 0), value ->> 1 FROM json_each($2))",
            $rows
        )
    };
}
const HAND_BACK_ON_POSTGRES: &str = let_go!(postgres, "0", "");
const HAND_BACK_ON_SQLITE: &str = let_go!(sqlite, "0", "");
/// A message to fan out has no lane, and nobody would find it again.
const PARK_ON_POSTGRES: &str = let_go!(postgres, "-1", " AND w.endpoint IS NOT NULL");
const PARK_ON_SQLITE: &str = let_go!(sqlite, "-1", " AND endpoint IS NOT NULL");

/// Endpoints are read off the index of what is parked, one step for each, however many rows one has.
const PARKED_ENDPOINTS: &str = "
WITH RECURSIVE parked (endpoint) AS (
    SELECT (SELECT w.endpoint FROM outbox_work w WHERE w.owner = -1 AND w.endpoint > $1 ORDER BY w.endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT w.endpoint FROM outbox_work w WHERE w.owner = -1 AND w.endpoint > p.endpoint
            ORDER BY w.endpoint LIMIT 1)
    FROM parked p WHERE p.endpoint IS NOT NULL
)
SELECT endpoint FROM parked WHERE endpoint IS NOT NULL LIMIT $2";

/// The second condition on the due time is what the index is entered with.
const OWNED: &str = concat!(
    "SELECT ",
    work!("w"),
    " FROM outbox_work w
    WHERE w.owner = $1 AND w.due_at <= {now} - $2 AND w.due_at >= $3 AND (w.due_at, w.id) > ($3, $4)
    ORDER BY w.due_at, w.id LIMIT $5"
);

/// Rows of the queue that are held under those claims, unless an eraser is about to take them.
const STILL_HELD_ON_POSTGRES: &str = "
SELECT w.id FROM outbox_work w JOIN tenants t ON t.id = w.tenant AND t.status <> 'deleting'
WHERE w.id = ANY ($2) AND w.owner + 0 = $1
    AND ((w.id, w.claim) IN (SELECT * FROM unnest($2::uuid[], $3::int[]))) IS TRUE";
const STILL_HELD_ON_SQLITE: &str = "
SELECT w.id FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS claim FROM json_each($2)) AS held
CROSS JOIN outbox_work w ON w.id = held.id AND w.claim = held.claim AND +w.owner = $1
JOIN tenants t ON t.id = w.tenant AND t.status <> 'deleting'";

/// The head of the index, from a due time on: what was claimed and deleted before it is not walked over. Parked and
/// owned rows are elsewhere in it.
const NEXT_DUE: &str =
    "SELECT due_at - {now} AS wait FROM outbox_work WHERE owner = 0 AND due_at >= $1 ORDER BY due_at LIMIT 1";

#[derive(FromQueryResult)]
struct Wait {
    wait: i64,
}

#[derive(FromQueryResult)]
struct Held {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Parked {
    endpoint: Uuid,
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
            let mut held = JsonRows::default();
            for row in rows {
                held.row().id(row.id.as_uuid()).number(row.claim);
            }
            values.push(held.value());
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
        self.let_go(HAND_BACK_ON_POSTGRES, HAND_BACK_ON_SQLITE, node, &rows)
            .await
    }

    async fn park(&self, node: Epoch, rows: Vec<WorkRef>) -> Result<(), StoreError> {
        self.let_go(PARK_ON_POSTGRES, PARK_ON_SQLITE, node, &rows).await
    }

    async fn parked_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
    ) -> Result<Vec<EndpointId>, StoreError> {
        // No endpoint has the nil id.
        let after = after.map_or(Uuid::nil(), |after| after.as_uuid());
        let values = [after.into(), i64::from(limit).into()];
        let statement = self.database.dialect().exactly(PARKED_ENDPOINTS, values);
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let parked = |row| {
            let row = Parked::from_query_result(row, "").or_store_error()?;
            Ok(EndpointId::from_uuid(row.endpoint))
        };
        rows.iter().map(parked).collect()
    }

    async fn owned(
        &self,
        node: Epoch,
        age: Duration,
        after: Option<(Timestamp, WorkId)>,
        limit: u32,
    ) -> Result<Vec<ClaimedWork>, StoreError> {
        let (due_at, id) = after.map_or((i64::MIN, Uuid::nil()), |(due_at, id)| {
            (due_at.as_micros(), id.as_uuid())
        });
        let statement = self.database.dialect().statement(
            OWNED,
            [
                node.0.into(),
                micros(age).into(),
                due_at.into(),
                id.into(),
                i64::from(limit).into(),
            ],
        );
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        read_owned(node, &rows)
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

    async fn next_due(&self, low: Option<Timestamp>) -> Result<Option<Duration>, StoreError> {
        let statement = self.database.dialect().statement(NEXT_DUE, [low_water(low)]);
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

impl SqlStore {
    /// Gives what `node` holds of these rows to nobody, in one way or another.
    async fn let_go(
        &self,
        on_postgres: &'static str,
        on_sqlite: &'static str,
        node: Epoch,
        rows: &[WorkRef],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let dialect = self.database.dialect();
        let sql = dialect.choose(on_postgres, on_sqlite);
        let statement = dialect.exactly(sql, held_by(dialect, node, rows));
        self.database
            .engine()
            .execute_raw(statement)
            .await
            .or_store_error()
            .map(drop)
    }
}
