use postrider_application::{
    access::TenantScope,
    ports::{DeliveryRepository, StoreError},
};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, WorkId, deliveries::Delivery, messages::TraceParent,
};
use sea_orm::{ConnectionTrait as _, FromQueryResult as _, Value};

use super::row::DeliveryRow;
use crate::{
    codec::stored_count,
    connection::Dialect,
    error::{OrStoreError as _, fault},
    unit_of_work::SqlUnitOfWork,
};

/// The history, and only without one the queue.
const FIND: &str = "
SELECT message, endpoint, status, reason, due_at, attempts, failures, updated_at FROM deliveries
WHERE message = $1 AND endpoint = $2 AND app = $3 AND tenant = {tenant}
UNION ALL
SELECT w.message, w.endpoint, 'pending', NULL, w.due_at, w.attempts, w.failures, w.due_at FROM outbox_work w
WHERE w.message = $1 AND w.endpoint = $2 AND w.app = $3 AND w.tenant = {tenant}
    AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = $1 AND d.endpoint = $2)
LIMIT 1";

/// The queue's row, if the message is the application's and has its payload still. A unique index sees to it that it is
/// not queued twice.
const QUEUE_ON_POSTGRES: &str = "
INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes,
    asked_in)
SELECT $6, m.tenant, m.app, m.id, $2, {now}, 0, 0, $4, $5, m.payload_bytes, $7 FROM messages m
WHERE m.id = $1 AND m.app = $3 AND m.tenant = {tenant} AND EXISTS (SELECT 1 FROM payloads p WHERE p.message = m.id)";
const QUEUE_ON_SQLITE: &str = "
UPDATE outbox_work_seq SET last = last + 1;
INSERT INTO outbox_work
    (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes, asked_in)
SELECT $6, m.tenant, m.app, m.id, $2, {now}, 0, 0, $4, $5, s.last, m.payload_bytes, $7 FROM messages m, outbox_work_seq s
WHERE m.id = $1 AND m.app = $3 AND m.tenant = {tenant} AND EXISTS (SELECT 1 FROM payloads p WHERE p.message = m.id)";

/// In what was asked for, in place of the trace that nobody records: a row without either was not asked for.
const UNTRACED: &str = "";

/// Whether there is anything to send.
const PAYLOAD: &str = "
SELECT m.id FROM messages m JOIN payloads p ON p.message = m.id AND p.tenant = m.tenant
WHERE m.id = $1 AND m.app = $2 AND m.tenant = {tenant}";

/// Pending again, if it still has as many attempts as when it was found: otherwise somebody else sent it in
/// between, and the numbers of its attempts would clash.
const PENDING: &str = "
INSERT INTO deliveries (message, endpoint, tenant, app, status, due_at, attempts, failures, updated_at)
VALUES ($1, $2, {tenant}, $3, 'pending', {now}, $4, $5, {now})
ON CONFLICT (message, endpoint) DO UPDATE SET status = excluded.status, reason = NULL, due_at = excluded.due_at,
    failures = excluded.failures, updated_at = excluded.updated_at
WHERE deliveries.tenant = excluded.tenant AND deliveries.app = excluded.app
    AND deliveries.attempts = excluded.attempts";

impl DeliveryRepository for SqlUnitOfWork {
    async fn find_delivery(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let find = self.dialect.of_tenant(
            tenant,
            FIND,
            [
                message.as_uuid().into(),
                endpoint.as_uuid().into(),
                application.as_uuid().into(),
            ],
        )?;
        let row = self.transaction.query_one_raw(find).await.or_store_error()?;
        row.map(|row| {
            DeliveryRow::from_query_result(&row, "")
                .or_store_error()?
                .delivery()
        })
        .transpose()
    }

    async fn has_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<bool, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(false);
        };
        let named = [message.as_uuid().into(), application.as_uuid().into()];
        let payload = self.dialect.of_tenant(tenant, PAYLOAD, named)?;
        let row = self.transaction.query_one_raw(payload).await.or_store_error()?;
        Ok(row.is_some())
    }

    async fn requeue(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        delivery: &Delivery,
        work: WorkId,
        asked_in: Option<&TraceParent>,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        let of: [Value; 5] = [
            delivery.message.as_uuid().into(),
            delivery.endpoint.as_uuid().into(),
            application.as_uuid().into(),
            stored_count("attempts", delivery.attempts)?.into(),
            stored_count("failures", delivery.failures)?.into(),
        ];
        // The queue first: its unique index is where two of these, or this and a settlement, meet.
        let (queue, rows) = match self.dialect {
            Dialect::Postgres => (QUEUE_ON_POSTGRES, 1),
            Dialect::Sqlite => (QUEUE_ON_SQLITE, 2),
        };
        let named = of.clone().into_iter().chain([
            work.as_uuid().into(),
            asked_in.map_or(UNTRACED, TraceParent::as_str).into(),
        ]);
        let queue = self.dialect.of_tenant(tenant, queue, named)?;
        let queued = self.transaction.execute_raw(queue).await.or_store_error()?;
        if queued.rows_affected() != rows {
            return Err(fault(
                "the application has no such message, or its payload is gone",
            ));
        }
        let pending = self.dialect.of_tenant(tenant, PENDING, of)?;
        let pending = self.transaction.execute_raw(pending).await.or_store_error()?;
        match pending.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Stale),
        }
    }
}
