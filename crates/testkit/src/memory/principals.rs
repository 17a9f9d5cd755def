//! Tenants, their people and their machines, to look at.

use postrider_application::{
    Versioned,
    access::{OperatorScope, TenantScope},
    ports::{
        ApiKeyView, ErasureView, InvitationView, MemberView, Page, PageRequest, PrincipalViews, StoreError,
        TenantViews,
    },
};
use postrider_domain::{
    ApiKeyId, InvitationId, MembershipId, TenantId,
    api_keys::ApiKeyState,
    tenants::TenantState,
    users::{InvitationState, MembershipState},
};

use super::{
    state::{Row, State},
    store::MemoryStore,
    tables::Configuration,
    views::{Order, page_of},
};

impl TenantViews for MemoryStore {
    async fn tenant(&self, scope: &TenantScope) -> Result<Option<Versioned<TenantState>>, StoreError> {
        let state = self.state();
        let row = state.configuration.tenants.get(&scope.tenant());
        Ok(row.map(Row::versioned))
    }

    async fn tenants(
        &self,
        _: &OperatorScope,
        page: PageRequest<TenantId>,
    ) -> Result<Page<TenantState, TenantId>, StoreError> {
        let state = self.state();
        let rows = state.configuration.tenants.iter();
        let states = rows.map(|(_, row)| row.state.clone());
        Ok(page_of(states, &page, |state| state.id, Order::Ascending))
    }

    async fn tenant_for_operator(
        &self,
        _: &OperatorScope,
        id: TenantId,
    ) -> Result<Option<TenantState>, StoreError> {
        let state = self.state();
        let row = state.configuration.tenants.get(&id);
        Ok(row.map(|row| row.state.clone()))
    }

    async fn erasure(&self, _: &OperatorScope, id: TenantId) -> Result<Option<ErasureView>, StoreError> {
        Ok(self.state().erasures.get(&id).cloned())
    }
}

/// None: a membership whose person is being erased with its tenant.
fn member_of(configuration: &Configuration, state: &MembershipState) -> Option<MemberView> {
    let user = &configuration.users.get(&state.user)?.state;
    Some(MemberView {
        id: state.id,
        user: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
        grants: state.grants.clone(),
        created_at: state.created_at,
    })
}

fn invitation_of(state: &InvitationState) -> InvitationView {
    InvitationView {
        id: state.id,
        email: state.email.clone(),
        grants: state.grants.clone(),
        invited_by: state.invited_by.clone(),
        created_at: state.created_at,
        expires_at: state.expires_at,
    }
}

fn api_key_of(all: &State, state: &ApiKeyState) -> ApiKeyView {
    ApiKeyView {
        id: state.id,
        name: state.name.clone(),
        grants: state.grants.clone(),
        created_at: state.created_at,
        expires_at: state.expires_at,
        last_used_at: all.key_uses.get(&state.id).copied(),
    }
}

impl PrincipalViews for MemoryStore {
    async fn members(
        &self,
        scope: &TenantScope,
        page: PageRequest<MembershipId>,
    ) -> Result<Page<MemberView, MembershipId>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let views = configuration
            .memberships
            .iter()
            .filter(|(_, row)| row.state.tenant == scope.tenant())
            .filter_map(|(_, row)| member_of(configuration, &row.state));
        Ok(page_of(views, &page, |view| view.id, Order::Ascending))
    }

    async fn member(&self, scope: &TenantScope, id: MembershipId) -> Result<Option<MemberView>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let row = configuration.memberships.get(&id);
        let row = row.filter(|row| row.state.tenant == scope.tenant());
        Ok(row.and_then(|row| member_of(configuration, &row.state)))
    }

    async fn invitations(
        &self,
        scope: &TenantScope,
        page: PageRequest<InvitationId>,
    ) -> Result<Page<InvitationView, InvitationId>, StoreError> {
        let state = self.state();
        let rows = state.configuration.invitations.iter();
        let views = rows
            .filter(|(_, row)| row.state.tenant == scope.tenant())
            .map(|(_, row)| invitation_of(&row.state));
        Ok(page_of(views, &page, |view| view.id, Order::Ascending))
    }

    async fn api_keys(
        &self,
        scope: &TenantScope,
        page: PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKeyView, ApiKeyId>, StoreError> {
        let state = self.state();
        let rows = state.configuration.api_keys.iter();
        let views = rows
            .filter(|(_, row)| row.state.tenant == scope.tenant())
            .map(|(_, row)| api_key_of(&state, &row.state));
        Ok(page_of(views, &page, |view| view.id, Order::Ascending))
    }
}
