use async_trait::async_trait;
use postrider_domain::{
    ApiKeyId, ApplicationId, InvitationId, Name, PasswordResetId, SessionId, TenantId, Timestamp, UserId,
    access::Grant,
    applications::ApplicationRef,
    tenants::{TenantSettings, TenantStatus},
    tokens::SecretHash,
    users::{Email, Invitation, User},
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
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
    /// How the tenant wants its messages to be treated.
    pub tenant_settings: TenantSettings,
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
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
    /// How the tenant wants its messages to be treated.
    pub tenant_settings: TenantSettings,
    /// The person.
    pub user: UserId,
    /// What the person may do there.
    pub grants: Vec<Grant>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What is needed to let portal tokens of an application in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalRecord {
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
    /// How the tenant wants its messages to be treated.
    pub tenant_settings: TenantSettings,
    /// Tokens issued before this are not good any more.
    pub tokens_valid_after: Option<Timestamp>,
}

/// A password reset that an operator issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordReset {
    /// Its id, part of its token.
    pub id: PasswordResetId,
    /// Whose password may be set anew.
    pub user: UserId,
    /// The hash of its token's secret.
    pub token_hash: SecretHash,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Credentials by id, read before the tenant is known. Decorated by a cache.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The API key of that id.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError>;

    /// The session of that id.
    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// What portal tokens of that application need to be let in, if the tenant has it.
    async fn portal(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<PortalRecord>, StoreError>;
}

/// Which application a reference means. Decorated by a cache.
#[async_trait]
pub trait ApplicationDirectory: Send + Sync {
    /// The application's id, if the tenant has it. A tenant that is being deleted has none any more.
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError>;

    /// Whether the application is the one of the reserved uid, to which only the system publishes.
    async fn is_operational(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<bool, StoreError>;
}

/// One of a person's memberships, as the login needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMembership {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's display name.
    pub tenant_name: Name,
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
    /// What the person may do there.
    pub grants: Vec<Grant>,
}

/// An invitation, and what its tenant may do.
#[derive(Debug, Clone)]
pub struct TenantInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
}

/// People and their memberships, read before the tenant is known.
#[async_trait]
pub trait Identities: Send + Sync {
    /// The person of that address.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>, StoreError>;

    /// The memberships of a person, oldest first.
    async fn memberships(&self, user: UserId) -> Result<Vec<TenantMembership>, StoreError>;

    /// The session of that id, as it is now: never from a cache.
    async fn session_now(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// The invitation of that id, with its tenant's status.
    async fn invitation(&self, id: InvitationId) -> Result<Option<TenantInvitation>, StoreError>;

    /// What the principal that the audit log names `actor` holds in the tenant: a person by their membership, a
    /// machine by its key; nothing if they are there no more.
    async fn grants_of(&self, tenant: TenantId, actor: &str) -> Result<Vec<Grant>, StoreError>;

    /// The password reset of that id.
    async fn password_reset(&self, id: PasswordResetId) -> Result<Option<PasswordReset>, StoreError>;
}

/// Notes that API keys are used. Never blocks, never fails: it may forget under load.
pub trait KeyUses: Send + Sync {
    /// The key was used just now.
    fn used(&self, tenant: TenantId, key: ApiKeyId, at: Timestamp);
}

/// Holds up whoever guesses.
pub trait Throttle: Send + Sync {
    /// Counts an attempt at the password of `account` from `address`, or says how long to wait. Known and unknown
    /// accounts are counted alike.
    fn attempt(&self, account: &Email, address: Option<std::net::IpAddr>) -> Result<(), std::time::Duration>;

    /// The attempt was right: it does not count.
    fn succeeded(&self, account: &Email, address: Option<std::net::IpAddr>);
}
