//! Event types.

mod schemas;
mod views;

use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, Description, TenantId, Timestamp,
    event_types::{EventType, EventTypeEvent, EventTypeName, EventTypeState},
    events::DomainEvent,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::{read_count, stored_count, timestamp},
    endpoints::EndpointSecrets,
    error::corrupt,
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
    archived_at: Option<i64>,
    latest_schema: i32,
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
        archived_at: row.archived_at.map(timestamp),
        latest_schema: read_count("number of a schema", row.latest_schema)?,
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
            archived_at: Set(state.archived_at.map(Timestamp::as_micros)),
            latest_schema: Set(stored_count("number of a schema", state.latest_schema)?),
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
