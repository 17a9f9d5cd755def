//! Taking rows of the queue: one statement, and of racing claimers one gets a row.

use postrider_application::ports::{ClaimFrom, ClaimedWork, Epoch, StoreError, WorkRef};
use postrider_domain::{ApplicationId, EndpointId, MessageId, TenantId, WorkId};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{read_count, timestamp},
    connection::{postgres_now, sqlite_now},
    error::OrStoreError as _,
};

macro_rules! claimed {
    ($w:literal) => {
        concat!(
            " RETURNING ",
            $w,
            "id, ",
            $w,
            "tenant, ",
            $w,
            "app, ",
            $w,
            "message, ",
            $w,
            "endpoint, ",
            $w,
            "due_at, ",
            $w,
            "owner, ",
            $w,
            "claim, ",
            $w,
            "attempts, ",
            $w,
            "failures, ",
            $w,
            "seq"
        )
    };
}

/// Rows that nobody owns and that are due. Whoever else claims at the same time skips what is locked; the CTE is
/// materialized so that the limit is applied once, before the update.
const FROM_QUEUE_ON_POSTGRES: &str = concat!(
    "WITH due AS MATERIALIZED (
        SELECT id FROM outbox_work WHERE owner = 0 AND due_at <= ",
    postgres_now!(),
    " ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_work w SET owner = $1, claim = w.claim + 1 FROM due WHERE w.id = due.id",
    claimed!("w.")
);
/// There is one writer, so nobody claims at the same time.
const FROM_QUEUE_ON_SQLITE: &str = concat!(
    "UPDATE outbox_work SET owner = $1, claim = claim + 1 WHERE id IN (
        SELECT id FROM outbox_work WHERE owner = 0 AND due_at <= ",
    sqlite_now!(),
    " ORDER BY due_at LIMIT $2
    )",
    claimed!("")
);

/// Rows of one dead node: what is due is taken, what is not goes back to the queue. Who lives keeps what it
/// holds; a node that is not known at all is dead.
const FROM_DEAD_ON_POSTGRES: &str = concat!(
    "WITH held AS MATERIALIZED (
        SELECT id, due_at <= ",
    postgres_now!(),
    " AS due FROM outbox_work
        WHERE owner = $3 AND NOT EXISTS (SELECT 1 FROM nodes WHERE epoch = $3 AND NOT dead)
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox_work w SET owner = CASE WHEN held.due THEN $1 ELSE 0 END,
        claim = CASE WHEN held.due THEN w.claim + 1 ELSE w.claim END
    FROM held WHERE w.id = held.id",
    claimed!("w.")
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
    )",
    claimed!("")
);

#[derive(FromQueryResult)]
struct ClaimedRow {
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
}

impl ClaimedRow {
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
        })
    }
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
        let limit = i64::from(limit).into();
        let statement = match from {
            ClaimFrom::Queue => {
                let sql = dialect.choose(FROM_QUEUE_ON_POSTGRES, FROM_QUEUE_ON_SQLITE);
                dialect.exactly(sql, [node.0.into(), limit])
            }
            ClaimFrom::Dead(dead) => {
                let sql = dialect.choose(FROM_DEAD_ON_POSTGRES, FROM_DEAD_ON_SQLITE);
                dialect.exactly(sql, [node.0.into(), limit, dead.0.into()])
            }
        };
        let rows = self
            .database
            .engine()
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = ClaimedRow::from_query_result(row, "").or_store_error()?;
            if row.owner == node.0 {
                match row.read() {
                    Ok(work) => taken.push(work),
                    // Its owner is this node by now; the others of the batch must not suffer for it.
                    Err(error) => tracing::error!(%error, "a row of the queue cannot be read"),
                }
            }
        }
        // What an update returns has no order of its own.
        taken.sort_unstable_by_key(|work| (work.due_at, work.seq));
        Ok(taken)
    }
}
