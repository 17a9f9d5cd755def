use std::{sync::Arc, time::Duration};

use postrider_application::ports::{Clock, LoggedEvent};
use postrider_cache::{
    CacheInvalidation, CacheOptions, CachedApplicationDirectory, CachedCredentials, CachedEventTypes,
    CachedMaterial, MaterialCacheOptions,
};
use postrider_outbox::NodeSubscriber;
use postrider_persistence::SqlStore;

/// What this node remembers of the database.
pub(super) struct Caches {
    pub(super) credentials: Arc<CachedCredentials<SqlStore>>,
    pub(super) directory: Arc<CachedApplicationDirectory<SqlStore>>,
    pub(super) event_types: Arc<CachedEventTypes<SqlStore>>,
    pub(super) material: Arc<CachedMaterial<SqlStore>>,
}

impl Caches {
    /// Caches over `store` that keep nothing for longer than `ttl`.
    pub(super) fn over(store: &Arc<SqlStore>, ttl: Duration, clock: &Arc<dyn Clock>) -> Self {
        let options = CacheOptions {
            ttl,
            ..CacheOptions::default()
        };
        Self {
            material: Arc::new(CachedMaterial::new(
                store.clone(),
                MaterialCacheOptions {
                    ttl,
                    ..MaterialCacheOptions::default()
                },
                clock.clone(),
            )),
            event_types: Arc::new(CachedEventTypes::new(store.clone(), options, clock.clone())),
            credentials: Arc::new(CachedCredentials::new(store.clone(), options, clock.clone())),
            directory: Arc::new(CachedApplicationDirectory::new(
                store.clone(),
                options,
                clock.clone(),
            )),
        }
    }

    /// Makes them forget what changed.
    pub(super) fn subscriber(&self) -> CacheSubscriber {
        let invalidation = CacheInvalidation::new(self.credentials.clone(), self.directory.clone());
        CacheSubscriber(
            invalidation
                .with_event_types(&self.event_types)
                .with_material(&self.material),
        )
    }
}

/// This node's caches, as a subscriber of the event log: what changed on any node is forgotten here.
pub(super) struct CacheSubscriber(CacheInvalidation<SqlStore, SqlStore>);

impl NodeSubscriber for CacheSubscriber {
    fn apply(&self, event: &LoggedEvent) {
        self.0.apply(event);
    }

    fn forget_all(&self) {
        self.0.everything();
    }
}
