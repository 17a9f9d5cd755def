use postrider_application::{
    access::TenantScope,
    ports::{
        AttemptView, DeliveryView, MessageFilter, MessageView, MessageViews, Page, PageRequest, StoreError,
        StoredPayload,
    },
};
use postrider_domain::{ApplicationId, EndpointId, MessageId};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::row::{PayloadRow, SHOWN, ShownRow};
use crate::{SqlStore, connection::Scope, error::OrStoreError as _};

impl SqlStore {
    /// The one row of a message of the tenant's application that `sql` selects.
    async fn of_message<R: FromQueryResult>(
        &self,
        sql: &str,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Result<Option<R>, StoreError> {
        let tenant = scope.tenant();
        let statement = self.database.dialect().of_tenant(
            tenant,
            sql,
            [id.as_uuid().into(), application.as_uuid().into()],
        )?;
        let row = self
            .database
            .read(Scope::Tenant(tenant))
            .await?
            .query_one_raw(statement)
            .await
            .or_store_error()?;
        row.map(|row| R::from_query_result(&row, ""))
            .transpose()
            .or_store_error()
    }
}

impl MessageViews for SqlStore {
    async fn message(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Result<Option<MessageView>, StoreError> {
        let sql = format!(
            "SELECT {SHOWN} FROM messages m WHERE m.id = $1 AND m.app = $2 AND m.tenant = {{tenant}}"
        );
        self.of_message(&sql, scope, application, id)
            .await?
            .map(|ShownRow { message, fate }| message.view(&fate))
            .transpose()
    }

    async fn messages(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<MessageView, MessageId>, StoreError> {
        self.page_of_messages(scope.tenant(), application, filter, page)
            .await
    }

    async fn payload(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Result<Option<StoredPayload>, StoreError> {
        let sql = "SELECT m.content_type, p.body
             FROM messages m LEFT JOIN payloads p ON p.message = m.id AND p.tenant = m.tenant
             WHERE m.id = $1 AND m.app = $2 AND m.tenant = {tenant}";
        self.of_message(sql, scope, application, id)
            .await?
            .map(PayloadRow::read)
            .transpose()
    }

    async fn deliveries(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<DeliveryView, EndpointId>, StoreError> {
        self.page_of_deliveries(scope.tenant(), application, message, page)
            .await
    }

    async fn attempts(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
        page: PageRequest<u32>,
    ) -> Result<Page<AttemptView, u32>, StoreError> {
        self.page_of_attempts(scope.tenant(), application, message, endpoint, page)
            .await
    }
}
