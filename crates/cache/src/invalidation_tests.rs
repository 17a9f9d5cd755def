use super::*;
use crate::MaterialCacheOptions;
use crate::test_support::{
    FakeCredentials, FakeDirectory, FakeMaterial, TestClock, api_key, application, endpoint_set, options,
    portal, scope, session, tenant, uid,
};
use postrider_application::{
    access::TenantScope,
    ports::{DeliveryMaterial as _, EVENT_FORMS},
};
use postrider_domain::{
    Description, TenantId, Timestamp,
    api_keys::ApiKeyEvent,
    applications::ApplicationEvent,
    endpoints::EndpointEvent,
    event_types::{EventType, EventTypeEvent, EventTypeName},
    events::DomainEvent,
    replays::ReplayEvent,
    tenants::TenantEvent,
    users::{InvitationEvent, MembershipEvent, SessionEvent, UserEvent},
};
use postrider_testkit::contract::{Fixture, Harness as _, MemoryHarness};
use std::collections::HashSet;

#[path = "invalidation_tests/events.rs"]
mod events;

use events::one_of_each;

/// The endpoints of which applications are remembered: two of tenant 1's, and one of tenant 2's.
const WITH_ENDPOINTS: [(u128, u128); 3] = [(1, 1), (1, 11), (2, 2)];

/// All caches filled with two of everything, in tenants 1 and 2.
struct House {
    credentials: Arc<CachedCredentials<FakeCredentials>>,
    directory: Arc<CachedApplicationDirectory<FakeDirectory>>,
    material: CachedMaterial<FakeMaterial>,
    stored: (Arc<FakeCredentials>, Arc<FakeDirectory>),
    scopes: [TenantScope; 2],
}

/// What is still answered of tenant 1 and of tenant 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    keys: [bool; 2],
    sessions: [bool; 2],
    portals: [bool; 2],
    applications: [bool; 2],
    /// Of [`WITH_ENDPOINTS`].
    endpoints: [bool; 3],
}

const ALL: Kept = Kept {
    keys: [true; 2],
    sessions: [true; 2],
    portals: [true; 2],
    applications: [true; 2],
    endpoints: [true; 3],
};
const NONE: Kept = Kept {
    keys: [false; 2],
    sessions: [false; 2],
    portals: [false; 2],
    applications: [false; 2],
    endpoints: [false; 3],
};
/// Of tenant 1 nothing, of tenant 2 all.
const SECOND: [bool; 2] = [false, true];

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
                clock.clone(),
            )),
            material: CachedMaterial::new(Arc::default(), MaterialCacheOptions::default(), clock),
            stored,
            scopes: [scope(1).await, scope(2).await],
        };
        for n in [1, 2] {
            house.stored.0.add(&api_key(n), &session(n));
            house.stored.0.add_portal(tenant(n), application(n), portal());
            house.stored.1.add(tenant(n), &uid("acme"), application(n));
        }
        for (owner, app) in WITH_ENDPOINTS {
            let key = (tenant(owner), application(app));
            house.material.inner().set(key.0, key.1, endpoint_set(7, 1));
            house.material.endpoints(&[key]).await.unwrap();
        }
        assert_eq!(house.kept().await, ALL);
        // From now on, only the caches know of them.
        house.stored.0.clear();
        house.stored.1.clear();
        house
    }

    async fn kept(&self) -> Kept {
        let mut kept = NONE;
        for (at, n) in [1, 2].into_iter().enumerate() {
            kept.keys[at] = self.credentials.api_key(api_key(n).id).await.unwrap().is_some();
            kept.sessions[at] = self.credentials.session(session(n).id).await.unwrap().is_some();
            let portal = self.credentials.portal(tenant(n), application(n)).await;
            kept.portals[at] = portal.unwrap().is_some();
            let resolved = self.directory.resolve(&self.scopes[at], &uid("acme")).await;
            kept.applications[at] = resolved.unwrap().is_some();
        }
        for (at, (_, app)) in WITH_ENDPOINTS.into_iter().enumerate() {
            kept.endpoints[at] = self.material.recall(application(app), 7).is_some();
        }
        kept
    }

    /// What a filled house keeps after an event.
    async fn after(event: &LoggedEvent) -> (Dropped, Kept) {
        let house = Self::filled().await;
        let invalidation =
            CacheInvalidation::new(Arc::clone(&house.credentials), Arc::clone(&house.directory))
                .with_material(&house.material);
        let dropped = invalidation.apply(event);
        (dropped, house.kept().await)
    }
}

fn logged(kind: &str, aggregate: &str, tenant: Option<TenantId>) -> LoggedEvent {
    LoggedEvent {
        position: 1,
        tenant,
        kind: kind.to_owned(),
        aggregate: aggregate.to_owned(),
        version: 1,
        form: EventForm::Known(1),
        body: "{}".to_owned(),
        recorded_at: Timestamp::from_micros(0),
    }
}

/// As [`logged`], of an endpoint of that application.
fn logged_of(kind: &str, application: ApplicationId) -> LoggedEvent {
    LoggedEvent {
        body: format!(r#"{{"v":1,"application":"{application}","why":"manual"}}"#),
        ..logged(kind, "ep_x", Some(tenant(1)))
    }
}

fn paid() -> EventTypeName {
    EventTypeName::parse("invoice.paid").unwrap()
}

/// What a filled house keeps after an event of tenant 1. Deliberately without a rest: a new kind does not compile
/// until somebody has thought of what is cached of it (and has added one to [`one_of_each`]).
fn expected(event: &DomainEvent) -> (Dropped, Kept) {
    let concerned = |kept| (Dropped::Concerned, kept);
    let credentials = concerned(Kept {
        applications: [true; 2],
        endpoints: [true; 3],
        ..NONE
    });
    let tenants = concerned(Kept {
        applications: [true; 2],
        endpoints: [false, false, true],
        ..NONE
    });
    let endpoints = concerned(Kept {
        endpoints: [false, true, true],
        ..ALL
    });
    let sessions = concerned(Kept {
        sessions: [false; 2],
        ..ALL
    });
    let session = concerned(Kept {
        sessions: SECOND,
        ..ALL
    });
    let key = concerned(Kept { keys: SECOND, ..ALL });
    let application = concerned(Kept {
        applications: SECOND,
        portals: SECOND,
        endpoints: [false, true, true],
        ..ALL
    });
    match event {
        DomainEvent::Tenant(
            _,
            TenantEvent::Updated { .. } | TenantEvent::Suspended { .. } | TenantEvent::Resumed { .. },
        ) => credentials,
        DomainEvent::Tenant(_, TenantEvent::DeletionOrdered { .. }) => tenants,
        DomainEvent::Endpoint(
            _,
            _,
            EndpointEvent::Created { .. }
            | EndpointEvent::Disabled { .. }
            | EndpointEvent::Enabled
            | EndpointEvent::Updated { .. }
            | EndpointEvent::SecretRotated { .. }
            | EndpointEvent::Deleted { .. },
        ) => endpoints,
        DomainEvent::Membership(
            _,
            MembershipEvent::Joined { .. }
            | MembershipEvent::GrantsChanged { .. }
            | MembershipEvent::Removed { .. },
        ) => sessions,
        DomainEvent::Session(_, SessionEvent::Opened { .. } | SessionEvent::Ended { .. }) => session,
        DomainEvent::ApiKey(_, ApiKeyEvent::Minted { .. } | ApiKeyEvent::Revoked) => key,
        DomainEvent::Application(
            _,
            ApplicationEvent::Created { .. }
            | ApplicationEvent::PortalTokensRevoked { .. }
            | ApplicationEvent::Updated { .. }
            | ApplicationEvent::Deleted { .. },
        ) => application,
        DomainEvent::Tenant(_, TenantEvent::Created { .. })
        | DomainEvent::User(_, UserEvent::Registered | UserEvent::PasswordChanged)
        | DomainEvent::Invitation(
            _,
            InvitationEvent::Issued { .. }
            | InvitationEvent::Accepted
            | InvitationEvent::Withdrawn
            | InvitationEvent::Replaced,
        )
        | DomainEvent::Replay(_, _, ReplayEvent::Created { .. } | ReplayEvent::Finished { .. })
        // No cache of event types is told in these.
        | DomainEvent::EventType(
            _,
            EventTypeEvent::Registered { .. }
            | EventTypeEvent::Described { .. }
            | EventTypeEvent::SchemaAdded { .. }
            | EventTypeEvent::Archived { .. },
        ) => (Dropped::Nothing, ALL),
    }
}

/// The kinds' names stand in two places: where events are defined, and in the invalidation.
#[tokio::test]
async fn every_event_of_the_domain_drops_what_it_concerns_and_nothing_else() {
    let mut kinds = HashSet::new();
    for event in one_of_each() {
        let logged = if let DomainEvent::Endpoint(application, ..) = &event {
            logged_of(event.kind(), *application)
        } else {
            logged(event.kind(), &event.aggregate(), Some(tenant(1)))
        };
        assert_eq!(House::after(&logged).await, expected(&event), "{}", event.kind());
        assert!(kinds.insert(event.kind()), "{} stands twice", event.kind());
    }
    let mut forms: HashSet<&str> = EVENT_FORMS.iter().map(|(kind, _)| *kind).collect();
    // No aggregate's: it is written with the deliveries.
    assert!(forms.remove("delivery.failed"));
    assert_eq!(
        kinds, forms,
        "each kind has its form, and each form its event here"
    );
}

/// What comes at the rate of traffic must not empty the caches of all tenants.
#[tokio::test]
async fn no_kind_that_this_release_writes_drops_everything() {
    for (kind, version) in EVENT_FORMS {
        let event = LoggedEvent {
            form: EventForm::Known(*version),
            ..logged(kind, "?", Some(tenant(1)))
        };
        let (dropped, kept) = House::after(&event).await;
        assert_ne!(dropped, Dropped::Everything, "{kind}");
        assert_ne!(kept, NONE, "{kind}");
    }
    for kind in ["delivery.failed", "replay.finished"] {
        let event = logged(kind, "?", Some(tenant(1)));
        assert_eq!(House::after(&event).await, (Dropped::Nothing, ALL), "{kind}");
    }
}

#[tokio::test]
async fn what_does_not_say_whom_it_concerns_concerns_all_of_its_kind() {
    let app = application(1).to_string();
    for (event, kept) in [
        (
            logged("api_key.revoked", "?", Some(tenant(1))),
            Kept {
                keys: [false; 2],
                ..ALL
            },
        ),
        (
            logged("session.ended", "?", Some(tenant(1))),
            Kept {
                sessions: [false; 2],
                ..ALL
            },
        ),
        (
            logged("application.renamed", &app, None),
            Kept {
                applications: [false; 2],
                portals: [false; 2],
                endpoints: [false, true, true],
                ..ALL
            },
        ),
        (
            logged("application.renamed", "?", Some(tenant(2))),
            Kept {
                applications: [true, false],
                portals: [true, false],
                endpoints: [true, true, false],
                ..ALL
            },
        ),
        (
            logged("endpoint.renamed", "ep_x", Some(tenant(1))),
            Kept {
                endpoints: [false, false, true],
                ..ALL
            },
        ),
        (
            logged("endpoint.renamed", "ep_x", None),
            Kept {
                endpoints: [false; 3],
                ..ALL
            },
        ),
        (
            LoggedEvent {
                body: r#"{"v":2,"application":{"id":1}}"#.to_owned(),
                ..logged("endpoint.disabled", "ep_x", Some(tenant(2)))
            },
            Kept {
                endpoints: [true, true, false],
                ..ALL
            },
        ),
    ] {
        assert_eq!(
            House::after(&event).await,
            (Dropped::Concerned, kept),
            "{}",
            event.kind
        );
    }
}

#[tokio::test]
async fn an_unknown_kind_drops_everything() {
    for kind in [
        "tenant.renamed",
        "user.email_changed",
        "portal.opened",
        "",
        ".",
        "api_key",
        "apikey.revoked",
    ] {
        let event = logged(kind, "x", Some(tenant(1)));
        assert_eq!(House::after(&event).await, (Dropped::Everything, NONE), "{kind}");
    }
}

/// What a store writes of an endpoint names its application in the way that is looked for here.
#[tokio::test]
async fn what_a_store_logs_of_an_endpoint_drops_its_application_only() {
    let harness = MemoryHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (material, clock) = (fixture.ports().material.clone(), Arc::<TestClock>::default());
    let cached = CachedMaterial::new(material, MaterialCacheOptions::default(), clock);
    let acme = fixture.tenant("acme").await;
    let (customer, other) = (fixture.application(&acme).await, fixture.application(&acme).await);
    let head = fixture.ports().events.head().await.unwrap();
    fixture.endpoint(&acme, &customer).await;
    let events = fixture.ports().events.after(head, 10).await.unwrap();
    assert_eq!(events.len(), 1);

    let house = House::filled().await;
    let invalidation = CacheInvalidation::new(house.credentials, house.directory).with_material(&cached);
    let keys = [(acme.id, customer.id), (acme.id, other.id)];
    assert_eq!(cached.endpoints(&keys).await.unwrap().len(), 2);
    assert_eq!(invalidation.apply(&events[0]), Dropped::Concerned);
    assert!(cached.recall(customer.id, 0).is_none());
    assert!(cached.recall(other.id, 0).is_some());
}

/// A node that remembers no endpoints hears of them all the same.
#[tokio::test]
async fn without_material_events_of_endpoints_concern_nobody() {
    let house = House::filled().await;
    let invalidation = CacheInvalidation::new(house.credentials.clone(), house.directory.clone());
    for event in [
        logged_of("endpoint.disabled", application(1)),
        logged("endpoint.disabled", "ep_x", None),
    ] {
        assert_eq!(invalidation.apply(&event), Dropped::Nothing, "{event:?}");
    }
    assert_eq!(house.kept().await, ALL);
}

/// What a cache of event types is told, if there is one.
#[tokio::test]
async fn event_types_are_forgotten_with_what_is_published_by_them() {
    let harness = MemoryHarness::new().await;
    let fixture = Fixture::new(&harness);
    let ours = fixture.tenant("ours").await;
    for (kind, dropped) in [
        ("event_type.registered", Dropped::Nothing),
        ("event_type.described", Dropped::Nothing),
        ("event_type.schema_added", Dropped::Concerned),
        ("event_type.archived", Dropped::Concerned),
        ("event_type.of_a_newer_node", Dropped::Concerned),
        ("something.else", Dropped::Everything),
    ] {
        let house = House::filled().await;
        let store = Arc::new(harness.store().clone());
        let cached = CachedEventTypes::new(store, options(), Arc::<TestClock>::default());
        let cached = Arc::new(cached);
        let invalidation =
            CacheInvalidation::new(Arc::clone(&house.credentials), Arc::clone(&house.directory))
                .with_event_types(&cached);
        let name = EventTypeName::parse(&format!("a.{}", kind.len())).unwrap();
        let ask = async || cached.known_event_type(&ours.scope, &name).await.unwrap();
        let mut event_type = EventType::register(
            ours.id,
            name.clone(),
            Description::default(),
            Timestamp::from_micros(1),
        );
        fixture.save(&ours.scope, &mut event_type).await.unwrap();
        assert!(!ask().await.unwrap().archived);
        let mut stored: EventType = fixture.find(&ours.scope, &name).await.unwrap();
        let _ = stored.archive(Timestamp::from_micros(2));
        fixture.save(&ours.scope, &mut stored).await.unwrap();
        assert!(!ask().await.unwrap().archived, "from the cache");
        assert_eq!(invalidation.apply(&logged(kind, "a", Some(ours.id))), dropped);
        assert_eq!(
            ask().await.unwrap().archived,
            dropped != Dropped::Nothing,
            "{kind}"
        );
    }
}
