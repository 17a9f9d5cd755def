use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{EventTypeDirectory, KnownEventType, KnownSchema, SchemaRepository, StoreError},
};
use postrider_domain::event_types::{EventTypeName, Example, SchemaText, SchemaVersion};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult, PaginatorTrait as _,
    QueryFilter as _, Value,
};

use crate::{
    SqlStore,
    codec::{read_count, stored_count, timestamp},
    connection::Scope,
    error::{OrStoreError as _, corrupt},
    unit_of_work::SqlUnitOfWork,
};

const ADD: &str = "INSERT INTO event_type_schemas (tenant, event_type, number, schema, example, created_at)
VALUES ({tenant}, $1, $2, $3, $4, $5)";
const FORGET: &str =
    "DELETE FROM event_type_schemas WHERE tenant = {tenant} AND event_type = $1 AND number <= $2";
const KNOWN: &str = "
SELECT CASE WHEN t.archived_at IS NULL THEN 0 ELSE 1 END AS archived, s.schema FROM event_types t
LEFT JOIN event_type_schemas s ON s.tenant = t.tenant AND s.event_type = t.name AND s.number = t.latest_schema
WHERE t.tenant = {tenant} AND t.name = $1";

/// A row of `event_type_schemas`.
#[derive(FromQueryResult)]
pub(super) struct SchemaRow {
    number: i32,
    schema: String,
    example: Option<String>,
    created_at: i64,
}

impl SchemaRow {
    pub(super) fn read(self) -> Result<SchemaVersion, StoreError> {
        Ok(SchemaVersion {
            number: read_count("number of a schema", self.number)?,
            schema: SchemaText::new(self.schema).map_err(|why| corrupt("schema", why))?,
            example: self
                .example
                .map(Example::new)
                .transpose()
                .map_err(|why| corrupt("example", why))?,
            created_at: timestamp(self.created_at),
        })
    }
}

impl SchemaRepository for SqlUnitOfWork {
    async fn add_schema(
        &mut self,
        scope: &TenantScope,
        event_type: &EventTypeName,
        version: &SchemaVersion,
    ) -> Result<(), StoreError> {
        let tenant = self.writable(scope)?;
        let number = |number| stored_count("number of a schema", number);
        let name = || Value::from(event_type.as_str());
        let add = [
            name(),
            number(version.number)?.into(),
            version.schema.as_str().into(),
            version.example.as_ref().map(Example::as_str).into(),
            version.created_at.as_micros().into(),
        ];
        let add = self.dialect.of_tenant(tenant, ADD, add)?;
        self.transaction.execute_raw(add).await.or_store_error()?;
        let oldest = version.number.saturating_sub(SchemaVersion::MAX_KEPT);
        if oldest > 0 {
            let forget = [name(), number(oldest)?.into()];
            let forget = self.dialect.of_tenant(tenant, FORGET, forget)?;
            self.transaction.execute_raw(forget).await.or_store_error()?;
        }
        Ok(())
    }

    async fn count_event_types(&mut self, scope: &TenantScope) -> Result<u32, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(0);
        };
        let count = super::Entity::find()
            .filter(super::Column::Tenant.eq(tenant.as_uuid()))
            .count(&self.transaction)
            .await
            .or_store_error()?;
        u32::try_from(count).map_err(|why| corrupt("number of event types", why))
    }
}

#[derive(FromQueryResult)]
struct KnownRow {
    archived: i32,
    schema: Option<String>,
}

#[async_trait]
impl EventTypeDirectory for SqlStore {
    async fn known_event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<KnownEventType>, StoreError> {
        let tenant = scope.tenant();
        let find = self
            .database
            .dialect()
            .of_tenant(tenant, KNOWN, [name.as_str().into()])?;
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let Some(row) = connection.query_one_raw(find).await.or_store_error()? else {
            return Ok(None);
        };
        let row = KnownRow::from_query_result(&row, "").or_store_error()?;
        let schema = row.schema.map(SchemaText::new).transpose();
        Ok(Some(KnownEventType {
            archived: row.archived != 0,
            schema: schema
                .map_err(|why| corrupt("schema", why))?
                .map(KnownSchema::new),
        }))
    }
}
