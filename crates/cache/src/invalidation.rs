use std::{fmt, sync::Arc};

use postrider_application::ports::{ApplicationDirectory, Credentials, LoggedEvent};

use crate::{CachedApplicationDirectory, CachedCredentials};

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

/// Tells the caches of what happened. The relay's subscriber hands every event of the log to it.
pub struct CacheInvalidation<C: ?Sized = dyn Credentials, D: ?Sized = dyn ApplicationDirectory> {
    credentials: Arc<CachedCredentials<C>>,
    directory: Arc<CachedApplicationDirectory<D>>,
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
        }
    }

    /// Drops what the event concerns. An event of a kind that is not known here, perhaps written by a newer node,
    /// drops everything: a cache may forget too much, never too little.
    pub fn apply(&self, event: &LoggedEvent) -> Dropped {
        let (aggregate, verb) = event.kind.split_once('.').unwrap_or_default();
        match (aggregate, verb) {
            // New; nothing of it can be cached yet, as absence is not.
            ("tenant", "created") |
            // Not part of anything that is cached here. Sessions do not outlive a changed password, but end by events
            // of their own; invitations are read when they are accepted.
            ("user", "registered" | "password_changed") | ("invitation" | "endpoint" | "event_type", _) => {
                return Dropped::Nothing;
            }
            // Every credential holds its tenant's status, and is found by its own id only. Which applications there
            // are does not change with it.
            ("tenant", "suspended" | "resumed" | "deletion_ordered") => self.credentials.invalidate_all(),
            // By an application's id alone it cannot be told which uid it had.
            ("application", _) => match event.tenant {
                Some(tenant) => {
                    self.directory.invalidate_tenant(tenant);
                    self.credentials.invalidate_portals_of(tenant);
                }
                None => {
                    self.directory.invalidate_all();
                    self.credentials.invalidate_portals();
                }
            },
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

    /// Drops everything: when events may have been missed.
    pub fn everything(&self) {
        self.credentials.invalidate_all();
        self.directory.invalidate_all();
    }
}

impl<C: ?Sized, D: ?Sized> Clone for CacheInvalidation<C, D> {
    fn clone(&self) -> Self {
        Self {
            credentials: Arc::clone(&self.credentials),
            directory: Arc::clone(&self.directory),
        }
    }
}

impl<C: ?Sized, D: ?Sized> fmt::Debug for CacheInvalidation<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheInvalidation").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{
        FakeCredentials, FakeDirectory, TestClock, api_key, application, options, scope, session, tenant, uid,
    };
    use postrider_application::access::TenantScope;
    use postrider_domain::{
        ApiKeyId, ApplicationId, Description, EndpointId, MembershipId, Name, SessionId, TenantId, UserId,
        access::{Grant, Role},
        api_keys::ApiKeyEvent,
        applications::ApplicationEvent,
        endpoints::EndpointEvent,
        event_types::{EventTypeEvent, EventTypeName},
        events::DomainEvent,
        tenants::TenantEvent,
        users::{MembershipEvent, SessionEvent, UserEvent},
    };
    use uuid::Uuid;

    /// Both caches filled with two of everything, in tenants 1 and 2.
    struct House {
        credentials: Arc<CachedCredentials<FakeCredentials>>,
        directory: Arc<CachedApplicationDirectory<FakeDirectory>>,
        stored: (Arc<FakeCredentials>, Arc<FakeDirectory>),
        scopes: [TenantScope; 2],
    }

    impl House {
        async fn filled() -> Self {
            let clock = Arc::<TestClock>::default();
            let stored = (
                Arc::new(FakeCredentials::default()),
                Arc::new(FakeDirectory::default()),
            );
            let house = Self {
                credentials: Arc::new(CachedCredentials::new(stored.0.clone(), options(), clock.clone())),
                directory: Arc::new(CachedApplicationDirectory::new(
                    stored.1.clone(),
                    options(),
                    clock,
                )),
                stored,
                scopes: [scope(1).await, scope(2).await],
            };
            for n in [1, 2] {
                house.stored.0.add(&api_key(n), &session(n));
                house.stored.1.add(tenant(n), &uid("acme"), application(n));
            }
            house.kept().await;
            // From now on, only the caches know of them.
            house.stored.0.clear();
            house.stored.1.clear();
            house
        }

        /// What is answered: keys, sessions, applications.
        async fn kept(&self) -> [bool; 6] {
            let mut kept = [false; 6];
            for (at, n) in [1, 2].into_iter().enumerate() {
                kept[at] = self.credentials.api_key(api_key(n).id).await.unwrap().is_some();
                kept[2 + at] = self.credentials.session(session(n).id).await.unwrap().is_some();
                kept[4 + at] = self
                    .directory
                    .resolve(&self.scopes[at], &uid("acme"))
                    .await
                    .unwrap()
                    .is_some();
            }
            kept
        }

        fn invalidation(&self) -> CacheInvalidation<FakeCredentials, FakeDirectory> {
            CacheInvalidation::new(Arc::clone(&self.credentials), Arc::clone(&self.directory))
        }
    }

    fn logged(kind: &str, aggregate: &str, tenant: Option<TenantId>) -> LoggedEvent {
        LoggedEvent {
            position: 1,
            tenant,
            kind: kind.to_owned(),
            aggregate: aggregate.to_owned(),
            version: 1,
            body: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_event_drops_what_it_concerns_and_nothing_else() {
        let (t, f) = (true, false);
        let key = api_key(1).id.to_string();
        let session = session(1).id.to_string();
        let app = application(1).to_string();
        let first = Some(tenant(1));
        for (event, dropped, kept) in [
            (
                logged("api_key.revoked", &key, first),
                Dropped::Concerned,
                [f, t, t, t, t, t],
            ),
            (
                logged("session.ended", &session, first),
                Dropped::Concerned,
                [t, t, f, t, t, t],
            ),
            (
                logged("application.renamed", &app, first),
                Dropped::Concerned,
                [t, t, t, t, f, t],
            ),
            (
                logged("membership.removed", "mem_x", first),
                Dropped::Concerned,
                [t, t, f, f, t, t],
            ),
            (
                logged("endpoint.disabled", "ep_x", first),
                Dropped::Nothing,
                [t; 6],
            ),
            (
                logged("event_type.archived", "a.b", first),
                Dropped::Nothing,
                [t; 6],
            ),
            // What does not say whom it concerns concerns all of its kind.
            (
                logged("api_key.revoked", "?", first),
                Dropped::Concerned,
                [f, f, t, t, t, t],
            ),
            (
                logged("session.ended", "?", first),
                Dropped::Concerned,
                [t, t, f, f, t, t],
            ),
            (
                logged("application.renamed", &app, None),
                Dropped::Concerned,
                [t, t, t, t, f, f],
            ),
        ] {
            let house = House::filled().await;
            assert_eq!(house.kept().await, [true; 6]);
            assert_eq!(house.invalidation().apply(&event), dropped, "{}", event.kind);
            assert_eq!(house.kept().await, kept, "{}", event.kind);
        }
    }

    #[tokio::test]
    async fn an_unknown_kind_drops_everything() {
        for kind in [
            "tenant.suspended",
            "user.password_changed",
            "portal.opened",
            "",
            "api_key",
            "apikey.revoked",
        ] {
            let house = House::filled().await;
            assert_eq!(
                house.invalidation().apply(&logged(kind, "x", None)),
                Dropped::Everything,
                "{kind}"
            );
            assert_eq!(house.kept().await, [false; 6], "{kind}");
        }
    }

    /// The names stand in two places: where events are defined, and in the table here.
    #[tokio::test]
    async fn the_domains_own_events_are_known_by_name() {
        let uuid = Uuid::from_u128(1);
        let name = || Name::parse("n").unwrap();
        let grants = || vec![Grant::tenant(Role::Viewer)];
        let user = UserId::from_uuid(uuid);
        let application = ApplicationId::from_uuid(uuid);
        for (event, dropped) in [
            (
                DomainEvent::ApiKey(
                    ApiKeyId::from_uuid(uuid),
                    ApiKeyEvent::Minted {
                        name: name(),
                        grants: grants(),
                        expires_at: None,
                    },
                ),
                Dropped::Concerned,
            ),
            (
                DomainEvent::Session(SessionId::from_uuid(uuid), SessionEvent::Opened { user }),
                Dropped::Concerned,
            ),
            (
                DomainEvent::Membership(
                    MembershipId::from_uuid(uuid),
                    MembershipEvent::Joined {
                        user,
                        grants: grants(),
                    },
                ),
                Dropped::Concerned,
            ),
            (
                DomainEvent::Application(
                    application,
                    ApplicationEvent::Created {
                        uid: None,
                        name: name(),
                    },
                ),
                Dropped::Concerned,
            ),
            (
                DomainEvent::Endpoint(application, EndpointId::from_uuid(uuid), EndpointEvent::Enabled),
                Dropped::Nothing,
            ),
            (
                DomainEvent::EventType(
                    EventTypeName::parse("invoice.paid").unwrap(),
                    EventTypeEvent::Registered {
                        description: Description::default(),
                    },
                ),
                Dropped::Nothing,
            ),
            (DomainEvent::User(user, UserEvent::Registered), Dropped::Nothing),
            (
                DomainEvent::Tenant(TenantId::from_uuid(uuid), TenantEvent::Created { name: name() }),
                Dropped::Nothing,
            ),
        ] {
            let house = House::filled().await;
            let event = logged(event.kind(), &event.aggregate(), None);
            assert_eq!(house.invalidation().apply(&event), dropped, "{}", event.kind);
        }
    }
}
