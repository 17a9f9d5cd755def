use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{
        ApiKeyRecord, ApplicationDirectory, Credentials, Identities, PasswordReset, PortalRecord,
        SessionRecord, StoreError, TenantInvitation, TenantMembership,
    },
};
use postrider_domain::{
    Aggregate as _, ApiKeyId, ApplicationId, InvitationId, PasswordResetId, SessionId, TenantId, Uid, UserId,
    access::Grant,
    applications::{ApplicationRef, OPERATIONAL_UID},
    tenants::{TenantSettings, TenantStatus},
    users::{Email, Invitation, User},
};

use super::{store::MemoryStore, tables::Configuration};

impl Configuration {
    fn settings(&self, tenant: TenantId) -> TenantSettings {
        let row = self.tenants.get(&tenant);
        row.map_or_else(TenantSettings::default, |row| row.state.settings)
    }

    fn status(&self, tenant: TenantId) -> Option<TenantStatus> {
        self.tenants.get(&tenant).map(|row| row.state.status)
    }

    /// Without a membership there is nothing to let in to.
    fn session(&self, id: SessionId) -> Option<SessionRecord> {
        let session = &self.sessions.get(&id)?.state;
        let membership = self.membership(session.tenant, session.user)?;
        Some(SessionRecord {
            id,
            tenant: session.tenant,
            tenant_status: self.status(session.tenant)?,
            tenant_settings: self.settings(session.tenant),
            user: session.user,
            grants: membership.state.grants.clone(),
            expires_at: session.expires_at,
        })
    }
}

#[async_trait]
impl Credentials for MemoryStore {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let row = configuration.api_keys.get(&id);
        Ok(row.and_then(|row| {
            Some(ApiKeyRecord {
                id,
                tenant: row.state.tenant,
                tenant_status: configuration.status(row.state.tenant)?,
                tenant_settings: configuration.settings(row.state.tenant),
                secret_hash: row.state.secret_hash,
                grants: row.state.grants.clone(),
                expires_at: row.state.expires_at,
            })
        }))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.state().configuration.session(id))
    }

    async fn portal(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<PortalRecord>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let row = configuration.application(tenant, application);
        Ok(row.and_then(|row| {
            Some(PortalRecord {
                tenant_status: configuration.status(tenant)?,
                tenant_settings: configuration.settings(tenant),
                tokens_valid_after: row.state.tokens_valid_after,
            })
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
        if !state.configuration.is_there(scope.tenant()) {
            return Ok(None);
        }
        let mut rows = state.configuration.applications.values();
        let row = rows.find(|row| {
            row.state.tenant == scope.tenant()
                && row.state.deleted_at.is_none()
                && match reference {
                    ApplicationRef::Id(id) => row.state.id == *id,
                    ApplicationRef::Uid(uid) => row.state.uid.as_ref() == Some(uid),
                }
        });
        Ok(row.map(|row| row.state.id))
    }

    async fn is_operational(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<bool, StoreError> {
        let state = self.state();
        let row = state.configuration.application(scope.tenant(), application);
        let uid = row.and_then(|row| row.state.uid.as_ref()).map(Uid::as_str);
        Ok(uid == Some(OPERATIONAL_UID))
    }
}

#[async_trait]
impl Identities for MemoryStore {
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let state = self.state();
        let row = state.configuration.user_by_email(email);
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
                    tenant_status: tenant.state.status,
                    grants: membership.grants.clone(),
                })
            })
            .collect())
    }

    async fn session_now(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.state().configuration.session(id))
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<TenantInvitation>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let row = configuration.invitations.get(&id);
        Ok(row.and_then(|row| {
            Some(TenantInvitation {
                invitation: Invitation::restore(row.state.clone(), row.version),
                tenant_status: configuration.status(row.state.tenant)?,
            })
        }))
    }

    async fn grants_of(&self, tenant: TenantId, actor: &str) -> Result<Vec<Grant>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        if let Ok(user) = actor.parse() {
            let member = configuration.membership(tenant, user);
            return Ok(member.map(|row| row.state.grants.clone()).unwrap_or_default());
        }
        let key = actor.parse().ok().and_then(|id| configuration.api_keys.get(&id));
        let key = key.filter(|row| row.state.tenant == tenant);
        Ok(key.map(|row| row.state.grants.clone()).unwrap_or_default())
    }

    async fn password_reset(&self, id: PasswordResetId) -> Result<Option<PasswordReset>, StoreError> {
        let state = self.state();
        let mut resets = state.configuration.password_resets.values();
        Ok(resets.find(|reset| reset.id == id).cloned())
    }
}
