use postrider_application::ports::StoreError;
use postrider_domain::{
    Aggregate as _, InvitationId, TenantId,
    events::DomainEvent,
    users::{Email, Invitation, InvitationEvent, InvitationState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::{Hidden, HiddenBytes, StoredGrants, read_email, timestamp},
    endpoints::EndpointSecrets,
    stored::{OfTenant, Stored, of_tenant_by_id, read_version},
};

/// A row of `invitations`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    email: Hidden,
    grants: StoredGrants,
    token_hash: HiddenBytes,
    invited_by: String,
    created_at: i64,
    expires_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Names the rows of what somebody invited.
pub(super) fn by(tenant: TenantId, inviter: &str) -> Condition {
    Condition::all()
        .add(Column::Tenant.eq(tenant.as_uuid()))
        .add(Column::InvitedBy.eq(inviter))
}

/// Names the row of the tenant's invitation to that address.
pub(super) fn to_email(tenant: TenantId, email: &Email) -> Condition {
    Condition::all()
        .add(Column::Tenant.eq(tenant.as_uuid()))
        .add(Column::Email.eq(email.as_str()))
}

/// The invitation of a row.
pub(super) fn read(row: Model) -> Result<Invitation, StoreError> {
    let state = InvitationState {
        id: InvitationId::from_uuid(row.id),
        tenant: TenantId::from_uuid(row.tenant),
        email: read_email(&row.email)?,
        grants: row.grants.read()?,
        token_hash: row.token_hash.read_hash()?,
        invited_by: row.invited_by,
        created_at: timestamp(row.created_at),
        expires_at: timestamp(row.expires_at),
    };
    Ok(Invitation::restore(state, read_version(row.version)?))
}

impl Stored for Invitation {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            tenant: Set(state.tenant.as_uuid()),
            id: Set(state.id.as_uuid()),
            email: Set(Hidden(state.email.as_str().to_owned())),
            grants: Set(StoredGrants::of(&state.grants)),
            token_hash: Set(HiddenBytes::of_hash(&state.token_hash)),
            invited_by: Set(state.invited_by.clone()),
            created_at: Set(state.created_at.as_micros()),
            expires_at: Set(state.expires_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        Self::named(self.state().tenant, &self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        read(row)
    }

    fn event(&self, event: InvitationEvent) -> DomainEvent {
        DomainEvent::Invitation(self.state().id, event)
    }
}

of_tenant_by_id!(Invitation, InvitationId);
