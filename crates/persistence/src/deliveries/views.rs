use postrider_application::ports::{AttemptView, DeliveryView, Page, PageRequest, StoreError};
use postrider_domain::{ApplicationId, EndpointId, MessageId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult as _};

use super::row::{AttemptRow, DeliveryRow};
use crate::{
    SqlStore,
    connection::Scope,
    error::OrStoreError as _,
    paging::{Order, id_bound, limit, reading},
};

/// The deliveries of a message after an endpoint: those with a history, and those that were queued and never
/// attempted. Each half is bounded by itself, so that neither is read to its end.
const PAGE: &str = "
SELECT message, endpoint, status, reason, due_at, attempts, failures, updated_at FROM (
    SELECT * FROM (
        SELECT message, endpoint, status, reason, due_at, attempts, failures, updated_at FROM deliveries
        WHERE message = $1 AND app = $2 AND tenant = {tenant} AND endpoint {beyond} $3 ORDER BY endpoint {order} LIMIT $4
    ) AS with_history
    UNION ALL
    SELECT * FROM (
        SELECT w.message, w.endpoint, 'pending', NULL, w.due_at, w.attempts, w.failures, w.due_at FROM outbox_work w
        WHERE w.message = $1 AND w.app = $2 AND w.tenant = {tenant} AND w.endpoint IS NOT NULL AND w.endpoint {beyond} $3
            AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = w.message AND d.endpoint = w.endpoint)
        ORDER BY w.endpoint {order} LIMIT $4
    ) AS never_attempted
) AS both_kinds ORDER BY endpoint {order} LIMIT $4";

const ATTEMPTS: &str = "
SELECT a.n, a.started_at, a.latency_us, a.failure, a.http_status, a.body, a.body_truncated, a.response_headers
FROM attempts a JOIN messages m ON m.id = a.message AND m.tenant = a.tenant
WHERE a.message = $1 AND m.app = $2 AND a.tenant = {tenant} AND a.endpoint = $3 AND a.n {beyond} $4 ORDER BY a.n {order} LIMIT $5";

impl SqlStore {
    /// A page of where a message stands, by endpoint.
    pub(crate) async fn page_of_deliveries(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<DeliveryView, EndpointId>, StoreError> {
        let statement = self.database.dialect().of_tenant(
            tenant,
            &reading(PAGE, Order::Ascending, &page),
            [
                message.as_uuid().into(),
                application.as_uuid().into(),
                id_bound(Order::Ascending, &page, EndpointId::as_uuid),
                limit(&page),
            ],
        )?;
        let rows = self
            .database
            .read(Scope::Tenant(tenant))
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let view = |row| DeliveryRow::from_query_result(row, "").or_store_error()?.view();
        let views = rows.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Page::of(views, &page, |view: &DeliveryView| view.endpoint))
    }

    /// A page of the attempts of a delivery, by number.
    pub(crate) async fn page_of_attempts(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
        page: PageRequest<u32>,
    ) -> Result<Page<AttemptView, u32>, StoreError> {
        let statement = self.database.dialect().of_tenant(
            tenant,
            &reading(ATTEMPTS, Order::Ascending, &page),
            [
                message.as_uuid().into(),
                application.as_uuid().into(),
                endpoint.as_uuid().into(),
                i64::from(page.key().unwrap_or(0)).into(),
                limit(&page),
            ],
        )?;
        let rows = self
            .database
            .read(Scope::Tenant(tenant))
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let view = |row| AttemptRow::from_query_result(row, "").or_store_error()?.view();
        let views = rows.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Page::of(views, &page, |view: &AttemptView| view.number))
    }
}
