//! Event types.

use postrider_application::{
    access::TenantScope,
    ports::{EventTypeViews, StoreError},
};
use postrider_domain::{
    Aggregate as _, Description, TenantId,
    event_types::{EventType, EventTypeEvent, EventTypeName, EventTypeState},
    events::DomainEvent,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    SqlStore,
    codec::timestamp,
    connection::Scope,
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, corrupt},
    stored::{OfTenant, Stored, read_version},
};

/// A row of `event_types`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_types")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    description: String,
    created_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn read_state(row: &Model) -> Result<EventTypeState, StoreError> {
    Ok(EventTypeState {
        tenant: TenantId::from_uuid(row.tenant),
        name: EventTypeName::parse(&row.name).map_err(|why| corrupt("name of an event type", why))?,
        description: Description::parse(&row.description)
            .map_err(|why| corrupt("description of an event type", why))?,
        created_at: timestamp(row.created_at),
    })
}

impl Stored for EventType {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            name: Set(state.name.as_str().to_owned()),
            description: Set(state.description.as_str().to_owned()),
            created_at: Set(state.created_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().name)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        Ok(Self::restore(read_state(&row)?, read_version(row.version)?))
    }

    fn event(&self, event: EventTypeEvent) -> DomainEvent {
        DomainEvent::EventType(self.state().name.clone(), event)
    }
}

impl OfTenant for EventType {
    type Name = EventTypeName;

    fn tenant(&self) -> TenantId {
        self.state().tenant
    }

    fn named(tenant: TenantId, name: &EventTypeName) -> Condition {
        Condition::all()
            .add(Column::Tenant.eq(tenant.as_uuid()))
            .add(Column::Name.eq(name.as_str()))
    }
}

impl EventTypeViews for SqlStore {
    async fn event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<EventTypeState>, StoreError> {
        let connection = self.database.read(Scope::Tenant(scope.tenant())).await?;
        let found = Entity::find()
            .filter(EventType::named(scope.tenant(), name))
            .one(&connection)
            .await;
        found.or_store_error()?.as_ref().map(read_state).transpose()
    }
}
