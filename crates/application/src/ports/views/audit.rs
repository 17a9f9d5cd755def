use postrider_domain::{AuditEntryId, Timestamp};

use crate::{
    access::TenantScope,
    audit::{AuditEntry, AuditOutcome},
    ports::{Page, PageRequest, StoreError},
};

/// Which entries of the audit log are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// By whom: a public id.
    pub actor: Option<String>,
    /// What: a request's name.
    pub action: Option<String>,
    /// To what: a public id or name.
    pub target: Option<String>,
    /// Whether they were let.
    pub outcome: Option<AuditOutcome>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// The audit log, to look at.
pub trait AuditViews: Send + Sync {
    /// Entries of the tenant, newest first. What a filter lets through may be far apart: only so many entries are looked at,
    /// so a page may be short or empty and yet have a next one.
    fn audit_entries(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: PageRequest<AuditEntryId>,
    ) -> impl Future<Output = Result<Page<AuditEntry, AuditEntryId>, StoreError>> + Send;
}
