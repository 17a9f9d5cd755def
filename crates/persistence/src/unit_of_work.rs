use std::sync::Arc;

use postrider_application::{
    access::TenantScope,
    ports::{EventSignal, StoreError, UnitOfWork},
};
use postrider_domain::{TenantId, Version, events::DomainEvent};
use sea_orm::ConnectionTrait as _;

use crate::{
    SqlStore,
    connection::{Dialect, Scope, Transaction},
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, advisory_lock, fault},
    events::{self, PendingEvent},
};

/// A transaction of [`crate::SqlStore`]. Dropping it rolls back.
///
/// Rows are written as they are saved; events are kept until the commit, because on PostgreSQL whoever appends to
/// their log holds the others up until its transaction ends.
pub struct SqlUnitOfWork {
    pub(crate) transaction: Transaction,
    pub(crate) dialect: Dialect,
    pub(crate) secrets: EndpointSecrets,
    signal: Option<Arc<dyn EventSignal>>,
    scope: Scope,
    events: Vec<PendingEvent>,
}

impl SqlUnitOfWork {
    pub(crate) fn new(transaction: Transaction, scope: Scope, store: &SqlStore) -> Self {
        Self {
            transaction,
            dialect: store.database.dialect(),
            secrets: store.secrets.clone(),
            signal: store.event_signal.clone(),
            scope,
            events: Vec::new(),
        }
    }

    /// The tenant of `scope`, if it is visible in this transaction: the operator's sees all, a tenant's only its
    /// own.
    pub(crate) fn visible(&self, scope: &TenantScope) -> Option<TenantId> {
        let tenant = scope.tenant();
        match self.scope {
            Scope::Tenant(only) => (only == tenant).then_some(tenant),
            Scope::Operator => Some(tenant),
            Scope::Person { .. } | Scope::Identity | Scope::Engine => None,
        }
    }

    /// The tenant of `scope`, to write to.
    pub(crate) fn writable(&self, scope: &TenantScope) -> Result<TenantId, StoreError> {
        self.visible(scope)
            .ok_or_else(|| fault("the unit of work was opened for another tenant"))
    }

    /// Keeps an event for the commit.
    pub(crate) fn record(&mut self, tenant: Option<TenantId>, version: Version, event: DomainEvent) {
        self.events.push(PendingEvent {
            tenant,
            version,
            event,
        });
    }

    /// Appends the events, last of all. The lock is taken in a statement of its own, before positions are drawn,
    /// and held until the transaction has ended: so position order is commit order. SQLite has one writer.
    async fn append_events(&self) -> Result<(), StoreError> {
        if self.events.is_empty() {
            return Ok(());
        }
        self.transaction.take_turn(advisory_lock::EVENT_LOG).await?;
        let append = events::append(self.dialect, &self.events)?;
        self.transaction.execute_raw(append).await.or_store_error()?;
        Ok(())
    }
}

impl UnitOfWork for SqlUnitOfWork {
    async fn commit(self) -> Result<(), StoreError> {
        self.append_events().await?;
        self.transaction.commit().await?;
        if let Some(signal) = self.signal.filter(|_| !self.events.is_empty()) {
            signal.events_committed();
        }
        Ok(())
    }
}
