use postrider_domain::{
    Aggregate, ApplicationId, EndpointId, MembershipId, MessageId, PasswordResetId, SessionId, WorkId,
    deliveries::Delivery,
    messages::{Message, TraceParent},
    users::{Email, Membership, SessionEnd, User},
};

use super::{PasswordReset, StoreError};
use crate::access::{OperatorScope, PersonScope, TenantScope};

/// Loads and saves the aggregates of one kind inside a unit of work.
///
/// Saving writes the row, guarded by the version that was read ([`StoreError::Stale`]), *and* the aggregate's
/// events, in the same transaction: there is no publish call to forget. Rows of other tenants than the scope's do
/// not exist here.
pub trait Repository<A: Aggregate>: Send {
    /// What names one aggregate within a tenant.
    type Key: Sync;

    /// The aggregate of that key, if the tenant has one.
    fn find(
        &mut self,
        scope: &TenantScope,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<A>, StoreError>> + Send;

    /// Writes the aggregate and its events. Refuses an aggregate of another tenant as [`StoreError::Internal`].
    fn save(
        &mut self,
        scope: &TenantScope,
        aggregate: &mut A,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the aggregate's row, if it is as it was read ([`StoreError::Stale`]), and writes its events: the
    /// last one says why it went.
    fn delete(
        &mut self,
        scope: &TenantScope,
        aggregate: A,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What the application aggregate needs besides [`Repository`].
pub trait ApplicationRepository: Send {
    /// Raises `endpoints_version` of an application, in the same transaction as the change of its endpoints, so
    /// that cached match sets are known to be old. [`StoreError::Stale`] if the application is gone.
    fn endpoints_changed(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How many endpoints the application has. After [`Self::endpoints_changed`] nobody else's transaction can
    /// add one before this one ends.
    fn count_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Deletes all endpoints of an application that is deleted in the same transaction. They are told of by its event.
    fn delete_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The people of one tenant, besides [`Repository`].
pub trait MemberRepository: Send {
    /// How many owners the tenant has. Nobody else's transaction can change a membership of the tenant before this
    /// one ends.
    fn count_owners(&mut self, scope: &TenantScope) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// The membership of the person of that address, if the person is a member.
    fn find_member(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> impl Future<Output = Result<Option<MembershipId>, StoreError>> + Send;

    /// The invitation to that address, expired or not.
    fn find_invitation(
        &mut self,
        scope: &TenantScope,
        email: &Email,
    ) -> impl Future<Output = Result<Option<postrider_domain::users::Invitation>, StoreError>> + Send;

    /// The pending invitations that somebody issued, by their name in the audit log.
    fn invitations_by(
        &mut self,
        scope: &TenantScope,
        inviter: &str,
    ) -> impl Future<Output = Result<Vec<postrider_domain::users::Invitation>, StoreError>> + Send;

    /// Ends all sessions of a member in this tenant; how many there were.
    fn end_sessions_of(
        &mut self,
        scope: &TenantScope,
        member: &Membership,
        why: SessionEnd,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;
}

/// People are global; only operators, and they themselves ([`PersonRepository`]), write them.
pub trait UserRepository: Send {
    /// The person of that address.
    fn find_user(
        &mut self,
        scope: &OperatorScope,
        email: &Email,
    ) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Writes the person and its events.
    fn save_user(
        &mut self,
        scope: &OperatorScope,
        user: &mut User,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps a password reset; an earlier one of the same person is good no more.
    fn put_password_reset(
        &mut self,
        scope: &OperatorScope,
        reset: &PasswordReset,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A person's own affairs.
pub trait PersonRepository: Send {
    /// The person. Nobody else's transaction can change the person before this one ends.
    fn find_me(
        &mut self,
        scope: &PersonScope,
    ) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Writes the person, who is the scope's, and its events. A new person may be written by the scope that was
    /// made for it.
    fn save_me(
        &mut self,
        scope: &PersonScope,
        user: &mut User,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the person's sessions in all tenants but for `except`; how many there were.
    fn end_my_sessions(
        &mut self,
        scope: &PersonScope,
        except: Option<SessionId>,
        why: SessionEnd,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Uses up the person's password reset of that id; whether it was there. Of several that race one is told so.
    fn take_password_reset(
        &mut self,
        scope: &PersonScope,
        id: PasswordResetId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends all password resets of the person.
    fn forget_password_resets(
        &mut self,
        scope: &PersonScope,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether the person is a member of the scope's tenant already.
    fn am_member(&mut self, scope: &PersonScope) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Deliveries outside of the hot path: what a person does to one of them.
pub trait DeliveryRepository: Send {
    /// Where the delivery stands, if the application's message ever went to that endpoint.
    fn find_delivery(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
    ) -> impl Future<Output = Result<Option<Delivery>, StoreError>> + Send;

    /// Whether the application's message has its payload still: it may go earlier than the message.
    fn has_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stores that the delivery is pending and queues it as `work`, due at once. If it is queued already:
    /// [`StoreError::Conflict`] with [`super::UniqueRule::PendingDelivery`]. The attempt that follows is joined to the
    /// trace that it was asked for in, if that is recorded.
    fn requeue(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        delivery: &Delivery,
        work: WorkId,
        asked_in: Option<&TraceParent>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Messages that go to one endpoint only, outside of the hot path.
pub trait DirectMessages: Send {
    /// Stores a message and queues its delivery to `endpoint` of the message's application as `work`, due at once,
    /// whatever the endpoint wants to hear of.
    fn send_to(
        &mut self,
        scope: &TenantScope,
        message: &Message,
        endpoint: EndpointId,
        work: WorkId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
