//! Tenants.

use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, Name, TenantId,
    events::DomainEvent,
    tenants::{Tenant, TenantEvent, TenantState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::timestamp,
    endpoints::EndpointSecrets,
    error::corrupt,
    stored::{OfTenant, Stored, read_version},
};

/// A row of `tenants`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    created_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Stored for Tenant {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            id: Set(state.id.as_uuid()),
            name: Set(state.name.as_str().to_owned()),
            created_at: Set(state.created_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Condition::all().add(Column::Id.eq(self.state().id.as_uuid()))
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let state = TenantState {
            id: TenantId::from_uuid(row.id),
            name: Name::parse(&row.name).map_err(|why| corrupt("name of a tenant", why))?,
            created_at: timestamp(row.created_at),
        };
        Ok(Self::restore(state, read_version(row.version)?))
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
