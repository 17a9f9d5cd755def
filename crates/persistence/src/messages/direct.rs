//! Messages to one endpoint: stored and queued in the transaction of whoever sends them.

use postrider_application::{
    access::TenantScope,
    ports::{DirectMessages, StoreError},
};
use postrider_domain::{
    EndpointId, WorkId,
    messages::{Message, TraceParent},
};
use sea_orm::{ConnectionTrait as _, Value};

use crate::{
    codec::StoredTexts,
    error::{OrStoreError as _, corrupt, fault},
    unit_of_work::SqlUnitOfWork,
};

const MESSAGE_ON_POSTGRES: &str = "
INSERT INTO messages
    (id, tenant, app, event_type, channels, event_id, content_type, payload_bytes, created_at, trace, only_endpoint)
VALUES ($1, {tenant}, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10)";
const MESSAGE_ON_SQLITE: &str = "
INSERT INTO messages
    (id, tenant, app, event_type, channels, event_id, content_type, payload_bytes, created_at, trace, only_endpoint)
VALUES ($1, {tenant}, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const PAYLOAD: &str = "INSERT INTO payloads (message, tenant, body) VALUES ($1, {tenant}, $2)";

const QUEUE_ON_POSTGRES: &str = "
INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes)
VALUES ($1, {tenant}, $2, $3, $4, {now}, 0, 0, 0, 0, $5)";
const QUEUE_ON_SQLITE: &str = "
UPDATE outbox_work_seq SET last = last + 1;
INSERT INTO outbox_work
    (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes)
SELECT $1, {tenant}, $2, $3, $4, {now}, 0, 0, 0, 0, s.last, $5 FROM outbox_work_seq s";

impl DirectMessages for SqlUnitOfWork {
    async fn send_to(
        &mut self,
        scope: &TenantScope,
        message: &Message,
        endpoint: EndpointId,
        work: WorkId,
    ) -> Result<(), StoreError> {
        let (tenant, dialect) = (self.writable(scope)?, self.dialect);
        if message.tenant != tenant {
            return Err(fault("the message is another tenant's"));
        }
        let (id, application) = (message.id.as_uuid(), message.application.as_uuid());
        let body = message.payload.bytes();
        let payload_bytes = i32::try_from(body.len()).map_err(|why| corrupt("payload", why))?;
        let channels = StoredTexts::json_of_channels(&message.channels)?;
        let of_message: [Value; 10] = [
            id.into(),
            application.into(),
            message.event_type.as_str().into(),
            channels.as_ref().into(),
            message.event_id.as_deref().into(),
            message.payload.content_type().as_str().into(),
            i64::from(payload_bytes).into(),
            message.created_at.as_micros().into(),
            message.trace.as_ref().map(TraceParent::as_str).into(),
            endpoint.as_uuid().into(),
        ];
        let message = dialect.choose(MESSAGE_ON_POSTGRES, MESSAGE_ON_SQLITE);
        let queue = dialect.choose(QUEUE_ON_POSTGRES, QUEUE_ON_SQLITE);
        let of_queue: [Value; 5] = [
            work.as_uuid().into(),
            application.into(),
            id.into(),
            endpoint.as_uuid().into(),
            payload_bytes.into(),
        ];
        for statement in [
            dialect.of_tenant(tenant, message, of_message)?,
            dialect.of_tenant(tenant, PAYLOAD, [id.into(), body.to_vec().into()])?,
            dialect.of_tenant(tenant, queue, of_queue)?,
        ] {
            self.transaction.execute_raw(statement).await.or_store_error()?;
        }
        Ok(())
    }
}
