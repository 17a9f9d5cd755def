use async_trait::async_trait;
use postrider_domain::{
    ApiKeyId, ApplicationId, Name, SessionId, TenantId, Timestamp, UserId,
    access::Grant,
    api_keys::SecretHash,
    applications::ApplicationRef,
    users::{Email, User},
};

use super::StoreError;
use crate::access::TenantScope;

/// What is needed to let an API key in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The key.
    pub id: ApiKeyId,
    /// The tenant that it acts in.
    pub tenant: TenantId,
    /// The hash of its secret.
    pub secret_hash: SecretHash,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
}

/// What is needed to let a session in: the session, and the grants of its membership as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub id: SessionId,
    /// The tenant that was logged in to.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// What the person may do there.
    pub grants: Vec<Grant>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Credentials by id, read before the tenant is known. Decorated by a cache.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The API key of that id.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError>;

    /// The session of that id.
    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;
}

/// Which application a reference means. Decorated by a cache.
#[async_trait]
pub trait ApplicationDirectory: Send + Sync {
    /// The application's id, if the tenant has it.
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError>;
}

/// One of a person's memberships, as the login needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMembership {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's display name.
    pub tenant_name: Name,
    /// What the person may do there.
    pub grants: Vec<Grant>,
}

/// People and their memberships, read before the tenant is known.
#[async_trait]
pub trait Identities: Send + Sync {
    /// The person of that address.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError>;

    /// The memberships of a person, oldest first.
    async fn memberships(&self, user: UserId) -> Result<Vec<TenantMembership>, StoreError>;
}
