//! API keys.

use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, ApiKeyId, Name, TenantId,
    api_keys::{ApiKey, ApiKeyEvent, ApiKeyState, SecretHash},
    events::DomainEvent,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::{HiddenBytes, StoredGrants, timestamp},
    endpoints::EndpointSecrets,
    error::corrupt,
    stored::{OfTenant, Stored, read_version},
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
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The hash of a stored secret.
pub(crate) fn read_secret_hash(stored: HiddenBytes) -> Result<SecretHash, StoreError> {
    let bytes = <[u8; 32]>::try_from(stored.0);
    bytes
        .map(SecretHash)
        .map_err(|_| corrupt("hash of an API key", "it must have 32 bytes"))
}

impl Stored for ApiKey {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            name: Set(state.name.as_str().to_owned()),
            secret_hash: Set(HiddenBytes(state.secret_hash.0.to_vec())),
            grants: Set(StoredGrants::of(&state.grants)),
            created_at: Set(state.created_at.as_micros()),
            expires_at: Set(state.expires_at.map(postrider_domain::Timestamp::as_micros)),
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
            name: Name::parse(&row.name).map_err(|why| corrupt("name of an API key", why))?,
            secret_hash: read_secret_hash(row.secret_hash)?,
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

impl OfTenant for ApiKey {
    type Name = ApiKeyId;

    fn tenant(&self) -> TenantId {
        self.state().tenant
    }

    fn named(tenant: TenantId, id: &ApiKeyId) -> Condition {
        Condition::all()
            .add(Column::Tenant.eq(tenant.as_uuid()))
            .add(Column::Id.eq(id.as_uuid()))
    }
}
