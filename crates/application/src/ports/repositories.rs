use postrider_domain::{
    Aggregate, ApplicationId, EndpointId, MessageId, WorkId,
    deliveries::Delivery,
    users::{Email, User},
};

use super::StoreError;
use crate::access::{OperatorScope, TenantScope};

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
}

/// What the application aggregate needs besides [`Repository`].
pub trait ApplicationRepository: Send {
    /// Raises `endpoints_version` of an application, in the same transaction as the change of its endpoints, so
    /// that cached match sets are known to be old.
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
}

/// People are global; only operators (and later people themselves) write them.
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

    /// Stores that the delivery is pending and queues it as `work`, due at once. If it is queued already:
    /// [`StoreError::Conflict`] with [`super::UniqueRule::PendingDelivery`].
    fn requeue(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        delivery: &Delivery,
        work: WorkId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
