use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, SessionId, TenantId, UserId,
    events::DomainEvent,
    users::{RefreshHashes, Session, SessionEnd, SessionEvent, SessionState},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, FromQueryResult, Statement,
    entity::prelude::*,
};

use crate::{
    codec::{HiddenBytes, timestamp},
    endpoints::EndpointSecrets,
    error::OrStoreError as _,
    stored::{OfTenant, Stored, of_tenant_by_id, read_version},
    unit_of_work::SqlUnitOfWork,
};

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    user_id: Uuid,
    family_hash: HiddenBytes,
    refresh_hash: HiddenBytes,
    created_at: i64,
    expires_at: i64,
    refresh_expires_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Stored for Session {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            user_id: Set(state.user.as_uuid()),
            family_hash: Set(HiddenBytes::of_hash(&state.refresh.family)),
            refresh_hash: Set(HiddenBytes::of_hash(&state.refresh.current)),
            created_at: Set(state.created_at.as_micros()),
            expires_at: Set(state.expires_at.as_micros()),
            refresh_expires_at: Set(state.refresh_expires_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let state = SessionState {
            id: SessionId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant),
            user: UserId::from_uuid(row.user_id),
            refresh: RefreshHashes {
                family: row.family_hash.read_hash()?,
                current: row.refresh_hash.read_hash()?,
            },
            created_at: timestamp(row.created_at),
            expires_at: timestamp(row.expires_at),
            refresh_expires_at: timestamp(row.refresh_expires_at),
        };
        Ok(Self::restore(state, read_version(row.version)?))
    }

    fn event(&self, event: SessionEvent) -> DomainEvent {
        DomainEvent::Session(self.state().id, event)
    }
}

of_tenant_by_id!(Session, SessionId);

/// A session that was deleted.
#[derive(FromQueryResult)]
struct Deleted {
    tenant: Uuid,
    id: Uuid,
    version: i32,
}

/// Runs a statement that deletes sessions of that person, and keeps an event for each, in its own tenant.
pub(super) async fn end(
    transaction: &mut SqlUnitOfWork,
    delete: Statement,
    user: UserId,
    why: SessionEnd,
) -> Result<u32, StoreError> {
    let deleted = transaction.transaction.query_all_raw(delete).await;
    let deleted = deleted.or_store_error()?;
    let mut ended = 0;
    for row in &deleted {
        let row = Deleted::from_query_result(row, "").or_store_error()?;
        let event = DomainEvent::Session(SessionId::from_uuid(row.id), SessionEvent::Ended { user, why });
        let version = read_version(row.version)?.next();
        transaction.record(Some(TenantId::from_uuid(row.tenant)), version, event);
        ended += 1;
    }
    Ok(ended)
}
