use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{
        ApiKeyRecord, ApplicationDirectory, Credentials, Identities, SessionRecord, StoreError,
        TenantMembership,
    },
};
use postrider_domain::{
    Aggregate as _, ApiKeyId, ApplicationId, SessionId, UserId,
    applications::ApplicationRef,
    users::{Email, User},
};

use super::store::MemoryStore;

#[async_trait]
impl Credentials for MemoryStore {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let state = self.state();
        let row = state.configuration.api_keys.get(&id);
        Ok(row.map(|row| ApiKeyRecord {
            id,
            tenant: row.state.tenant,
            secret_hash: row.state.secret_hash,
            grants: row.state.grants.clone(),
            expires_at: row.state.expires_at,
        }))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let Some(row) = configuration.sessions.get(&id) else {
            return Ok(None);
        };
        let session = &row.state;
        // Without a membership there is nothing to let in to.
        let membership = configuration.membership(session.tenant, session.user);
        Ok(membership.map(|membership| SessionRecord {
            id,
            tenant: session.tenant,
            user: session.user,
            grants: membership.state.grants.clone(),
            expires_at: session.expires_at,
        }))
    }
}

#[async_trait]
impl ApplicationDirectory for MemoryStore {
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let state = self.state();
        let mut rows = state.configuration.applications.values();
        let row = rows.find(|row| {
            row.state.tenant == scope.tenant()
                && match reference {
                    ApplicationRef::Id(id) => row.state.id == *id,
                    ApplicationRef::Uid(uid) => row.state.uid.as_ref() == Some(uid),
                }
        });
        Ok(row.map(|row| row.state.id))
    }
}

#[async_trait]
impl Identities for MemoryStore {
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let state = self.state();
        let mut users = state.configuration.users.values();
        let row = users.find(|row| row.state.email == *email);
        Ok(row.map(|row| User::restore(row.state.clone(), row.version)))
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<TenantMembership>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let mut theirs: Vec<_> = configuration
            .memberships
            .values()
            .map(|row| &row.state)
            .filter(|membership| membership.user == user)
            .collect();
        theirs.sort_by_key(|membership| (membership.created_at, membership.id));
        Ok(theirs
            .into_iter()
            .filter_map(|membership| {
                let tenant = configuration.tenants.get(&membership.tenant)?;
                Some(TenantMembership {
                    tenant: membership.tenant,
                    tenant_name: tenant.state.name.clone(),
                    grants: membership.grants.clone(),
                })
            })
            .collect())
    }
}
