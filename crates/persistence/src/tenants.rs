//! Tenants.

use postrider_application::{
    Versioned,
    access::{OperatorScope, TenantScope},
    ports::{ErasureView, Page, PageRequest, Start, StoreError, TenantViews},
};
use postrider_domain::{
    Aggregate as _, TenantId,
    events::DomainEvent,
    tenants::{Tenant, TenantEvent, TenantState},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, QueryOrder as _, QuerySelect as _, entity::prelude::*,
};

use crate::{
    SqlStore,
    codec::{read_name, read_settings, read_tenant_status, timestamp},
    connection::Scope,
    endpoints::EndpointSecrets,
    error::OrStoreError as _,
    housekeeping,
    stored::{OfTenant, Stored, read_version},
};

/// A row of `tenants`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    status: String,
    status_since: i64,
    created_at: i64,
    version: i32,
    schema_validation: String,
    unregistered_event_types: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn read_state(row: &Model) -> Result<TenantState, StoreError> {
    Ok(TenantState {
        id: TenantId::from_uuid(row.id),
        name: read_name(&row.name)?,
        status: read_tenant_status(&row.status)?,
        status_since: timestamp(row.status_since),
        created_at: timestamp(row.created_at),
        settings: read_settings(&row.schema_validation, &row.unregistered_event_types)?,
    })
}

impl Stored for Tenant {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            id: Set(state.id.as_uuid()),
            name: Set(state.name.as_str().to_owned()),
            status: Set(state.status.as_str().to_owned()),
            status_since: Set(state.status_since.as_micros()),
            created_at: Set(state.created_at.as_micros()),
            version: Set(version),
            schema_validation: Set(state.settings.schema_validation.as_str().to_owned()),
            unregistered_event_types: Set(state.settings.unregistered_event_types.as_str().to_owned()),
        })
    }

    fn own_row(&self) -> Condition {
        Condition::all().add(Column::Id.eq(self.state().id.as_uuid()))
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let version = read_version(row.version)?;
        Ok(Self::restore(read_state(&row)?, version))
    }

    fn event(&self, event: TenantEvent) -> DomainEvent {
        DomainEvent::Tenant(self.state().id, event)
    }
}

impl OfTenant for Tenant {
    type Name = TenantId;

    fn tenant(&self) -> TenantId {
        self.state().id
    }

    fn named(tenant: TenantId, id: &TenantId) -> Condition {
        Condition::all()
            .add(Column::Id.eq(tenant.as_uuid()))
            .add(Column::Id.eq(id.as_uuid()))
    }
}

impl SqlStore {
    async fn tenant_in(
        &self,
        scope: Scope,
        id: TenantId,
    ) -> Result<Option<Versioned<TenantState>>, StoreError> {
        let found = Entity::find()
            .filter(Tenant::named(id, &id))
            .one(&self.database.read(scope).await?)
            .await
            .or_store_error()?;
        let versioned = |row: &Model| {
            Ok(Versioned {
                value: read_state(row)?,
                version: read_version(row.version)?,
            })
        };
        found.as_ref().map(versioned).transpose()
    }
}

impl TenantViews for SqlStore {
    async fn tenant(&self, scope: &TenantScope) -> Result<Option<Versioned<TenantState>>, StoreError> {
        self.tenant_in(Scope::Tenant(scope.tenant()), scope.tenant())
            .await
    }

    async fn tenants(
        &self,
        _: &OperatorScope,
        page: PageRequest<TenantId>,
    ) -> Result<Page<TenantState, TenantId>, StoreError> {
        let tenants = match page.start {
            Start::Beginning => Entity::find().order_by_asc(Column::Id),
            Start::After(key) => Entity::find()
                .filter(Column::Id.gt(key.as_uuid()))
                .order_by_asc(Column::Id),
            Start::Before(key) => Entity::find()
                .filter(Column::Id.lt(key.as_uuid()))
                .order_by_desc(Column::Id),
        };
        let rows = tenants
            .limit(page.rows())
            .all(&self.database.read(Scope::Operator).await?)
            .await
            .or_store_error()?;
        let states = rows.iter().map(read_state).collect::<Result<_, _>>()?;
        Ok(Page::of(states, &page, |state: &TenantState| state.id))
    }

    async fn tenant_for_operator(
        &self,
        _: &OperatorScope,
        id: TenantId,
    ) -> Result<Option<TenantState>, StoreError> {
        let found = self.tenant_in(Scope::Operator, id).await?;
        Ok(found.map(|tenant| tenant.value))
    }

    async fn erasure(&self, _: &OperatorScope, id: TenantId) -> Result<Option<ErasureView>, StoreError> {
        housekeeping::erasure(&self.database, id).await
    }
}
