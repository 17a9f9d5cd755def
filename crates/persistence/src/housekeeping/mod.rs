//! What nobody waits for: forgetting what expired, noting when keys were used, appending denials to the audit log,
//! and erasing tenants.

mod erasure;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use postrider_application::{
    audit::AuditEntry,
    ports::{DELETED_APPLICATIONS_KEPT, ErasureStep, Housekeeping, StoreError},
};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};
use sea_orm::{ConnectionTrait as _, Statement};
use uuid::Uuid;

pub(crate) use erasure::erasure;

use crate::{
    SqlStore, audit,
    batch::hex,
    codec::micros,
    connection::{Dialect, Scope},
    error::OrStoreError as _,
};

/// What has an end: the table, its key, and the column that says when. A session that cannot be refreshed any more
/// has no access token left that would be good.
const EXPIRING: [(&str, &str, &str); 5] = [
    ("sessions", "tenant, id", "refresh_expires_at"),
    ("invitations", "tenant, id", "expires_at"),
    ("password_resets", "user_id", "expires_at"),
    ("idempotency_keys", "tenant, key_hash", "expires_at"),
    ("replays", "tenant, id", "expires_at"),
];

/// What is left of deleted applications, and is not needed any more. There are few: what waits is looked through for
/// those only whose time is over.
const DELETED_APPLICATIONS: &str = "deleted_at <= {now} - $2
    AND NOT EXISTS (SELECT 1 FROM outbox_work w WHERE w.tenant = applications.tenant AND w.app = applications.id)
    ORDER BY deleted_at LIMIT $1";

/// Rows are locked in the order of their keys, so that two nodes never wait for each other in a circle.
const USES_ON_POSTGRES: &str = "
WITH used AS MATERIALIZED (
    SELECT k.tenant, k.id, u.at FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u (tenant, id, at)
    JOIN api_keys k ON k.tenant = u.tenant AND k.id = u.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < u.at
    ORDER BY k.tenant, k.id FOR NO KEY UPDATE OF k
)
UPDATE api_keys k SET last_used_at = used.at FROM used
WHERE k.tenant = used.tenant AND k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)";
const USES_ON_SQLITE: &str = "
UPDATE api_keys SET last_used_at = used.at FROM (
    SELECT unhex(value ->> 0) AS tenant, unhex(value ->> 1) AS id, value ->> 2 AS at FROM json_each($1)
) AS used
WHERE api_keys.tenant = used.tenant AND api_keys.id = used.id
    AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < used.at)";

/// A statement that deletes some rows of a table: those with the keys that `some` (conditions, order and limit)
/// selects. Rows that somebody else is at are passed over.
pub(crate) fn delete_some(dialect: Dialect, table: &str, key: &str, some: &str) -> String {
    let unlocked = dialect.choose(" FOR UPDATE SKIP LOCKED", "");
    format!(
        "WITH gone AS MATERIALIZED (SELECT {key} FROM {table} WHERE {some}{unlocked})
         DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM gone)"
    )
}

/// The latest use of each key, by key.
type Latest = BTreeMap<(Uuid, Uuid), i64>;

fn uses(dialect: Dialect, latest: &Latest) -> Statement {
    match dialect {
        Dialect::Postgres => {
            let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = latest.keys().copied().unzip();
            let times: Vec<i64> = latest.values().copied().collect();
            dialect.exactly(USES_ON_POSTGRES, [tenants.into(), ids.into(), times.into()])
        }
        Dialect::Sqlite => {
            let used = |((tenant, id), at): (&(Uuid, Uuid), &i64)| (hex(*tenant), hex(*id), *at);
            let used: Vec<_> = latest.iter().map(used).collect();
            dialect.exactly(USES_ON_SQLITE, [serde_json::json!(used).to_string().into()])
        }
    }
}

#[async_trait]
impl Housekeeping for SqlStore {
    async fn forget_expired(&self, limit: u32) -> Result<u32, StoreError> {
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Operator).await?;
        let mut left = limit;
        for (table, key, end) in EXPIRING {
            let some = format!("{end} <= {{now}} ORDER BY {end} LIMIT $1");
            let forget = delete_some(dialect, table, key, &some);
            let forgotten = transaction
                .execute_raw(dialect.statement(&forget, [i64::from(left).into()]))
                .await
                .or_store_error()?;
            // No more than were asked for, so it fits.
            left -= u32::try_from(forgotten.rows_affected()).unwrap_or(left);
        }
        let forget = delete_some(dialect, "applications", "tenant, id", DELETED_APPLICATIONS);
        let values = [i64::from(left).into(), micros(DELETED_APPLICATIONS_KEPT).into()];
        let forgotten = transaction
            .execute_raw(dialect.statement(&forget, values))
            .await
            .or_store_error()?;
        left -= u32::try_from(forgotten.rows_affected()).unwrap_or(left);
        transaction.commit().await?;
        Ok(limit - left)
    }

    async fn erase(&self, limit: u32, grace: Duration) -> Result<ErasureStep, StoreError> {
        erasure::step(&self.database, limit.max(1), grace).await
    }

    async fn record_key_uses(&self, uses: &[(TenantId, ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut latest = Latest::new();
        for (tenant, id, at) in uses {
            let known = latest.entry((tenant.as_uuid(), id.as_uuid())).or_insert(i64::MIN);
            *known = at.as_micros().max(*known);
        }
        if latest.is_empty() {
            return Ok(());
        }
        let note = self::uses(self.database.dialect(), &latest);
        self.database.engine().execute_raw(note).await.or_store_error()?;
        Ok(())
    }

    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let append = audit::append_batch(self.database.dialect(), entries)?;
        self.database
            .engine()
            .execute_raw(append)
            .await
            .or_store_error()?;
        Ok(())
    }
}
