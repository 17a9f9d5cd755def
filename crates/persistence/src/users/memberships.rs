use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, MembershipId, TenantId, UserId,
    events::DomainEvent,
    users::{Membership, MembershipEvent, MembershipState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::{StoredGrants, timestamp},
    endpoints::EndpointSecrets,
    stored::{OfTenant, Stored, of_tenant_by_id, read_version},
};

/// A row of `memberships`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    user_id: Uuid,
    grants: StoredGrants,
    created_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Stored for Membership {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            user_id: Set(state.user.as_uuid()),
            grants: Set(StoredGrants::of(&state.grants)),
            created_at: Set(state.created_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        let state = MembershipState {
            id: MembershipId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant),
            user: UserId::from_uuid(row.user_id),
            grants: row.grants.read()?,
            created_at: timestamp(row.created_at),
        };
        Ok(Self::restore(state, read_version(row.version)?))
    }

    fn event(&self, event: MembershipEvent) -> DomainEvent {
        DomainEvent::Membership(self.state().id, event)
    }
}

of_tenant_by_id!(Membership, MembershipId);
