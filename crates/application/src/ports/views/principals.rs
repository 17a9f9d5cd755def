use postrider_domain::{
    ApiKeyId, InvitationId, MembershipId, Name, Timestamp, UserId, access::Grant, users::Email,
};

use crate::{
    access::TenantScope,
    ports::{Page, PageRequest, StoreError},
};

/// A member as colleagues see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The membership.
    pub id: MembershipId,
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: Email,
    /// Their name.
    pub name: Name,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// When they joined.
    pub created_at: Timestamp,
}

/// A pending invitation, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// What they will hold.
    pub grants: Vec<Grant>,
    /// Who invited, as the audit log names them.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyView {
    /// Its id.
    pub id: ApiKeyId,
    /// Display name.
    pub name: Name,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute or so.
    pub last_used_at: Option<Timestamp>,
}

/// People, invitations and machines of a tenant, to look at.
pub trait PrincipalViews: Send + Sync {
    /// Members, by id.
    fn members(
        &self,
        scope: &TenantScope,
        page: PageRequest<MembershipId>,
    ) -> impl Future<Output = Result<Page<MemberView, MembershipId>, StoreError>> + Send;

    /// One member.
    fn member(
        &self,
        scope: &TenantScope,
        id: MembershipId,
    ) -> impl Future<Output = Result<Option<MemberView>, StoreError>> + Send;

    /// Pending invitations, expired ones too, by id.
    fn invitations(
        &self,
        scope: &TenantScope,
        page: PageRequest<InvitationId>,
    ) -> impl Future<Output = Result<Page<InvitationView, InvitationId>, StoreError>> + Send;

    /// API keys, by id.
    fn api_keys(
        &self,
        scope: &TenantScope,
        page: PageRequest<ApiKeyId>,
    ) -> impl Future<Output = Result<Page<ApiKeyView, ApiKeyId>, StoreError>> + Send;
}
