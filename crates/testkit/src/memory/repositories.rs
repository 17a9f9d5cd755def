use std::sync::Arc;

use postrider_application::{
    access::TenantScope,
    ports::{ApplicationRepository, DeliveryRepository, DirectMessages, Repository, StoreError, UniqueRule},
};
use postrider_domain::{
    Aggregate, ApplicationId, EndpointId, MessageId, TenantId, Version, WorkId, deliveries::Delivery,
    events::DomainEvent, messages::Message, messages::TraceParent,
};

use super::{
    deeds::Deed,
    hot::{Direct, Requeue},
    log::PendingEvent,
    state::{Row, Table, fault},
    store::MemoryTx,
    tables::Kept,
};

impl<A: Kept> Repository<A> for MemoryTx {
    type Key = A::Name;

    async fn find(&mut self, scope: &TenantScope, key: &A::Name) -> Result<Option<A>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let row = A::find(&self.configuration, tenant, key);
        Ok(row.map(|row| A::restore(row.state.clone(), row.version)))
    }

    async fn save(&mut self, scope: &TenantScope, aggregate: &mut A) -> Result<(), StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let state = aggregate.state().clone();
        if A::tenant(&state) != tenant {
            return Err(fault("an aggregate of another tenant"));
        }
        A::check(&self.configuration, &state)?;
        let (id, read) = (A::id(&state), aggregate.version());
        let table = A::table(&mut self.configuration);
        if !read.is_new() && table.get(&id).is_some_and(|row| A::tenant(&row.state) != tenant) {
            return Err(StoreError::Stale);
        }
        let version = write(table, id, read, state.clone(), A::taken)?;
        self.outdated.extend(A::outdated(&state));
        for event in aggregate.take_events() {
            self.record(Some(tenant), version, A::event(&state, event));
        }
        Ok(())
    }

    async fn delete(&mut self, scope: &TenantScope, mut aggregate: A) -> Result<(), StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let (events, read) = (aggregate.take_events(), aggregate.version());
        let state = aggregate.state();
        if A::tenant(state) != tenant {
            return Err(fault("an aggregate of another tenant"));
        }
        let (id, table) = (A::id(state), A::table(&mut self.configuration));
        let stored = table.get(&id).filter(|row| A::tenant(&row.state) == tenant);
        if stored.is_none_or(|row| row.version != read) {
            return Err(StoreError::Stale);
        }
        table.remove(&id);
        self.outdated.extend(A::outdated(state));
        for event in events {
            self.record(Some(tenant), read.next(), A::event(state, event));
        }
        Ok(())
    }
}

impl MemoryTx {
    /// Keeps an event until the commit.
    pub(super) fn record(&mut self, tenant: Option<TenantId>, version: Version, event: DomainEvent) {
        self.events.push(PendingEvent {
            tenant,
            version,
            event,
        });
    }
}

/// Writes the row, if the stored version is the one that was read; the version that it has now.
pub(super) fn write<K: Ord, S>(
    table: &mut Table<K, S>,
    id: K,
    read: Version,
    state: S,
    taken: fn() -> StoreError,
) -> Result<Version, StoreError> {
    match table.get(&id).map(|row| row.version) {
        Some(_) if read.is_new() => return Err(taken()),
        None if read.is_new() => {}
        Some(stored) if stored == read => {}
        _ => return Err(StoreError::Stale),
    }
    let version = read.next();
    table.insert(id, Row { state, version });
    Ok(version)
}

impl ApplicationRepository for MemoryTx {
    async fn endpoints_changed(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<(), StoreError> {
        let known = self
            .visible(scope)
            .and_then(|tenant| self.configuration.application(tenant, application));
        if known.is_none() {
            return Err(StoreError::Stale);
        }
        *self
            .configuration
            .endpoints_versions
            .entry(application)
            .or_insert(0) += 1;
        Ok(())
    }

    async fn count_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<u32, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(0);
        };
        let endpoints = self.configuration.endpoints.values();
        let count = endpoints
            .filter(|row| (row.state.tenant, row.state.application) == (tenant, application))
            .count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn delete_endpoints(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<(), StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let endpoints = &mut self.configuration.endpoints;
        let theirs = endpoints.extract_if(.., |_, row| {
            (row.state.tenant, row.state.application) == (tenant, application)
        });
        self.outdated.extend(theirs.map(|(id, _)| id));
        Ok(())
    }
}

impl DirectMessages for MemoryTx {
    async fn send_to(
        &mut self,
        scope: &TenantScope,
        message: &Message,
        endpoint: EndpointId,
        work: WorkId,
    ) -> Result<(), StoreError> {
        if self.visible(scope) != Some(message.tenant) {
            return Err(fault("a scope of another tenant"));
        }
        let direct = Direct {
            message: Arc::new(message.clone()),
            endpoint,
            work,
        };
        self.store.state().hot.may_send(&direct)?;
        self.direct.push(direct);
        Ok(())
    }
}

impl DeliveryRepository for MemoryTx {
    async fn find_delivery(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some(tenant) = self.visible(scope) else {
            return Ok(None);
        };
        let ours = self.requeues.iter().find(|requeue| {
            (requeue.tenant, requeue.application) == (tenant, application)
                && (requeue.delivery.message, requeue.delivery.endpoint) == (message, endpoint)
        });
        if let Some(requeue) = ours {
            return Ok(Some(requeue.delivery.clone()));
        }
        Ok(self
            .store
            .state()
            .hot
            .delivery(tenant, application, message, endpoint))
    }

    async fn has_payload(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
    ) -> Result<bool, StoreError> {
        if self.deeds.contains(&Deed::Expunge(message)) {
            return Ok(false);
        }
        let state = self.store.state();
        let found = state.hot.messages.get(&message);
        let theirs = found.is_some_and(|found| {
            Some(found.tenant) == self.visible(scope) && found.application == application
        });
        Ok(theirs && state.hot.has_payload(message))
    }

    async fn requeue(
        &mut self,
        scope: &TenantScope,
        application: ApplicationId,
        delivery: &Delivery,
        work: WorkId,
        asked_in: Option<&TraceParent>,
    ) -> Result<(), StoreError> {
        let tenant = self
            .visible(scope)
            .ok_or_else(|| fault("a scope of another tenant"))?;
        let requeue = Requeue {
            tenant,
            application,
            delivery: delivery.clone(),
            work,
            asked_in: asked_in.cloned(),
        };
        self.store.state().hot.may_requeue(&requeue)?;
        let key = (delivery.message, delivery.endpoint);
        let twice = |ours: &Requeue| (ours.delivery.message, ours.delivery.endpoint) == key;
        if self.requeues.iter().any(twice) {
            return Err(StoreError::Conflict(UniqueRule::PendingDelivery));
        }
        self.requeues.push(requeue);
        Ok(())
    }
}
