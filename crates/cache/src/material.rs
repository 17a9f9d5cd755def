use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use moka::{ops::compute::Op, sync::Cache};
use postrider_application::ports::{
    Clock, DeliverableEndpoint, DeliveryMaterial, EndpointSet, ReadMessage, Standing, StoreError,
};
use postrider_domain::{ApplicationId, MessageId, TenantId};

use crate::{generations::Generations, look_ups::LookUps};

/// How long and how much [`CachedMaterial`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaterialCacheOptions {
    /// The greatest age of a set, counted from before it was read; 30 seconds by default. Whoever recalls a set says
    /// how new it must be, so this bounds only what no version tells of. Zero switches the cache off.
    pub ttl: Duration,
    /// The most endpoints of all applications together; 50,000 by default. An application without any counts as one,
    /// and an endpoint as one more for each KiB of its URL, filter and headers: what tenants write decides how much
    /// memory an endpoint takes, and must not decide how much all of them take.
    pub max_endpoints: u64,
}

impl Default for MaterialCacheOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            max_endpoints: 50_000,
        }
    }
}

/// [`DeliveryMaterial`] that remembers the endpoints of applications.
///
/// [`DeliveryMaterial::endpoints`] always reads, as whoever asks has a reason to, and what it read is remembered;
/// [`DeliveryMaterial::recall`] answers from memory, without waiting for anybody. Messages are not remembered: they
/// are read once.
pub struct CachedMaterial<M: ?Sized = dyn DeliveryMaterial> {
    inner: Arc<M>,
    sets: Arc<EndpointSets>,
}

impl<M: ?Sized> CachedMaterial<M> {
    /// Remembers what `inner` answers.
    pub fn new(inner: Arc<M>, options: MaterialCacheOptions, clock: Arc<dyn Clock>) -> Self {
        let sets = Arc::new(EndpointSets::new(options, clock));
        Self { inner, sets }
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &M {
        &self.inner
    }

    /// What is remembered, for whoever makes it forget.
    pub(crate) const fn sets(&self) -> &Arc<EndpointSets> {
        &self.sets
    }
}

#[async_trait]
impl<M: DeliveryMaterial + ?Sized> DeliveryMaterial for CachedMaterial<M> {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        self.inner.messages(keys).await
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        let asked: Vec<Asked> = applications.iter().map(|key| self.sets.asked(*key)).collect();
        let found = self.inner.endpoints(applications).await?;
        for asked in asked {
            match found.get(&asked.application) {
                Some(set) => self.sets.remember(asked, set),
                None => self.sets.forget(asked.application),
            }
        }
        Ok(found)
    }

    fn recall(&self, application: ApplicationId, version: i64) -> Option<Arc<EndpointSet>> {
        self.sets.recall(application, version)
    }

    fn standing(&self, tenant: TenantId, application: ApplicationId) -> Standing {
        Standing(self.sets.generations(tenant, application))
    }

    fn forget_all(&self) {
        self.sets.invalidate_all();
    }
}

impl<M: ?Sized> fmt::Debug for CachedMaterial<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedMaterial").finish_non_exhaustive()
    }
}

/// An application whose endpoints are about to be read, and what held then.
#[derive(Clone, Copy)]
struct Asked {
    application: ApplicationId,
    tenant: TenantId,
    generations: [u64; 2],
    /// By the clock's monotonic time: what is read can be no older than its age from here.
    stale_at: Duration,
}

#[derive(Clone)]
struct Remembered {
    set: Arc<EndpointSet>,
    tenant: TenantId,
    generations: [u64; 2],
    stale_at: Duration,
}

/// As how many endpoints a set counts.
fn weight_of_set(set: &EndpointSet) -> u32 {
    let endpoints = set.endpoints.iter().map(|endpoint| weight(endpoint)).sum();
    u32::try_from(usize::max(endpoints, 1)).unwrap_or(u32::MAX)
}

/// As how many endpoints one counts: one, and one more for each KiB of what its tenant wrote.
fn weight(endpoint: &DeliverableEndpoint) -> usize {
    let url = endpoint.url.as_ref().map_or(0, |url| url.as_str().len());
    let event_types = endpoint
        .filter
        .event_types()
        .iter()
        .map(|name| name.as_str().len());
    let channels = endpoint
        .filter
        .channels()
        .iter()
        .map(|channel| channel.as_str().len());
    let headers = endpoint.headers.iter().flat_map(|headers| headers.all());
    let headers = headers.map(|(name, value)| name.as_str().len() + value.expose().len());
    1 + (url + event_types.chain(channels).chain(headers).sum::<usize>()) / 1_024
}

/// What is remembered.
pub(crate) struct EndpointSets {
    sets: Cache<ApplicationId, Remembered>,
    /// By application.
    applications: Generations,
    /// By tenant.
    tenants: Generations,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    look_ups: Arc<LookUps>,
}

impl EndpointSets {
    fn new(options: MaterialCacheOptions, clock: Arc<dyn Clock>) -> Self {
        let sets = Cache::builder()
            .weigher(|_: &ApplicationId, remembered: &Remembered| weight_of_set(&remembered.set))
            .max_capacity(options.max_endpoints)
            .time_to_live(options.ttl)
            .build();
        let counted = sets.clone();
        Self {
            look_ups: LookUps::shown("endpoints", move || counted.entry_count()),
            sets,
            applications: Generations::new(),
            tenants: Generations::new(),
            clock,
            ttl: options.ttl,
        }
    }

    fn recall(&self, application: ApplicationId, version: i64) -> Option<Arc<EndpointSet>> {
        let known = self.sets.get(&application);
        let fits = |known: &Remembered| known.set.version >= version && self.holds(application, known);
        let known = known.filter(fits);
        self.look_ups.note(known.is_some());
        known.map(|known| known.set)
    }

    /// Whether it was neither invalidated since it was asked for, nor is too old.
    fn holds(&self, application: ApplicationId, known: &Remembered) -> bool {
        known.generations == self.generations(known.tenant, application)
            && self.clock.monotonic() < known.stale_at
    }

    fn generations(&self, tenant: TenantId, application: ApplicationId) -> [u64; 2] {
        [self.applications.of(&application), self.tenants.of(&tenant)]
    }

    fn asked(&self, (tenant, application): (TenantId, ApplicationId)) -> Asked {
        Asked {
            application,
            tenant,
            generations: self.generations(tenant, application),
            stale_at: self.clock.monotonic().saturating_add(self.ttl),
        }
    }

    /// Remembers a set that was read, unless it was invalidated meanwhile, or another reader brought a newer one.
    fn remember(&self, asked: Asked, set: &Arc<EndpointSet>) {
        let Asked {
            application,
            tenant,
            generations,
            stale_at,
        } = asked;
        let read = Remembered {
            set: Arc::clone(set),
            tenant,
            generations,
            stale_at,
        };
        if !self.holds(application, &read) {
            return;
        }
        self.sets.entry(application).and_compute_with(|known| {
            let newer = known.is_some_and(|known| {
                let known = known.value();
                let age = |of: &Remembered| (of.set.version, of.stale_at);
                age(known) > age(&read) && self.holds(application, known)
            });
            if newer { Op::Nop } else { Op::Put(read) }
        });
    }

    /// Its application was not found: what is remembered of it is of no use.
    fn forget(&self, application: ApplicationId) {
        self.sets.invalidate(&application);
    }

    pub(crate) fn invalidate_application(&self, application: ApplicationId) {
        self.applications.advance(&application);
        // What is out of reach would go by itself within the time to live; this frees the memory now.
        self.sets.invalidate(&application);
    }

    pub(crate) fn invalidate_tenant(&self, tenant: TenantId) {
        self.tenants.advance(&tenant);
    }

    pub(crate) fn invalidate_all(&self) {
        self.applications.advance_all();
        self.sets.invalidate_all();
    }
}

#[cfg(test)]
#[path = "material_tests.rs"]
mod tests;
