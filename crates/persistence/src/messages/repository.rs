use postrider_application::{
    access::TenantScope,
    ports::{Cancellation, Expunged, MessageRepository, StoreError},
};
use postrider_domain::{ApplicationId, MessageId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};

use crate::{
    error::{OrStoreError as _, fault},
    unit_of_work::SqlUnitOfWork,
};

/// Whoever claims the row at the same time has it locked, or passes it over: once one of the two is committed, the other
/// does not find it any more.
const TAKE_OUT: &str = "
DELETE FROM outbox_work WHERE id = $1 AND app = $2 AND tenant = {tenant} AND endpoint IS NULL AND owner = 0
    AND due_at > {now}";
const CANCEL: &str = "
UPDATE messages SET cancelled_at = {now}
WHERE id = $1 AND app = $2 AND tenant = {tenant} AND deliver_at IS NOT NULL AND cancelled_at IS NULL";
const EXPUNGE: &str = "
UPDATE messages SET payload_expunged_at = {now}
WHERE id = $1 AND app = $2 AND tenant = {tenant} AND payload_expunged_at IS NULL";
const DELETE_PAYLOAD: &str = "DELETE FROM payloads WHERE message = $1 AND tenant = {tenant}";
const FATE: &str = "
SELECT cancelled_at FROM messages WHERE id = $1 AND app = $2 AND tenant = {tenant}";

#[derive(FromQueryResult)]
struct Fate {
    cancelled_at: Option<i64>,
}

impl SqlUnitOfWork {
    /// How many rows the statement changed.
    async fn change(
        &self,
        sql: &str,
        tenant: TenantId,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        let statement = self.dialect.of_tenant(tenant, sql, values)?;
        let done = self.transaction.execute_raw(statement).await.or_store_error()?;
        Ok(done.rows_affected())
    }

    /// What became of the message, if the application has it.
    async fn fate(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<Option<Fate>, StoreError> {
        let values = [message.as_uuid().into(), application.as_uuid().into()];
        let find = self.dialect.of_tenant(tenant, FATE, values)?;
        let row = self.transaction.query_one_raw(find).await.or_store_error()?;
        row.map(|row| Fate::from_query_result(&row, ""))
            .transpose()
            .or_store_error()
    }
}

impl MessageRepository for SqlUnitOfWork {
    async fn cancel_message(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<Cancellation, StoreError> {
        let tenant = self.writable(scope)?;
        let values = || [message.as_uuid().into(), application.as_uuid().into()];
        if self.change(TAKE_OUT, tenant, values()).await? == 1 {
            return match self.change(CANCEL, tenant, values()).await? {
                1 => Ok(Cancellation::Cancelled),
                _ => Err(fault("a message is queued for later and was not scheduled")),
            };
        }
        Ok(match self.fate(tenant, application, message).await? {
            None => Cancellation::Unknown,
            Some(fate) if fate.cancelled_at.is_some() => Cancellation::Already,
            Some(_) => Cancellation::TooLate,
        })
    }

    async fn expunge_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<Expunged, StoreError> {
        let tenant = self.writable(scope)?;
        let values = [message.as_uuid().into(), application.as_uuid().into()];
        if self.change(EXPUNGE, tenant, values).await? == 1 {
            self.change(DELETE_PAYLOAD, tenant, [message.as_uuid().into()])
                .await?;
            return Ok(Expunged::Now);
        }
        let found = self.fate(tenant, application, message).await?;
        Ok(found.map_or(Expunged::Unknown, |_| Expunged::Already))
    }
}
