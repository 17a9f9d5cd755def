use std::{fmt, sync::Arc};

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{ApplicationDirectory, Clock, StoreError},
};
use postrider_domain::{ApplicationId, TenantId, applications::ApplicationRef};

use crate::{CacheOptions, flight::Flights};

/// An [`ApplicationDirectory`], cached by tenant and reference.
///
/// The tenant is part of the key, taken from the scope: what was found for one tenant is never answered to another,
/// even for the same reference.
pub struct CachedApplicationDirectory<D: ?Sized = dyn ApplicationDirectory> {
    inner: Arc<D>,
    references: Flights<(TenantId, ApplicationRef), ApplicationId>,
    operational: Flights<(TenantId, ApplicationId), bool>,
}

impl<D: ApplicationDirectory + ?Sized> CachedApplicationDirectory<D> {
    /// Caches what `inner` answers.
    pub fn new(inner: Arc<D>, options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            references: Flights::new("applications", options, clock.clone()),
            operational: Flights::new("operational_applications", options, clock),
        }
    }
}

impl<D: ?Sized> CachedApplicationDirectory<D> {
    /// Forgets all references of one tenant: by an application's id alone it cannot be told which uid it had.
    pub(crate) fn invalidate_tenant(&self, tenant: TenantId) {
        self.references.invalidate(&tenant);
        self.operational.invalidate(&tenant);
    }

    /// Forgets all references.
    pub(crate) fn invalidate_all(&self) {
        self.references.invalidate_all();
        self.operational.invalidate_all();
    }
}

#[async_trait]
impl<D: ApplicationDirectory + ?Sized> ApplicationDirectory for CachedApplicationDirectory<D> {
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let tenant = scope.tenant();
        let load = || self.inner.resolve(scope, reference);
        Ok(self
            .references
            .get(&tenant, (tenant, reference.clone()), load)
            .await?
            .map(|id| *id))
    }

    async fn is_operational(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
    ) -> Result<bool, StoreError> {
        let tenant = scope.tenant();
        let load = || async { self.inner.is_operational(scope, application).await.map(Some) };
        let known = self.operational.get(&tenant, (tenant, application), load).await?;
        Ok(known.is_some_and(|operational| *operational))
    }
}

impl<D: ?Sized> fmt::Debug for CachedApplicationDirectory<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedApplicationDirectory")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{FakeDirectory, TestClock, application, options, scope, tenant, uid};

    fn cached() -> (CachedApplicationDirectory, Arc<FakeDirectory>) {
        let inner = Arc::new(FakeDirectory::default());
        let cached = CachedApplicationDirectory::<dyn ApplicationDirectory>::new(
            inner.clone(),
            options(),
            Arc::<TestClock>::default(),
        );
        (cached, inner)
    }

    #[tokio::test]
    async fn nothing_crosses_tenants() {
        let (cached, inner) = cached();
        let (ours, theirs) = (scope(1).await, scope(2).await);
        inner.add(tenant(1), &uid("acme"), application(11));
        assert_eq!(
            cached.resolve(&ours, &uid("acme")).await.unwrap(),
            Some(application(11))
        );
        // The same reference is in the cache, but not for them.
        assert_eq!(cached.resolve(&theirs, &uid("acme")).await.unwrap(), None);
        inner.add(tenant(2), &uid("acme"), application(22));
        assert_eq!(
            cached.resolve(&theirs, &uid("acme")).await.unwrap(),
            Some(application(22))
        );
        assert_eq!(
            cached.resolve(&ours, &uid("acme")).await.unwrap(),
            Some(application(11))
        );
        assert_eq!(inner.loads(), 3);
    }

    #[tokio::test]
    async fn invalidating_a_tenant_forgets_all_its_references() {
        let (cached, inner) = cached();
        let ours = scope(1).await;
        let by_id = ApplicationRef::Id(application(11));
        inner.add(tenant(1), &uid("acme"), application(11));
        inner.add(tenant(1), &by_id, application(11));
        cached.resolve(&ours, &uid("acme")).await.unwrap();
        cached.resolve(&ours, &by_id).await.unwrap();
        inner.clear();
        assert!(cached.resolve(&ours, &uid("acme")).await.unwrap().is_some());
        cached.invalidate_tenant(tenant(1));
        assert_eq!(cached.resolve(&ours, &uid("acme")).await.unwrap(), None);
        assert_eq!(cached.resolve(&ours, &by_id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn which_is_the_operational_one_is_asked_once_until_a_change() {
        let (cached, inner) = cached();
        let ours = scope(1).await;
        for id in [11, 12, 11, 12] {
            assert!(!cached.is_operational(&ours, application(id)).await.unwrap());
        }
        assert_eq!(inner.loads(), 2, "that it is not is remembered as well");
        inner.add(tenant(1), &uid("operational"), application(11));
        cached.invalidate_tenant(tenant(1));
        for (id, expected) in [(11, true), (12, false)] {
            assert_eq!(
                cached.is_operational(&ours, application(id)).await.unwrap(),
                expected
            );
        }
    }
}
