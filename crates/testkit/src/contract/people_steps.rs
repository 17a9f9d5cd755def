//! Given-steps on people, their places in tenants, and machines.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{PasswordReset, Repository as _, Store as _, UnitOfWork as _, UserRepository as _},
};
use postrider_domain::{
    Aggregate as _, ApiKeyId, Change, InvitationId, MembershipId, Name, PasswordResetId, SessionId, TenantId,
    Timestamp, UserId,
    access::{Grant, Role},
    api_keys::ApiKey,
    tenants::Tenant,
    tokens::SecretHash,
    users::{Email, Invitation, Membership, NewInvitation, RefreshHashes, Session, SessionLifetime},
};

use super::{Fixture, Harness, Tenancy};

/// How long what people are given lasts in the cases: an hour.
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// How long logins last in the cases: an hour, and half of it without being refreshed.
pub(super) const LIFETIME: SessionLifetime = SessionLifetime {
    absolute: HOUR,
    idle: Duration::from_mins(30),
};

/// The hashes of a refresh token.
pub(super) const fn hashes(family: u8, current: u8) -> RefreshHashes {
    RefreshHashes {
        family: SecretHash([family; 32]),
        current: SecretHash([current; 32]),
    }
}

impl<H: Harness> Fixture<'_, H> {
    /// So long ago.
    pub fn ago(&self, by: Duration) -> Timestamp {
        let micros = i64::try_from(by.as_micros()).unwrap();
        Timestamp::from_micros(self.now().as_micros() - micros)
    }

    /// Somebody new, stored, who is a member of nothing.
    pub async fn person(&self, email: &Email) -> UserId {
        let (operator, id) = (self.operator().await, UserId::from_uuid(self.uuid()));
        let mut tx = self.store().begin_as_operator(&operator).await.unwrap();
        tx.save_user(&operator, &mut self.user(id, email)).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
        id
    }

    /// Somebody new whose address does not matter, stored, who is a member of nothing.
    pub async fn stranger(&self) -> UserId {
        let email = format!("{}@example.com", self.uuid().simple());
        self.person(&Email::parse(&email).unwrap()).await
    }

    /// A person's new place in a tenant, not stored.
    pub fn new_membership(&self, tenant: &Tenancy, user: UserId, role: Role) -> Membership {
        let id = MembershipId::from_uuid(self.uuid());
        Membership::join(id, tenant.id, user, vec![Grant::tenant(role)], self.now())
    }

    /// A person's new place in a tenant, stored.
    pub async fn membership(&self, tenant: &Tenancy, user: UserId, role: Role) -> MembershipId {
        let mut membership = self.new_membership(tenant, user, role);
        self.save(&tenant.scope, &mut membership).await.unwrap();
        membership.state().id
    }

    /// A new login, not stored.
    pub fn new_session(&self, tenant: TenantId, user: UserId, at: Timestamp) -> Session {
        let id = SessionId::from_uuid(self.uuid());
        Session::open(id, tenant, user, hashes(1, 1), at, LIFETIME)
    }

    /// A new login, stored; as it was before it was.
    pub async fn session(&self, tenant: &Tenancy, user: UserId) -> Session {
        let mut session = self.new_session(tenant.id, user, self.now());
        self.save(&tenant.scope, &mut session).await.unwrap();
        session
    }

    /// A new invitation, not stored.
    pub fn new_invitation(&self, tenant: TenantId, email: &str, at: Timestamp) -> Invitation {
        let new = NewInvitation {
            email: Email::parse(email).unwrap(),
            grants: vec![Grant::tenant(Role::Viewer)],
            token_hash: SecretHash([3; 32]),
            invited_by: "usr_of_the_case".to_owned(),
        };
        Invitation::issue(InvitationId::from_uuid(self.uuid()), tenant, new, at, HOUR).unwrap()
    }

    /// A new invitation, stored.
    pub async fn invitation(&self, tenant: &Tenancy, email: &str) -> InvitationId {
        let mut invitation = self.new_invitation(tenant.id, email, self.now());
        self.save(&tenant.scope, &mut invitation).await.unwrap();
        invitation.state().id
    }

    /// A new API key, stored.
    pub async fn api_key(&self, tenant: &Tenancy) -> ApiKeyId {
        let id = ApiKeyId::from_uuid(self.uuid());
        let (name, grants) = (Name::parse("ci").unwrap(), vec![Grant::tenant(Role::Publisher)]);
        let key = ApiKey::mint(id, tenant.id, name, SecretHash([4; 32]), grants, None, self.now());
        self.save(&tenant.scope, &mut key.unwrap()).await.unwrap();
        id
    }

    /// A password reset that is good until then, stored.
    pub async fn password_reset(&self, user: UserId, expires_at: Timestamp) -> PasswordReset {
        let reset = PasswordReset {
            id: PasswordResetId::from_uuid(self.uuid()),
            user,
            token_hash: SecretHash([5; 32]),
            expires_at,
        };
        let operator = self.operator().await;
        let mut tx = self.store().begin_as_operator(&operator).await.unwrap();
        tx.put_password_reset(&operator, &reset).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
        reset
    }

    async fn operate(&self, tenant: &Tenancy, change: impl FnOnce(&mut Tenant) -> Change) {
        let operator = self.operator().await;
        let mut stored: Tenant = self.find(&tenant.scope, &tenant.id).await.unwrap();
        assert_eq!(change(&mut stored), Change::Made);
        let mut tx = self.store().begin_as_operator(&operator).await.unwrap();
        tx.save(&tenant.scope, &mut stored).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
    }

    /// An operator suspended the tenant at that time.
    pub async fn suspend(&self, tenant: &Tenancy, at: Timestamp) {
        self.operate(tenant, |tenant| tenant.suspend(at).unwrap()).await;
    }

    /// An operator resumed the tenant at that time.
    pub async fn resume(&self, tenant: &Tenancy, at: Timestamp) {
        self.operate(tenant, |tenant| tenant.resume(at).unwrap()).await;
    }

    /// An operator ordered at that time that the tenant be erased.
    pub async fn order_deletion(&self, tenant: &Tenancy, at: Timestamp) {
        self.operate(tenant, |tenant| tenant.order_deletion(at)).await;
    }
}
