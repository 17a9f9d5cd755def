use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use postrider_application::ports::{DeliveryMaterial, EndpointSet, ReadMessage, StoreError, StoredPayload};
use postrider_domain::{ApplicationId, MessageId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult as _};

use super::row::{MessageRow, PayloadRow};
use crate::{
    SqlStore,
    batch::{pairs, pairs_postgres, pairs_sqlite},
    connection::Scope,
    error::OrStoreError as _,
};

macro_rules! messages_with_payloads {
    ($pairs:expr, $then:literal) => {
        concat!(
            "SELECT m.id, m.tenant, m.app, m.event_type, m.channels, m.event_id, m.content_type, m.payload_bytes,
                m.created_at, m.trace, m.deliver_at, p.body
             FROM ",
            $pairs,
            $then,
            " JOIN messages m ON m.id = pair.two AND m.tenant = pair.one
             LEFT JOIN payloads p ON p.message = m.id AND p.tenant = m.tenant
             JOIN tenants t ON t.id = m.tenant AND t.status <> 'deleting'
             WHERE p.body IS NOT NULL OR m.payload_expunged_at IS NOT NULL"
        )
    };
}

#[async_trait]
impl DeliveryMaterial for SqlStore {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        let dialect = self.database.dialect();
        let keys: Vec<_> = keys
            .iter()
            .map(|(tenant, id)| (tenant.as_uuid(), id.as_uuid()))
            .collect();
        let sql = dialect.choose(
            messages_with_payloads!(pairs_postgres!(), ""),
            messages_with_payloads!(pairs_sqlite!(), " CROSS"),
        );
        let statement = dialect.exactly(sql, pairs(dialect, &keys));
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let message = |row| {
            let message = MessageRow::from_query_result(row, "").or_store_error()?;
            let payload = PayloadRow::from_query_result(row, "").or_store_error()?;
            let id = message.id();
            Ok(match payload.read()? {
                StoredPayload::There(payload) => (id, ReadMessage::Whole(Arc::new(message.with(payload)?))),
                StoredPayload::Expunged => (id, ReadMessage::Expunged),
            })
        };
        rows.iter().map(message).collect()
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        self.endpoints_of(applications).await
    }
}
