use postrider_application::{
    access::TenantScope,
    audit::{AuditEntry, Record},
    ports::{AuditFilter, AuditViews, Page, PageRequest, StoreError},
};
use postrider_domain::AuditEntryId;
use std::ops::Bound;

use super::{
    state::{State, fault},
    store::MemoryStore,
    views::{Order, page_of},
};

impl State {
    /// Refuses a record that is there already.
    pub(super) fn may_append(&self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Entry(entry) if self.audit.contains_key(&entry.id) => {
                Err(fault("an audit entry is written once"))
            }
            Record::Entry(_) | Record::InHistory => Ok(()),
        }
    }

    /// Appends what a transaction leaves in the audit log.
    pub(super) fn append(&mut self, record: Record) {
        if let Record::Entry(entry) = record {
            self.audit.insert(entry.id, *entry);
        }
    }
}

fn matches(filter: &AuditFilter, entry: &AuditEntry) -> bool {
    let AuditFilter {
        actor,
        action,
        target,
        outcome,
        from,
        to,
    } = filter;
    actor.as_deref().is_none_or(|actor| *entry.actor.id == *actor)
        && action.as_deref().is_none_or(|action| entry.action == action)
        && target
            .as_ref()
            .is_none_or(|target| entry.target.as_ref() == Some(target))
        && outcome.is_none_or(|outcome| entry.outcome == outcome)
        && from.is_none_or(|from| entry.at >= from)
        && to.is_none_or(|to| entry.at < to)
}

impl AuditViews for MemoryStore {
    async fn audit_entries(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: PageRequest<AuditEntryId>,
    ) -> Result<Page<AuditEntry, AuditEntryId>, StoreError> {
        let state = self.state();
        let theirs = state
            .audit
            .iter()
            .rev()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.tenant == Some(scope.tenant()) && matches(filter, entry));
        Ok(page_of(
            theirs.cloned(),
            &page,
            |entry| entry.id,
            Order::Descending,
        ))
    }
}
