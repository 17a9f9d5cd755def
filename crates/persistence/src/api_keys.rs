//! API keys.

use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, ApiKeyId, TenantId, Timestamp,
    api_keys::{ApiKey, ApiKeyEvent, ApiKeyState},
    events::DomainEvent,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition,
    entity::prelude::*,
};

use crate::{
    codec::{HiddenBytes, StoredGrants, read_name, timestamp},
    endpoints::EndpointSecrets,
    stored::{OfTenant, Stored, of_tenant_by_id, read_version},
};

/// A row of `api_keys`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    secret_hash: HiddenBytes,
    grants: StoredGrants,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Stored for ApiKey {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            name: Set(state.name.as_str().to_owned()),
            secret_hash: Set(HiddenBytes::of_hash(&state.secret_hash)),
            grants: Set(StoredGrants::of(&state.grants)),
            created_at: Set(state.created_at.as_micros()),
            expires_at: Set(state.expires_at.map(Timestamp::as_micros)),
            // Only whoever notes the use of keys writes it.
            last_used_at: NotSet,
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let state = ApiKeyState {
            id: ApiKeyId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant),
            name: read_name(&row.name)?,
            secret_hash: row.secret_hash.read_hash()?,
            grants: row.grants.read()?,
            created_at: timestamp(row.created_at),
            expires_at: row.expires_at.map(timestamp),
        };
        Ok(Self::restore(state, read_version(row.version)?))
    }

    fn event(&self, event: ApiKeyEvent) -> DomainEvent {
        DomainEvent::ApiKey(self.state().id, event)
    }
}

of_tenant_by_id!(ApiKey, ApiKeyId);
