//! No tenant reaches another's data.

use postrider_application::ports::{
    ApplicationViews as _, DeliveryRepository as _, EndpointViews as _, EventTypeViews as _,
    MessageViews as _, Repository, Store as _, StoreError,
};
use postrider_domain::{
    Aggregate as _, Description, EndpointId, MessageId, Uid,
    api_keys::ApiKey,
    applications::{Application, ApplicationRef},
    endpoints::{Endpoint, EndpointRef},
    event_types::{EventType, EventTypeName},
    tenants::Tenant,
    users::{Invitation, Membership, Session},
};

use super::{Customer, Fixture, Harness, Tenancy, paging::first};

/// Two tenants with an application each.
struct Two<'h, H: Harness> {
    fixture: Fixture<'h, H>,
    ours: Tenancy,
    theirs: Tenancy,
    our_customer: Customer,
    their_customer: Customer,
}

async fn two<H: Harness>(harness: &H) -> Two<'_, H> {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
    let our_customer = fixture.application_named(&ours, Some("ours")).await;
    let their_customer = fixture.application_named(&theirs, Some("theirs")).await;
    Two {
        fixture,
        ours,
        theirs,
        our_customer,
        their_customer,
    }
}

/// Every repository, asked with another tenant's scope, finds nothing.
pub async fn repositories_find_nothing_of_another_tenant<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let (fixture, ours, theirs) = (&two.fixture, &two.ours.scope, &two.theirs.scope);
    let key = fixture.api_key(&two.theirs).await;
    let session = fixture.session(&two.theirs, two.theirs.owner).await.state().id;
    let invitation = fixture.invitation(&two.theirs, "bob@example.com").await;
    let name = EventTypeName::parse("their.event").unwrap();
    let registered = EventType::register(two.theirs.id, name.clone(), Description::default(), fixture.now());
    fixture.save(theirs, &mut registered.clone()).await.unwrap();
    let endpoint = fixture.endpoint(&two.theirs, &two.their_customer).await;
    let endpoint = (two.their_customer.id, EndpointRef::Id(endpoint));

    for (scope, found) in [(theirs, true), (ours, false)] {
        let tenant = fixture.find::<Tenant>(scope, &two.theirs.id).await.is_some();
        let membership = fixture
            .find::<Membership>(scope, &two.theirs.membership)
            .await
            .is_some();
        let invitation = fixture.find::<Invitation>(scope, &invitation).await.is_some();
        let session = fixture.find::<Session>(scope, &session).await.is_some();
        let key = fixture.find::<ApiKey>(scope, &key).await.is_some();
        let application = fixture
            .find::<Application>(scope, &two.their_customer.id)
            .await
            .is_some();
        let event_type = fixture.find::<EventType>(scope, &name).await.is_some();
        let endpoint = fixture.find::<Endpoint>(scope, &endpoint).await.is_some();
        assert_eq!(
            [
                tenant,
                membership,
                invitation,
                session,
                key,
                application,
                event_type,
                endpoint
            ],
            [found; 8]
        );
    }
}

/// Every view of configuration, asked with another tenant's scope, shows nothing; nor does the directory.
pub async fn views_show_nothing_of_another_tenant<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let (fixture, store) = (&two.fixture, two.fixture.store());
    let name = EventTypeName::parse("their.event").unwrap();
    let registered = EventType::register(two.theirs.id, name.clone(), Description::default(), fixture.now());
    fixture
        .save(&two.theirs.scope, &mut registered.clone())
        .await
        .unwrap();
    let uid = Uid::parse("hook").unwrap();
    let mut endpoint = fixture.new_endpoint(&two.theirs, two.their_customer.id, Some("hook"));
    fixture.save(&two.theirs.scope, &mut endpoint).await.unwrap();
    let references = [endpoint.state().id.into(), EndpointRef::Uid(uid)];
    let id = two.their_customer.id;

    for (scope, shown) in [(&two.theirs.scope, true), (&two.ours.scope, false)] {
        assert_eq!(store.application(scope, id).await.unwrap().is_some(), shown);
        assert_eq!(store.event_type(scope, &name).await.unwrap().is_some(), shown);
        for reference in &references {
            let view = store.endpoint(scope, id, reference).await.unwrap();
            let secret = store.endpoint_secrets(scope, id, reference).await.unwrap();
            assert_eq!((view.is_some(), secret.is_some()), (shown, shown));
        }
        for reference in [id.into(), ApplicationRef::Uid(Uid::parse("theirs").unwrap())] {
            let found = fixture
                .ports()
                .directory
                .resolve(scope, &reference)
                .await
                .unwrap();
            assert_eq!(found.is_some(), shown);
        }
    }
}

/// A message that was delivered, and the endpoint that it was delivered to.
async fn delivered<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
) -> (MessageId, EndpointId) {
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(tenant, customer).await);
    let (message, work) = fixture.delivery(node, customer, endpoint).await;
    assert!(
        fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );
    (message, endpoint)
}

/// Messages and what became of them are shown within their tenant *and* application only.
pub async fn messages_are_shown_to_their_own_application_only<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let (fixture, store) = (&two.fixture, two.fixture.store());
    let sibling = fixture.application(&two.theirs).await;
    let (message, endpoint) = delivered(fixture, &two.theirs, &two.their_customer).await;

    for (scope, application, shown) in [
        (&two.theirs.scope, two.their_customer.id, true),
        (&two.theirs.scope, sibling.id, false),
        (&two.ours.scope, two.their_customer.id, false),
        (&two.ours.scope, two.our_customer.id, false),
    ] {
        let view = store.message(scope, application, message).await.unwrap();
        let payload = store.payload(scope, application, message).await.unwrap();
        let deliveries = store
            .deliveries(scope, application, message, first())
            .await
            .unwrap();
        let attempts = store
            .attempts(scope, application, message, endpoint, first())
            .await
            .unwrap();
        let mut tx = store.begin(scope).await.unwrap();
        let delivery = tx
            .find_delivery(scope, application, message, endpoint)
            .await
            .unwrap();
        assert_eq!(
            [
                view.is_some(),
                payload.is_some(),
                !deliveries.items.is_empty(),
                !attempts.items.is_empty(),
                delivery.is_some()
            ],
            [shown; 5]
        );
    }
}

/// A delivery that waits for its first attempt is shown within its tenant and application only.
pub async fn queued_deliveries_are_shown_to_their_own_application_only<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let (fixture, store) = (&two.fixture, two.fixture.store());
    let node = fixture.node().await;
    let endpoint = fixture.endpoint(&two.theirs, &two.their_customer).await;
    let (message, _) = fixture.delivery(node, &two.their_customer, endpoint).await;
    for (scope, application, shown) in [
        (&two.theirs.scope, two.their_customer.id, 1),
        (&two.ours.scope, two.their_customer.id, 0),
        (&two.ours.scope, two.our_customer.id, 0),
    ] {
        let page = store
            .deliveries(scope, application, message, first())
            .await
            .unwrap();
        assert_eq!(page.items.len(), shown);
    }
}

/// Material is found under its own tenant only: a mixed-up key delivers nothing of another's.
pub async fn material_is_found_under_its_own_tenant_only<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let fixture = &two.fixture;
    let message = fixture.accepted(&two.their_customer).await;
    let endpoint = fixture.endpoint(&two.theirs, &two.their_customer).await;
    let (material, application) = (&fixture.ports().material, two.their_customer.id);

    let found = material.messages(&[(two.theirs.id, message)]).await.unwrap();
    assert!(found.contains_key(&message));
    let found = material.messages(&[(two.ours.id, message)]).await.unwrap();
    assert!(found.is_empty());
    let endpoints = material.endpoints(&[(two.theirs.id, application)]).await.unwrap();
    let ids: Vec<_> = endpoints[&application]
        .endpoints
        .iter()
        .map(|found| found.id)
        .collect();
    assert_eq!(ids, [endpoint]);
    let endpoints = material.endpoints(&[(two.ours.id, application)]).await.unwrap();
    assert!(!endpoints.contains_key(&application));
}

#[track_caller]
fn assert_fault(result: &Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Internal(_))), "{result:?}");
}

/// An aggregate of another tenant is not saved, new or changed.
pub async fn an_aggregate_of_another_tenant_is_refused<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let fixture = &two.fixture;
    let head = fixture.ports().events.head().await.unwrap();
    let mut new = fixture.new_application(&two.theirs, Some("planted"));
    assert_fault(&fixture.save(&two.ours.scope, &mut new).await);
    let mut known: Application = fixture
        .find(&two.theirs.scope, &two.their_customer.id)
        .await
        .unwrap();
    assert_fault(&fixture.save(&two.ours.scope, &mut known).await);
    let mut tenant: Tenant = fixture.find(&two.theirs.scope, &two.theirs.id).await.unwrap();
    assert_fault(&fixture.save(&two.ours.scope, &mut tenant).await);

    assert_eq!(fixture.ports().events.head().await.unwrap(), head);
    let planted = ApplicationRef::Uid(Uid::parse("planted").unwrap());
    for scope in [&two.ours.scope, &two.theirs.scope] {
        assert_eq!(
            fixture.ports().directory.resolve(scope, &planted).await.unwrap(),
            None
        );
    }
}

/// An endpoint cannot be put into another tenant's application.
pub async fn an_endpoint_in_another_tenants_application_is_refused<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let fixture = &two.fixture;
    let mut planted = fixture.new_endpoint(&two.ours, two.their_customer.id, None);
    assert_fault(&fixture.save(&two.ours.scope, &mut planted).await);
    let (material, application) = (&fixture.ports().material, two.their_customer.id);
    for tenant in [two.ours.id, two.theirs.id] {
        let found = material.endpoints(&[(tenant, application)]).await.unwrap();
        let found = found.get(&application);
        assert!(found.is_none_or(|found| found.endpoints.is_empty()));
    }
}

/// A transaction of one tenant shows nothing of another, though its scope be given too, and takes nothing of it.
pub async fn a_transaction_holds_one_tenant_only<H: Harness>(harness: &H) {
    let two = two(harness).await;
    let fixture = &two.fixture;
    let (theirs, id) = (&two.theirs.scope, two.their_customer.id);
    let mut tx = fixture.store().begin(&two.ours.scope).await.unwrap();
    let found = Repository::<Application>::find(&mut tx, theirs, &id)
        .await
        .unwrap();
    assert!(found.is_none());
    let mut planted = fixture.new_application(&two.theirs, None);
    assert_fault(&tx.save(theirs, &mut planted).await);
    drop(tx);
    let found = fixture.find::<Application>(theirs, &planted.state().id).await;
    assert!(found.is_none());
}
