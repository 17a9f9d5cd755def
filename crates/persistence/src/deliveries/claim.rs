//! Taking rows of the queue: one statement, and of racing claimers one gets a row.

use postrider_application::ports::{ClaimFrom, ClaimedWork, Epoch, StoreError, WorkRef};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, TenantId, Timestamp, WorkId, messages::TraceParent,
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, QueryResult, Value};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{read_count, timestamp},
    connection::{postgres_now, sqlite_now},
    error::OrStoreError as _,
};

/// A row of the queue as [`WorkRow`] reads it, of the table by that name.
macro_rules! work {
    ($w:literal) => {
        concat!(
            $w,
            ".id, ",
            $w,
            ".tenant, ",
            $w,
            ".app, ",
            $w,
            ".message, ",
            $w,
            ".endpoint, ",
            $w,
            ".due_at, ",
            $w,
            ".owner, ",
            $w,
            ".claim, ",
            $w,
            ".attempts, ",
            $w,
            ".failures, ",
            $w,
            ".seq, ",
            $w,
            ".payload_bytes, ",
            $w,
            ".asked_in, coalesce((SELECT a.endpoints_version FROM applications a WHERE a.tenant = ",
            $w,
            ".tenant AND a.id = ",
            $w,
            ".app), 0) AS endpoints_version"
        )
    };
}
pub(super) use work;

/// Rows that are due and that match. Whoever else claims at the same time skips what is locked; the CTE is
/// materialized so that the limit is applied once, before the update. Its rows are reached by their key, as the array
/// says: an estimate of how many there are, which is always old, decides nothing.
macro_rules! due_on_postgres {
    ($matching:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (
                SELECT id FROM outbox_work WHERE ",
            $matching,
            " AND due_at <= ",
            postgres_now!(),
            " ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            UPDATE outbox_work w SET owner = $1, claim = w.claim + 1
            WHERE w.id = ANY (ARRAY(SELECT id FROM due)) RETURNING ",
            work!("w")
        )
    };
}
/// The same. There is one writer, so nobody claims at the same time.
macro_rules! due_on_sqlite {
    ($matching:literal) => {
        concat!(
            "UPDATE outbox_work SET owner = $1, claim = claim + 1 WHERE id IN (
                SELECT id FROM outbox_work WHERE ",
            $matching,
            " AND due_at <= ",
            sqlite_now!(),
            " ORDER BY due_at LIMIT $2
            ) RETURNING ",
            work!("outbox_work")
        )
    };
}

/// What nobody owns, from a due time on: what was claimed and deleted before it is not walked over again, as it would
/// be for as long as an old snapshot keeps it.
const FROM_QUEUE_ON_POSTGRES: &str = due_on_postgres!("owner = 0 AND due_at >= $3");
const FROM_QUEUE_ON_SQLITE: &str = due_on_sqlite!("owner = 0 AND due_at >= $3");

/// The parked rows of an endpoint, by their own index, from a due time on for the same reason.
const PARKED_ON_POSTGRES: &str = due_on_postgres!("owner = -1 AND due_at >= $3 AND endpoint = $4");
const PARKED_ON_SQLITE: &str = due_on_sqlite!("owner = -1 AND due_at >= $3 AND endpoint = $4");

/// Rows of one dead node: what is due is taken, what is not goes back to the queue. Who lives keeps what it
/// holds; a node that is not known at all is dead.
const FROM_DEAD_ON_POSTGRES: &str = concat!(
    "WITH held AS MATERIALIZED (
        SELECT id FROM outbox_work
        WHERE owner = $3 AND NOT EXISTS (SELECT 1 FROM nodes WHERE epoch = $3 AND NOT dead)
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_work w SET owner = CASE WHEN w.due_at <= ",
    postgres_now!(),
    " THEN $1 ELSE 0 END, claim = CASE WHEN w.due_at <= ",
    postgres_now!(),
    " THEN w.claim + 1 ELSE w.claim END
    WHERE w.id = ANY (ARRAY(SELECT id FROM held)) RETURNING ",
    work!("w")
);
const FROM_DEAD_ON_SQLITE: &str = concat!(
    "UPDATE outbox_work SET owner = CASE WHEN due_at <= ",
    sqlite_now!(),
    " THEN $1 ELSE 0 END, claim = CASE WHEN due_at <= ",
    sqlite_now!(),
    " THEN claim + 1 ELSE claim END
    WHERE id IN (
        SELECT id FROM outbox_work
        WHERE owner = $3 AND NOT EXISTS (SELECT 1 FROM nodes WHERE epoch = $3 AND NOT dead)
        ORDER BY due_at LIMIT $2
    ) RETURNING ",
    work!("outbox_work")
);

#[derive(FromQueryResult)]
struct WorkRow {
    id: Uuid,
    tenant: Uuid,
    app: Uuid,
    message: Uuid,
    endpoint: Option<Uuid>,
    due_at: i64,
    owner: i64,
    claim: i32,
    attempts: i32,
    failures: i32,
    seq: i64,
    payload_bytes: i32,
    endpoints_version: i64,
    asked_in: Option<String>,
}

impl WorkRow {
    fn read(self) -> Result<ClaimedWork, StoreError> {
        Ok(ClaimedWork {
            work: WorkRef {
                id: WorkId::from_uuid(self.id),
                claim: self.claim,
            },
            tenant: TenantId::from_uuid(self.tenant),
            application: ApplicationId::from_uuid(self.app),
            message: MessageId::from_uuid(self.message),
            endpoint: self.endpoint.map(EndpointId::from_uuid),
            due_at: timestamp(self.due_at),
            attempts: read_count("attempts of queued work", self.attempts)?,
            failures: read_count("failures of queued work", self.failures)?,
            seq: self.seq,
            payload_bytes: read_count("size of the payload of queued work", self.payload_bytes)?,
            endpoints_version: self.endpoints_version,
            asked_for: self.asked_in.is_some(),
            // Whatever it is, it must not keep a delivery back.
            asked_in: self.asked_in.and_then(|text| TraceParent::parse(&text).ok()),
        })
    }
}

/// The earliest due time to look at.
pub(super) fn low_water(low: Option<Timestamp>) -> Value {
    low.map_or(i64::MIN, Timestamp::as_micros).into()
}

/// Those of the rows that `node` owns.
pub(super) fn read_owned(node: Epoch, rows: &[QueryResult]) -> Result<Vec<ClaimedWork>, StoreError> {
    let mut owned = Vec::with_capacity(rows.len());
    for row in rows {
        let row = WorkRow::from_query_result(row, "").or_store_error()?;
        if row.owner == node.0 {
            match row.read() {
                Ok(work) => owned.push(work),
                // Its owner is this node by now; the others of the batch must not suffer for it.
                Err(error) => tracing::error!(%error, "a row of the queue cannot be read"),
            }
        }
    }
    Ok(owned)
}

impl SqlStore {
    /// Takes up to `limit` rows for `node`, the longest due first.
    pub(super) async fn take(
        &self,
        node: Epoch,
        from: ClaimFrom,
        limit: u32,
    ) -> Result<Vec<ClaimedWork>, StoreError> {
        let dialect = self.database.dialect();
        let mut values: Vec<Value> = vec![node.0.into(), i64::from(limit).into()];
        let sql = match from {
            ClaimFrom::Queue { low } => {
                values.push(low_water(low));
                dialect.choose(FROM_QUEUE_ON_POSTGRES, FROM_QUEUE_ON_SQLITE)
            }
            ClaimFrom::Parked { endpoint, low } => {
                values.extend([low_water(low), endpoint.as_uuid().into()]);
                dialect.choose(PARKED_ON_POSTGRES, PARKED_ON_SQLITE)
            }
            ClaimFrom::Dead(dead) => {
                values.push(dead.0.into());
                dialect.choose(FROM_DEAD_ON_POSTGRES, FROM_DEAD_ON_SQLITE)
            }
        };
        let statement = dialect.exactly(sql, values);
        let rows = self
            .database
            .engine()
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let mut taken = read_owned(node, &rows)?;
        // What an update returns has no order of its own.
        taken.sort_unstable_by_key(|work| (work.due_at, work.seq));
        Ok(taken)
    }
}
