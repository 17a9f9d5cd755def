//! What is saved is what is found: every aggregate, with all optional facts and with none.

use std::{collections::BTreeMap, time::Duration};

use postrider_application::{
    Versioned,
    access::TenantScope,
    audit::Record,
    ports::{
        ApplicationViews as _, EndpointViews as _, EventTypeViews as _, Repository, Store as _,
        UnitOfWork as _, UserRepository as _,
    },
};
use postrider_domain::{
    Aggregate, ApiKeyId, ApplicationId, Description, EndpointId, InvitationId, MembershipId, Metadata, Name,
    SessionId, Uid, UserId, Version,
    access::{Grant, Role},
    api_keys::ApiKey,
    applications::Application,
    deliveries::RetrySchedule,
    endpoints::{
        AttemptTimeout, CustomHeaders, DisableReason, Ed25519Key, Endpoint, EndpointRef, EndpointUrl, Filter,
        HeaderName, HeaderValue, NewEndpoint, Overlap, SigningSecret,
    },
    event_types::{EventType, EventTypeName},
    messages::Channel,
    tenants::Tenant,
    tokens::SecretHash,
    users::{Email, Invitation, Membership, NewInvitation, RefreshHashes, Session, SessionLifetime},
};

use super::{Fixture, Harness, Tenancy, fixture::Tx};

/// Text that breaks whoever builds SQL or JSON by hand, or counts bytes as characters.
const ODD: &str = "Ünï'çødé \"q\" \\ %_ ; -- ${x} 日本 🐎 {\"a\":[1]}";

fn odd_name() -> Name {
    Name::parse(ODD).unwrap()
}

fn odd_metadata() -> Metadata {
    let pairs = [(ODD, ODD), ("empty", ""), ("a.b", "[1,2]")];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Metadata::parse(BTreeMap::from(pairs)).unwrap()
}

/// Saves a new aggregate and finds it as it is, at version 1.
async fn survives<H, A>(
    fixture: &Fixture<'_, H>,
    scope: &TenantScope,
    mut aggregate: A,
    key: &<Tx<H> as Repository<A>>::Key,
) where
    H: Harness,
    A: Aggregate<State: PartialEq + std::fmt::Debug>,
    Tx<H>: Repository<A>,
{
    fixture.save(scope, &mut aggregate).await.unwrap();
    let found = fixture.find::<A>(scope, key).await.unwrap();
    assert_eq!(found.state(), aggregate.state());
    assert_eq!(found.version(), Version(1));
}

/// A tenant.
pub async fn a_tenant_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let operator = fixture.operator().await;
    let id = postrider_domain::TenantId::from_uuid(fixture.uuid());
    let caller = fixture.owner_of(id, UserId::from_uuid(fixture.uuid()));
    let scope = fixture.scope_of(&caller).await;
    let mut tenant = Tenant::create(id, odd_name(), fixture.now());
    let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
    tx.save(&scope, &mut tenant).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let found: Tenant = fixture.find(&scope, &id).await.unwrap();
    assert_eq!((found.state(), found.version()), (tenant.state(), Version(1)));
}

/// A person, found by address by the operator and by the login.
pub async fn a_person_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let operator = fixture.operator().await;
    let email = Email::parse("Ada.Lovelace+hooks@Example.com").unwrap();
    let mut user = fixture.user(UserId::from_uuid(fixture.uuid()), &email);
    let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
    assert!(tx.find_user(&operator, &email).await.unwrap().is_none());
    tx.save_user(&operator, &mut user).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();

    let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
    let found = tx.find_user(&operator, &email).await.unwrap().unwrap();
    drop(tx);
    assert_eq!((found.state(), found.version()), (user.state(), Version(1)));
    let found = fixture
        .ports()
        .identities
        .user_by_email(&email)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.state(), found.version()), (user.state(), Version(1)));
}

fn all_grants(application: ApplicationId) -> Vec<Grant> {
    let everywhere = Role::ALL.map(Grant::tenant);
    let there = Role::ALL.map(|role| Grant::application(role, application));
    [everywhere, there].concat()
}

/// A membership with every kind of grant, and one with none.
pub async fn a_membership_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    for grants in [all_grants(customer.id), Vec::new()] {
        let user = fixture.stranger().await;
        let id = MembershipId::from_uuid(fixture.uuid());
        let membership = Membership::join(id, tenant.id, user, grants, fixture.now());
        survives(&fixture, &tenant.scope, membership, &id).await;
    }
}

/// A hash in which every byte is another.
fn hash() -> SecretHash {
    SecretHash(std::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap()))
}

/// An invitation with every kind of grant.
pub async fn an_invitation_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = InvitationId::from_uuid(fixture.uuid());
    let new = NewInvitation {
        email: Email::parse("Bob+in@Example.com").unwrap(),
        grants: all_grants(customer.id),
        token_hash: hash(),
        invited_by: ODD.to_owned(),
    };
    let week = Duration::from_hours(7 * 24);
    let invitation = Invitation::issue(id, tenant.id, new, fixture.now(), week).unwrap();
    survives(&fixture, &tenant.scope, invitation, &id).await;
}

/// A session.
pub async fn a_session_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let id = SessionId::from_uuid(fixture.uuid());
    let hashes = RefreshHashes {
        family: hash(),
        current: SecretHash([255; 32]),
    };
    let lifetime = SessionLifetime {
        absolute: Duration::from_hours(12),
        idle: Duration::from_micros(1_000_001),
    };
    let session = Session::open(id, tenant.id, tenant.owner, hashes, fixture.now(), lifetime);
    survives(&fixture, &tenant.scope, session, &id).await;
}

/// An API key that expires, and one that does not.
pub async fn an_api_key_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    for expires_at in [None, Some(fixture.now().plus(Duration::from_secs(1)))] {
        let id = ApiKeyId::from_uuid(fixture.uuid());
        let grants = all_grants(customer.id);
        let key = ApiKey::mint(
            id,
            tenant.id,
            odd_name(),
            hash(),
            grants,
            expires_at,
            fixture.now(),
        )
        .unwrap();
        survives(&fixture, &tenant.scope, key, &id).await;
    }
}

/// An application with everything, and a bare one; the view shows the same.
pub async fn an_application_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let id = || ApplicationId::from_uuid(fixture.uuid());
    let (uid, at) = (Uid::parse("customer-42:eu").unwrap(), fixture.now());
    let full = Application::create(id(), tenant.id, Some(uid), odd_name(), odd_metadata(), at);
    let bare = Application::create(
        id(),
        tenant.id,
        None,
        Name::parse("x").unwrap(),
        Metadata::default(),
        at,
    );
    for application in [full, bare] {
        let state = application.state().clone();
        survives(&fixture, &tenant.scope, application, &state.id).await;
        let view = fixture
            .store()
            .application(&tenant.scope, state.id)
            .await
            .unwrap();
        let (value, version) = (state, Version(1));
        assert_eq!(view, Some(Versioned { value, version }));
    }
}

/// An event type with a description, and one without; the view shows the same.
pub async fn an_event_type_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let long = "é".repeat(Description::MAX_CHARS);
    for (name, description) in [("a", ""), ("b.c-d_e", ODD), ("long", long.as_str())] {
        let (name, description) = (
            EventTypeName::parse(name).unwrap(),
            Description::parse(description).unwrap(),
        );
        let event_type = EventType::register(tenant.id, name.clone(), description, fixture.now());
        let state = event_type.state().clone();
        survives(&fixture, &tenant.scope, event_type, &name).await;
        let view = fixture.store().event_type(&tenant.scope, &name).await.unwrap();
        assert_eq!(view.map(|view| view.event_type.value), Some(state));
    }
}

/// A header that may be shown, and one that may not.
fn headers() -> CustomHeaders {
    let header = |name, value, secret| {
        let value = HeaderValue::parse(value, secret).unwrap();
        (HeaderName::parse(name).unwrap(), value)
    };
    let odd = "a \"b\" 'c' \\ {}\t;~";
    let headers = [
        header("authorization", "Bearer hunter2", true),
        header("x-odd!#$%&'*+-.^_`|~", odd, false),
    ];
    CustomHeaders::new(BTreeMap::from(headers)).unwrap()
}

/// An endpoint with everything that an endpoint can have.
pub(super) fn full_endpoint<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    application: ApplicationId,
) -> Endpoint {
    let name = |text| EventTypeName::parse(text).unwrap();
    let channel = |text| Channel::parse(text).unwrap();
    let waits = [1, 5, 86_400].map(Duration::from_secs).to_vec();
    let new = NewEndpoint {
        uid: Some(Uid::parse("billing.hook").unwrap()),
        url: EndpointUrl::parse("https://example.com:8443/hooks?token=a%20b&x='").unwrap(),
        description: Description::parse(ODD).unwrap(),
        filter: Filter::new(
            vec![name("b"), name("a.b")],
            vec![channel("eu/west"), channel("a:b")],
        )
        .unwrap(),
        secret: SigningSecret::from_bytes((0..64).map(|i| i * 4).collect())
            .unwrap()
            .into(),
        headers: headers(),
        retry_schedule: Some(RetrySchedule::new(waits).unwrap()),
        timeout: Some(AttemptTimeout::from_millis(59_999).unwrap()),
        metadata: odd_metadata(),
    };
    let id = EndpointId::from_uuid(fixture.uuid());
    let mut endpoint = Endpoint::create(id, tenant.id, application, new, fixture.now());
    // Old secrets of both kinds, and a key pair that signs.
    let pair = |n: u8| Ed25519Key::of_pair([n; 32], [n + 1; 32]).into();
    for secret in [pair(2), SigningSecret::generate([9; 32]).into(), pair(4)] {
        endpoint
            .rotate_secret(secret, Overlap::default(), fixture.now())
            .unwrap();
    }
    endpoint
}

/// An endpoint with everything, a bare one, and one that is never tried again; by id and by uid.
pub async fn an_endpoint_survives<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let full = full_endpoint(&fixture, &tenant, customer.id);
    let bare = fixture.new_endpoint(&tenant, customer.id, None);
    // No schedule is the installation's; an empty one is one attempt only.
    let mut once = fixture.new_endpoint(&tenant, customer.id, None).state().clone();
    once.retry_schedule = Some(RetrySchedule::new(Vec::new()).unwrap());
    for endpoint in [full, bare, Endpoint::restore(once, Version(0))] {
        let state = endpoint.state().clone();
        survives(&fixture, &tenant.scope, endpoint, &(customer.id, state.id.into())).await;
        if let Some(uid) = &state.uid {
            let key = (customer.id, EndpointRef::Uid(uid.clone()));
            let found: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
            assert_eq!(found.state(), &state);
        }
    }
}

/// The view shows all of an endpoint but its secret, which has a view of its own.
pub async fn an_endpoint_is_viewed_without_its_secret<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut endpoint = full_endpoint(&fixture, &tenant, customer.id);
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    let state = endpoint.state();
    for reference in [state.id.into(), EndpointRef::Uid(state.uid.clone().unwrap())] {
        let store = fixture.store();
        let view = store
            .endpoint(&tenant.scope, customer.id, &reference)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (view.id, view.application, &view.uid),
            (state.id, customer.id, &state.uid)
        );
        assert_eq!((&view.url, &view.description), (&state.url, &state.description));
        assert_eq!((&view.filter, &view.metadata), (&state.filter, &state.metadata));
        assert_eq!(
            (&view.retry_schedule, view.timeout),
            (&state.retry_schedule, state.timeout)
        );
        assert_eq!((view.status, view.created_at), (state.status, state.created_at));
        assert_eq!(
            (&view.headers, view.version),
            (&state.headers.shown(), Version(1))
        );
        assert!(
            !format!("{view:?}").contains("hunter2"),
            "secret values are left out"
        );
        let secrets = store
            .endpoint_secrets(&tenant.scope, customer.id, &reference)
            .await
            .unwrap();
        assert_eq!(secrets.as_ref(), Some(&state.secrets));
    }
}

/// A change of an endpoint survives, and its version counts.
pub async fn an_endpoints_changes_survive<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut endpoint = full_endpoint(&fixture, &tenant, customer.id);
    let key = (customer.id, EndpointRef::Id(endpoint.state().id));
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();

    let changes = DisableReason::ALL.into_iter().flat_map(|why| [Some(why), None]);
    for (version, disabled) in (2..).zip(changes) {
        let mut endpoint: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
        let _ = match disabled {
            Some(why) => endpoint.disable(why, fixture.now()),
            None => endpoint.enable(),
        };
        fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
        let found: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
        assert_eq!(
            (found.state(), found.version()),
            (endpoint.state(), Version(version))
        );
        let view = fixture
            .store()
            .endpoint(&tenant.scope, key.0, &key.1)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(view.status, endpoint.state().status);
    }
}
