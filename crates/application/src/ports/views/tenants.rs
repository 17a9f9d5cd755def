use postrider_domain::{TenantId, Timestamp, tenants::TenantState};

use crate::{
    Versioned,
    access::{OperatorScope, TenantScope},
    ports::{Page, PageRequest, StoreError},
};

/// The tenant itself, to look at.
pub trait TenantViews: Send + Sync {
    /// The tenant of the scope.
    fn tenant(
        &self,
        scope: &TenantScope,
    ) -> impl Future<Output = Result<Option<Versioned<TenantState>>, StoreError>> + Send;

    /// All tenants, by id, for the operator.
    fn tenants(
        &self,
        scope: &OperatorScope,
        page: PageRequest<TenantId>,
    ) -> impl Future<Output = Result<Page<TenantState, TenantId>, StoreError>> + Send;

    /// One tenant, for the operator.
    fn tenant_for_operator(
        &self,
        scope: &OperatorScope,
        id: TenantId,
    ) -> impl Future<Output = Result<Option<TenantState>, StoreError>> + Send;

    /// What is left of a tenant that was erased: that it was.
    fn erasure(
        &self,
        scope: &OperatorScope,
        id: TenantId,
    ) -> impl Future<Output = Result<Option<ErasureView>, StoreError>> + Send;
}

/// That a tenant was erased, and how much that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureView {
    /// The tenant that was.
    pub tenant: TenantId,
    /// When its deletion was ordered.
    pub ordered_at: Timestamp,
    /// When the last row went.
    pub erased_at: Timestamp,
    /// How many rows of which table went.
    pub rows: Vec<(String, u64)>,
}
