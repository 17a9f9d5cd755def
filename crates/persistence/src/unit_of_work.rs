use std::sync::Arc;

use postrider_application::{
    access::{OperatorScope, PersonScope, TenantScope},
    audit::Conclusion,
    ports::{EventSignal, StoreError, UnitOfWork},
};
use postrider_domain::{TenantId, UserId, Version, events::DomainEvent};
use sea_orm::ConnectionTrait as _;
use tracing::Span;

use crate::{
    SqlStore, advisory_lock, answers, audit,
    connection::{Dialect, Scope, Transaction},
    endpoints::EndpointSecrets,
    error::{OrStoreError as _, fault},
    events::{self, PendingEvent},
    relay::NOTIFY_EVENTS,
};

/// The most events of one statement; nearly all transactions record one or two.
const EVENTS_AT_ONCE: usize = 200;

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
    /// Whether there is something for the relay besides events.
    wakes_relay: bool,
    /// Ends when it does.
    span: Span,
}

impl SqlUnitOfWork {
    pub(crate) fn new(transaction: Transaction, scope: Scope, store: &SqlStore, span: Span) -> Self {
        Self {
            transaction,
            dialect: store.database.dialect(),
            secrets: store.secrets.clone(),
            signal: store.event_signal.clone(),
            scope,
            events: Vec::new(),
            wakes_relay: false,
            span,
        }
    }

    /// The tenant of `scope`, if it is visible in this transaction: the operator's sees all, a tenant's only its
    /// own, a person's only that which they act in.
    pub(crate) fn visible(&self, scope: &TenantScope) -> Option<TenantId> {
        let tenant = scope.tenant();
        match self.scope {
            Scope::Tenant(only) => (only == tenant).then_some(tenant),
            Scope::Person { tenant: only, .. } => (only == Some(tenant)).then_some(tenant),
            Scope::Operator => Some(tenant),
            Scope::Identity | Scope::Engine => None,
        }
    }

    /// The tenant of `scope`, to write to.
    pub(crate) fn writable(&self, scope: &TenantScope) -> Result<TenantId, StoreError> {
        self.visible(scope)
            .ok_or_else(|| fault("the unit of work was opened for another tenant"))
    }

    /// The person of `scope`, if the transaction is theirs.
    pub(crate) fn person(&self, scope: &PersonScope) -> Result<UserId, StoreError> {
        match self.scope {
            Scope::Person { user: Some(user), .. } if user == scope.user() => Ok(user),
            _ => Err(fault("the unit of work was opened for somebody else")),
        }
    }

    /// That the transaction is the operator's.
    pub(crate) fn operator(&self, _: &OperatorScope) -> Result<(), StoreError> {
        match self.scope {
            Scope::Operator => Ok(()),
            _ => Err(fault("the unit of work was not opened for the operator")),
        }
    }

    /// Keeps an event for the commit.
    pub(crate) fn record(&mut self, tenant: Option<TenantId>, version: Version, event: DomainEvent) {
        self.events.push(PendingEvent {
            tenant,
            version,
            event,
        });
    }

    /// Tells the relays of all nodes, at the commit, that there is something for them besides events.
    pub(crate) async fn wake_relay(&mut self) -> Result<(), StoreError> {
        self.wakes_relay = true;
        if self.dialect == Dialect::Postgres {
            let notify = Dialect::Postgres.exactly(NOTIFY_EVENTS, []);
            self.transaction.query_one_raw(notify).await.or_store_error()?;
        }
        Ok(())
    }

    /// Appends the events, last of all. The lock is taken in a statement of its own, before positions are drawn,
    /// and held until the transaction has ended: so position order is commit order. SQLite has one writer.
    async fn append_events(&self) -> Result<(), StoreError> {
        if self.events.is_empty() {
            return Ok(());
        }
        // A node that is paused with the log in its hands loses it soon: all others wait for it.
        self.transaction
            .take_turn_briefly(advisory_lock::EVENT_LOG)
            .await?;
        for some in self.events.chunks(EVENTS_AT_ONCE) {
            let append = events::append(self.dialect, some)?;
            self.transaction.execute_raw(append).await.or_store_error()?;
        }
        Ok(())
    }
}

impl UnitOfWork for SqlUnitOfWork {
    async fn commit(self, conclusion: impl Into<Conclusion> + Send) -> Result<(), StoreError> {
        let Conclusion { record, answer } = conclusion.into();
        if let Some(answer) = answer {
            // Before the events: who waits for another request of the same key must not hold up whoever has an event.
            answers::keep(&self.transaction, self.dialect, self.scope, answer).await?;
        }
        audit::record(&self.transaction, self.dialect, record).await?;
        self.append_events().await?;
        self.transaction.commit().await?;
        self.span.record("committed", true);
        let wakes = self.wakes_relay || !self.events.is_empty();
        if let Some(signal) = self.signal.filter(|_| wakes) {
            signal.events_committed();
        }
        Ok(())
    }
}
