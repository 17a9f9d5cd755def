use thiserror::Error;

use crate::{
    access::{OperatorScope, PersonScope, TenantScope},
    audit::Conclusion,
};

/// The uniqueness rules of the store, by name, so that a violation says what was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UniqueRule {
    /// One person an e-mail address.
    UserEmail,
    /// One membership a person and tenant.
    Membership,
    /// One application a uid, within a tenant.
    ApplicationUid,
    /// One endpoint a uid, within an application.
    EndpointUid,
    /// One event type a name, within a tenant.
    EventTypeName,
    /// One invitation an e-mail address, within a tenant.
    Invitation,
    /// One pending delivery a message and endpoint.
    PendingDelivery,
    /// One answer an idempotency key, within what its caller has given.
    IdempotencyKey,
}

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The stored version is not the one that was read.
    #[error("the stored version is not the one that was read")]
    Stale,
    /// A uniqueness rule forbids it.
    #[error("uniqueness rule {0:?} forbids it")]
    Conflict(UniqueRule),
    /// The database cannot be reached, or is too busy; the same call may succeed later.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else: a fault of ours.
    #[error("the database refused a statement, or returned what cannot be")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where aggregates live. Cheap to clone.
pub trait Store: Clone + Send + Sync + 'static {
    /// A transaction.
    type Tx: UnitOfWork;

    /// Opens a transaction in which only the tenant of `scope` is visible.
    fn begin(&self, scope: &TenantScope) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Opens a transaction of the installation's operator: tenants and people, never payloads.
    fn begin_as_operator(
        &self,
        scope: &OperatorScope,
    ) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Opens a transaction of a person in their own affairs: themselves and their sessions in any tenant, and of
    /// other rows those of the scope's tenant.
    fn begin_as_person(
        &self,
        scope: &PersonScope,
    ) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;
}

/// A transaction. Dropping it rolls back.
pub trait UnitOfWork: Send {
    /// Makes everything that was saved durable, together with what the audit log says of it and the answer that is
    /// kept for whoever repeats the command, or nothing. If there is an answer under its key already:
    /// [`StoreError::Conflict`] with [`UniqueRule::IdempotencyKey`].
    fn commit(
        self,
        conclusion: impl Into<Conclusion> + Send,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
