use std::{fmt, sync::Arc};

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{Clock, EventTypeDirectory, KnownEventType, StoreError},
};
use postrider_domain::{TenantId, event_types::EventTypeName};

use crate::{CacheOptions, flight::Flights};

/// An [`EventTypeDirectory`], cached by tenant and name. Each may hold a schema of 64 KiB, so there are fewer of them
/// than of other things.
pub struct CachedEventTypes<D: ?Sized = dyn EventTypeDirectory> {
    inner: Arc<D>,
    names: Flights<(TenantId, EventTypeName), KnownEventType>,
}

/// The most that are kept: with schemas of 64 KiB each they are 64 MiB.
const MAX_ENTRIES: u64 = 1_000;

impl<D: EventTypeDirectory + ?Sized> CachedEventTypes<D> {
    /// Caches what `inner` answers.
    pub fn new(inner: Arc<D>, options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        let options = CacheOptions {
            max_entries: options.max_entries.min(MAX_ENTRIES),
            ..options
        };
        Self {
            inner,
            names: Flights::new("event_types", options, clock),
        }
    }
}

impl<D: ?Sized> CachedEventTypes<D> {
    /// Forgets all event types of one tenant.
    pub(crate) fn invalidate_tenant(&self, tenant: TenantId) {
        self.names.invalidate(&tenant);
    }

    /// Forgets all event types.
    pub(crate) fn invalidate_all(&self) {
        self.names.invalidate_all();
    }
}

#[async_trait]
impl<D: EventTypeDirectory + ?Sized> EventTypeDirectory for CachedEventTypes<D> {
    async fn known_event_type(
        &self,
        scope: &TenantScope,
        name: &EventTypeName,
    ) -> Result<Option<KnownEventType>, StoreError> {
        let tenant = scope.tenant();
        let load = || self.inner.known_event_type(scope, name);
        let found = self.names.get(&tenant, (tenant, name.clone()), load).await?;
        Ok(found.map(|found| KnownEventType::clone(&found)))
    }
}

impl<D: ?Sized> fmt::Debug for CachedEventTypes<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedEventTypes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::test_support::{TestClock, options, scope, tenant};

    /// Answers as it is told, and counts.
    #[derive(Default)]
    struct Script {
        known: Mutex<Option<KnownEventType>>,
        asked: Mutex<u32>,
    }

    #[async_trait]
    impl EventTypeDirectory for Script {
        async fn known_event_type(
            &self,
            _: &TenantScope,
            _: &EventTypeName,
        ) -> Result<Option<KnownEventType>, StoreError> {
            *self.asked.lock().unwrap() += 1;
            Ok(self.known.lock().unwrap().clone())
        }
    }

    #[tokio::test]
    async fn what_is_known_is_asked_once_for_each_tenant_until_it_is_invalidated() {
        let script = Arc::new(Script::default());
        let cached = CachedEventTypes::new(script.clone(), options(), Arc::<TestClock>::default());
        let name = EventTypeName::parse("invoice.paid").unwrap();
        let (ours, theirs) = (scope(1).await, scope(2).await);
        let ask = async |scope: &TenantScope| cached.known_event_type(scope, &name).await.unwrap();
        assert_eq!(ask(&ours).await, None);
        let known = KnownEventType {
            archived: false,
            schema: None,
        };
        *script.known.lock().unwrap() = Some(known.clone());
        for _ in 0..2 {
            assert_eq!(ask(&ours).await, Some(known.clone()), "absence is not kept");
            assert_eq!(ask(&theirs).await, Some(known.clone()));
        }
        assert_eq!(*script.asked.lock().unwrap(), 3);
        cached.invalidate_tenant(tenant(1));
        ask(&ours).await;
        ask(&theirs).await;
        assert_eq!(*script.asked.lock().unwrap(), 4);
        cached.invalidate_all();
        ask(&theirs).await;
        assert_eq!(*script.asked.lock().unwrap(), 5);
    }
}
