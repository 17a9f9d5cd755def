//! Which endpoints fail: written when a batch is settled, and forgotten when the endpoint is saved or deleted.

use std::time::Duration;

use async_trait::async_trait;
use postrider_application::ports::{EndpointHealth, FailingEndpoint, StoreError};
use postrider_domain::{ApplicationId, EndpointId, TenantId, endpoints::EndpointState};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use uuid::Uuid;

use crate::{
    SqlStore,
    codec::{micros, timestamp},
    connection::{Dialect, Scope},
    error::OrStoreError as _,
    stored::read_version,
};

/// An attempt that was under way may be settled while its endpoint is disabled or deleted: such a row says nothing.
/// What began too late is left out by the index already, and cannot have lasted.
const FAILING: &str = "
SELECT f.endpoint, f.tenant, f.app, f.since, f.last_at, e.version FROM endpoint_failures f
JOIN endpoints e ON e.tenant = f.tenant AND e.app = f.app AND e.id = f.endpoint AND e.disabled_at IS NULL
WHERE f.since <= {now} - $1 AND f.last_at - f.since >= $1 ORDER BY f.since, f.endpoint LIMIT $2";

const FORGET: &str = "DELETE FROM endpoint_failures WHERE endpoint = $1 AND tenant = {tenant}";

#[derive(FromQueryResult)]
struct FailingRow {
    endpoint: Uuid,
    tenant: Uuid,
    app: Uuid,
    since: i64,
    last_at: i64,
    version: i32,
}

/// How much later than the last failure that is noted another must be to be noted, in microseconds.
pub(crate) fn last_at_step() -> i64 {
    micros(FailingEndpoint::LAST_AT_STEP)
}

/// Forgets that the endpoint failed: it may be another one now.
pub(crate) fn forget(dialect: Dialect, endpoint: &EndpointState) -> Result<Statement, StoreError> {
    dialect.of_tenant(endpoint.tenant, FORGET, [endpoint.id.as_uuid().into()])
}

#[async_trait]
impl EndpointHealth for SqlStore {
    async fn failing_for(&self, at_least: Duration, limit: u32) -> Result<Vec<FailingEndpoint>, StoreError> {
        let values = [micros(at_least).into(), i64::from(limit).into()];
        let failing = self.database.dialect().statement(FAILING, values);
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(failing)
            .await
            .or_store_error()?;
        let endpoint = |row| {
            let row = FailingRow::from_query_result(row, "").or_store_error()?;
            Ok(FailingEndpoint {
                tenant: TenantId::from_uuid(row.tenant),
                application: ApplicationId::from_uuid(row.app),
                endpoint: EndpointId::from_uuid(row.endpoint),
                version: read_version(row.version)?,
                since: timestamp(row.since),
                last_at: timestamp(row.last_at),
            })
        };
        rows.iter().map(endpoint).collect()
    }
}
