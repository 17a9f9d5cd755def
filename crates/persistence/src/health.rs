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
};

/// An attempt that was under way may be settled while its endpoint is disabled or deleted: such a row says nothing.
const FAILING: &str = "
SELECT f.endpoint, f.tenant, f.app, f.since FROM endpoint_failures f
JOIN endpoints e ON e.tenant = f.tenant AND e.app = f.app AND e.id = f.endpoint AND e.disabled_at IS NULL
WHERE f.since <= {now} - $1 ORDER BY f.since, f.endpoint LIMIT $2";

const FORGET: &str = "DELETE FROM endpoint_failures WHERE endpoint = $1 AND tenant = {tenant}";

#[derive(FromQueryResult)]
struct FailingRow {
    endpoint: Uuid,
    tenant: Uuid,
    app: Uuid,
    since: i64,
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
                since: timestamp(row.since),
            })
        };
        rows.iter().map(endpoint).collect()
    }
}
