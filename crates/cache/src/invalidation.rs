use std::{fmt, sync::Arc};

use postrider_application::ports::{
    ApplicationDirectory, Credentials, EventForm, EventTypeDirectory, LoggedEvent,
};
use postrider_domain::{ApplicationId, TenantId};

use crate::{
    CachedApplicationDirectory, CachedCredentials, CachedEventTypes, CachedMaterial, material::EndpointSets,
};

/// What an event made the caches forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nothing that is cached here follows from such an event.
    Nothing,
    /// What the event concerns.
    Concerned,
    /// Everything.
    Everything,
}

/// What caches event types, whatever is behind it.
trait ForgetEventTypes: Send + Sync {
    /// Those of the tenant, or all.
    fn forget(&self, tenant: Option<TenantId>);
}

impl<E: EventTypeDirectory> ForgetEventTypes for CachedEventTypes<E> {
    fn forget(&self, tenant: Option<TenantId>) {
        match tenant {
            Some(tenant) => self.invalidate_tenant(tenant),
            None => self.invalidate_all(),
        }
    }
}

/// Tells the caches of what happened. The relay's subscriber hands every event of the log to it.
pub struct CacheInvalidation<C: ?Sized = dyn Credentials, D: ?Sized = dyn ApplicationDirectory> {
    credentials: Arc<CachedCredentials<C>>,
    directory: Arc<CachedApplicationDirectory<D>>,
    event_types: Option<Arc<dyn ForgetEventTypes>>,
    endpoints: Option<Arc<EndpointSets>>,
}

impl<C: ?Sized, D: ?Sized> CacheInvalidation<C, D> {
    /// Tells these caches.
    pub fn new(
        credentials: Arc<CachedCredentials<C>>,
        directory: Arc<CachedApplicationDirectory<D>>,
    ) -> Self {
        Self {
            credentials,
            directory,
            event_types: None,
            endpoints: None,
        }
    }

    /// Tells this one as well.
    #[must_use]
    pub fn with_event_types<E>(mut self, event_types: &Arc<CachedEventTypes<E>>) -> Self
    where
        E: EventTypeDirectory + 'static,
    {
        self.event_types = Some(Arc::clone(event_types) as _);
        self
    }

    /// Tells this one as well, where there is one: a node that does not deliver has none.
    #[must_use]
    pub fn with_material<M: ?Sized>(mut self, material: &CachedMaterial<M>) -> Self {
        self.endpoints = Some(Arc::clone(material.sets()));
        self
    }

    /// Drops what the event concerns. An event of a kind or form that is not known here, perhaps written by a newer
    /// node, drops everything: a cache may forget too much, never too little.
    pub fn apply(&self, event: &LoggedEvent) -> Dropped {
        if event.form == EventForm::Unknown {
            self.everything();
            return Dropped::Everything;
        }
        let (aggregate, verb) = event.kind.split_once('.').unwrap_or_default();
        match (aggregate, verb) {
            // What is new cannot be cached yet, as absence is not. The rest is not part of anything that is cached
            // here: sessions do not outlive a changed password, but end by events of their own; invitations are read
            // anew whenever one is accepted. What becomes of deliveries and replays comes at the rate of traffic, and
            // is no configuration.
            ("tenant", "created")
            | ("user", "registered" | "password_changed")
            | ("event_type", "registered" | "described")
            | ("invitation" | "delivery" | "replay", _) => return Dropped::Nothing,
            ("event_type", _) if self.event_types.is_none() => return Dropped::Nothing,
            ("event_type", _) => self.event_types_of(event.tenant),
            // Every credential holds its tenant's status and settings, and is found by its own id only. Which
            // applications there are does not change with it. A suspended tenant's messages are delivered; those of
            // one that is to be deleted are not.
            ("tenant", "updated" | "suspended" | "resumed") => self.credentials.invalidate_all(),
            ("tenant", "deletion_ordered") => {
                self.credentials.invalidate_all();
                self.endpoints_of_tenant(event.tenant);
            }
            ("endpoint", _) if self.endpoints.is_none() => return Dropped::Nothing,
            ("endpoint", _) => match application_in(&event.body) {
                Some(application) => self.endpoints_of(application),
                None => self.endpoints_of_tenant(event.tenant),
            },
            // By an application's id alone it cannot be told which uid it had.
            ("application", _) => {
                self.application_of(event.tenant);
                match event.aggregate.parse() {
                    Ok(application) => self.endpoints_of(application),
                    Err(_) => self.endpoints_of_tenant(event.tenant),
                }
            }
            ("api_key", _) => match event.aggregate.parse() {
                Ok(id) => self.credentials.invalidate_api_key(id),
                Err(_) => self.credentials.invalidate_api_keys(),
            },
            ("session", _) => match event.aggregate.parse() {
                Ok(id) => self.credentials.invalidate_session(id),
                Err(_) => self.credentials.invalidate_sessions(),
            },
            // Sessions hold their membership's grants, and are found by their own id only.
            ("membership", _) => self.credentials.invalidate_sessions(),
            _ => {
                self.everything();
                return Dropped::Everything;
            }
        }
        Dropped::Concerned
    }

    fn application_of(&self, tenant: Option<TenantId>) {
        if let Some(tenant) = tenant {
            self.directory.invalidate_tenant(tenant);
            self.credentials.invalidate_portals_of(tenant);
        } else {
            self.directory.invalidate_all();
            self.credentials.invalidate_portals();
        }
    }

    fn event_types_of(&self, tenant: Option<TenantId>) {
        if let Some(event_types) = &self.event_types {
            event_types.forget(tenant);
        }
    }

    fn endpoints_of(&self, application: ApplicationId) {
        if let Some(endpoints) = &self.endpoints {
            endpoints.invalidate_application(application);
        }
    }

    fn endpoints_of_tenant(&self, tenant: Option<TenantId>) {
        match (&self.endpoints, tenant) {
            (Some(endpoints), Some(tenant)) => endpoints.invalidate_tenant(tenant),
            (Some(endpoints), None) => endpoints.invalidate_all(),
            (None, _) => {}
        }
    }

    /// Drops everything: when events may have been missed.
    pub fn everything(&self) {
        self.credentials.invalidate_all();
        self.directory.invalidate_all();
        self.event_types_of(None);
        self.endpoints_of_tenant(None);
    }
}

/// The application that an endpoint's event names in its body.
fn application_in(body: &str) -> Option<ApplicationId> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body.get("application")?.as_str()?.parse().ok()
}

impl<C: ?Sized, D: ?Sized> Clone for CacheInvalidation<C, D> {
    fn clone(&self) -> Self {
        Self {
            credentials: Arc::clone(&self.credentials),
            directory: Arc::clone(&self.directory),
            event_types: self.event_types.clone(),
            endpoints: self.endpoints.clone(),
        }
    }
}

impl<C: ?Sized, D: ?Sized> fmt::Debug for CacheInvalidation<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheInvalidation").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "invalidation_tests.rs"]
mod tests;
