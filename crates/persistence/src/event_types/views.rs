use postrider_application::{
    Versioned,
    access::TenantScope,
    ports::{EventTypeView, EventTypeViews, Page, PageRequest, Start, StoreError},
};
use postrider_domain::{
    Timestamp,
    event_types::{EventType, EventTypeName, EventTypeState, SchemaVersion},
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::{Column, Entity, read_state, schemas::SchemaRow};
use crate::{
    SqlStore,
    codec::{read_count, timestamp},
    connection::Scope,
    error::OrStoreError as _,
    stored::{OfTenant as _, read_version},
};

const SCHEMAS: &str = "SELECT number, created_at FROM event_type_schemas
WHERE tenant = {tenant} AND event_type = $1 ORDER BY number";
const SCHEMA: &str = "SELECT number, schema, example, created_at FROM event_type_schemas
WHERE tenant = {tenant} AND event_type = $1 AND number = $2";

#[derive(FromQueryResult)]
struct NumberRow {
    number: i32,
    created_at: i64,
}

impl SqlStore {
    async fn schema_numbers(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Vec<(u32, Timestamp)>, StoreError> {
        let tenant = scope.tenant();
        let find = self
            .database
            .dialect()
            .of_tenant(tenant, SCHEMAS, [name.as_str().into()])?;
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = connection.query_all_raw(find).await.or_store_error()?;
        let number = |row| {
            let row = NumberRow::from_query_result(row, "").or_store_error()?;
            Ok((
                read_count("number of a schema", row.number)?,
                timestamp(row.created_at),
            ))
        };
        rows.iter().map(number).collect()
    }
}

impl EventTypeViews for SqlStore {
    async fn event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<EventTypeView>, StoreError> {
        let found = {
            let connection = self.database.read(Scope::Tenant(scope.tenant())).await?;
            let row = Entity::find().filter(EventType::named(scope.tenant(), name));
            row.one(&connection).await.or_store_error()?
        };
        let Some(row) = found else {
            return Ok(None);
        };
        let (value, version) = (read_state(&row)?, read_version(row.version)?);
        let schemas = self.schema_numbers(scope, name).await?;
        // The newest that is there: one more may have come since the first look.
        let latest = match schemas.last() {
            Some((number, _)) => self.event_type_schema(scope, name, *number).await?,
            None => None,
        };
        Ok(Some(EventTypeView {
            event_type: Versioned { value, version },
            latest,
            schemas,
        }))
    }

    async fn event_types(
        &self,
        scope: &TenantScope,
        archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventTypeState, EventTypeName>, StoreError> {
        let mut find = Entity::find().filter(Column::Tenant.eq(scope.tenant().as_uuid()));
        if !archived {
            find = find.filter(Column::ArchivedAt.is_null());
        }
        let find = match &page.start {
            Start::Beginning => find.order_by_asc(Column::Name),
            Start::After(name) => find
                .filter(Column::Name.gt(name.as_str()))
                .order_by_asc(Column::Name),
            Start::Before(name) => find
                .filter(Column::Name.lt(name.as_str()))
                .order_by_desc(Column::Name),
        };
        let connection = self.database.read(Scope::Tenant(scope.tenant())).await?;
        let rows = find.limit(page.rows()).all(&connection).await.or_store_error()?;
        let states = rows.iter().map(read_state).collect::<Result<_, _>>()?;
        Ok(Page::of(states, &page, |state: &EventTypeState| {
            state.name.clone()
        }))
    }

    async fn event_type_schema(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
        number: u32,
    ) -> Result<Option<SchemaVersion>, StoreError> {
        let tenant = scope.tenant();
        let values = [name.as_str().into(), i64::from(number).into()];
        let find = self.database.dialect().of_tenant(tenant, SCHEMA, values)?;
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let row = connection.query_one_raw(find).await.or_store_error()?;
        row.map(|row| SchemaRow::from_query_result(&row, "").or_store_error()?.read())
            .transpose()
    }
}
