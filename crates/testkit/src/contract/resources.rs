//! Endpoints as they are listed, applications that are deleted, and messages to one endpoint.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{
        ApplicationRepository as _, ApplicationViews as _, DELETED_APPLICATIONS_KEPT, DirectMessages as _,
        EndpointFilter, EndpointViews as _, MessageViews as _, PageRequest, Repository, Store as _,
        StoreError, UnitOfWork as _,
    },
};
use postrider_domain::{
    Aggregate as _, EndpointId, Timestamp, Uid,
    access::Visibility,
    applications::{Application, ApplicationAttributes, ApplicationRef},
    deliveries::DeliveryStatus,
    endpoints::{DisableReason, Ed25519Key, Endpoint, EndpointAttributes, EndpointRef, Filter, Overlap},
    event_types::EventTypeName,
    messages::Channel,
};

use super::{Customer, Fixture, Harness, Tenancy, claiming::given, paging::pieces};

/// Endpoints are listed by id in pages, those of their application only, and by what they are.
pub async fn endpoints_are_listed_and_filtered<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other = fixture.application(&tenant).await;
    fixture.endpoint(&tenant, &other).await;
    let types = |names: &[&str]| {
        let names = names.iter().map(|name| EventTypeName::parse(name).unwrap());
        Filter::new(names.collect(), vec![Channel::parse("eu").unwrap()]).unwrap()
    };
    let mut ids = Vec::new();
    for (filter, disabled) in [
        (Filter::default(), false),
        (types(&["a", "a.b"]), false),
        (types(&["a"]), true),
        (types(&["b"]), false),
        (Filter::default(), true),
    ] {
        let endpoint = fixture.new_endpoint(&tenant, customer.id, None);
        let mut state = endpoint.state().clone();
        state.filter = filter;
        let mut endpoint = Endpoint::restore(state, endpoint.version());
        if disabled {
            let _ = endpoint.disable(DisableReason::Manual, fixture.now());
        }
        fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
        ids.push(endpoint.state().id);
    }
    let store = fixture.store();
    let wants = |name: &str| Some(EventTypeName::parse(name).unwrap());
    for (enabled, event_type, expected) in [
        (None, None, vec![0, 1, 2, 3, 4]),
        (Some(true), None, vec![0, 1, 3]),
        (Some(false), None, vec![2, 4]),
        (None, wants("a"), vec![0, 1, 2, 4]),
        (None, wants("a.b"), vec![0, 1, 4]),
        (Some(true), wants("a"), vec![0, 1]),
        (Some(false), wants("c"), vec![4]),
    ] {
        let filter = EndpointFilter { enabled, event_type };
        let listed = pieces(2, async |page| {
            let listed = store
                .endpoints_of(&tenant.scope, customer.id, &filter, page)
                .await;
            listed.unwrap()
        })
        .await;
        let listed: Vec<_> = listed.concat().iter().map(|endpoint| endpoint.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|nth: usize| ids[nth]).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
    let stranger = fixture.tenant("stranger").await;
    let filter = EndpointFilter::default();
    let page = PageRequest::first(10);
    let theirs = store
        .endpoints_of(&stranger.scope, customer.id, &filter, page)
        .await;
    assert!(theirs.unwrap().items.is_empty());
}

/// Deletes an application as it is deleted.
pub(super) async fn delete<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = fixture.store().begin(&tenant.scope).await?;
    let found = Repository::<Application>::find(&mut tx, &tenant.scope, &customer.id).await?;
    let mut application = found.unwrap();
    tx.endpoints_changed(&tenant.scope, customer.id).await?;
    tx.delete_endpoints(&tenant.scope, customer.id).await?;
    application.delete(at);
    tx.save(&tenant.scope, &mut application).await?;
    tx.commit(Record::InHistory).await
}

/// A deleted application is found by nobody and its uid is free; an engine that holds a message of it learns that it
/// has no endpoints any more.
pub async fn a_deleted_application_is_known_to_be_gone<H: Harness>(harness: &H) {
    let (fixture, tenant, sibling) = given(harness).await;
    let mut application = fixture.new_application(&tenant, Some("gone"));
    fixture.save(&tenant.scope, &mut application).await.unwrap();
    let customer = fixture.customer(&tenant, application.state().id).await;
    let kept = fixture.endpoint(&tenant, &sibling).await;
    fixture.endpoint(&tenant, &customer).await;
    let before = fixture.accepted(&customer).await;
    let (node, ports, store) = (fixture.node().await, fixture.ports(), fixture.store());
    let version = fixture.claim_one(node).await.endpoints_version;

    delete(&fixture, &tenant, &customer, fixture.now()).await.unwrap();
    for reference in [
        ApplicationRef::Id(customer.id),
        ApplicationRef::Uid(Uid::parse("gone").unwrap()),
    ] {
        let resolved = ports.directory.resolve(&tenant.scope, &reference).await;
        assert_eq!(resolved.unwrap(), None);
    }
    assert_eq!(store.application(&tenant.scope, customer.id).await.unwrap(), None);
    let listed = store
        .applications(&tenant.scope, &Visibility::All, PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
    let portal = ports.credentials.portal(tenant.id, customer.id).await.unwrap();
    assert_eq!(portal, None);
    assert!(
        fixture
            .find::<Application>(&tenant.scope, &customer.id)
            .await
            .is_none()
    );
    let mut again = fixture.new_application(&tenant, Some("gone"));
    fixture.save(&tenant.scope, &mut again).await.unwrap();

    // A message that came in behind it, and one from before.
    let behind = fixture.accepted(&customer).await;
    let row = fixture.claim_one(node).await;
    assert!(row.message == behind && row.endpoints_version > version);
    let sets = [(tenant.id, customer.id), (tenant.id, sibling.id)];
    let sets = ports.material.endpoints(&sets).await.unwrap();
    assert!(sets[&customer.id].endpoints.is_empty());
    assert_eq!(sets[&customer.id].version, row.endpoints_version);
    assert!(sets[&sibling.id].get(kept).is_some(), "others keep theirs");
    let found = ports.material.messages(&[(tenant.id, before)]).await.unwrap();
    assert_eq!(found.len(), 1);
}

/// Whoever changes the endpoints of an application that was deleted in between is told so, and a deleted application
/// is not changed, nor deleted again.
pub async fn a_deleted_application_is_not_changed<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let mut held: Application = fixture.find(&tenant.scope, &customer.id).await.unwrap();
    delete(&fixture, &tenant, &customer, fixture.now()).await.unwrap();
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let changed = tx.endpoints_changed(&tenant.scope, customer.id).await;
    assert!(matches!(changed, Err(StoreError::Stale)), "{changed:?}");
    drop(tx);
    let mut to = ApplicationAttributes::of(held.state());
    to.uid = Some(Uid::parse("late").unwrap());
    let _ = held.change(to);
    let saved = fixture.save(&tenant.scope, &mut held).await;
    assert!(matches!(saved, Err(StoreError::Stale)), "{saved:?}");
}

/// What is left of a deleted application goes after its time, and not while anything of it waits.
pub async fn what_is_left_of_a_deleted_application_goes_in_time<H: Harness>(harness: &H) {
    let (fixture, tenant, waited_for) = given(harness).await;
    let long_gone = fixture.application(&tenant).await;
    let fresh = fixture.application(&tenant).await;
    let then = fixture.now().as_micros();
    let kept = i64::try_from(DELETED_APPLICATIONS_KEPT.as_micros()).unwrap();
    let hour = i64::try_from(Duration::from_hours(1).as_micros()).unwrap();
    let (old, young) = (then - kept - hour, then - kept + hour);
    fixture.accepted(&waited_for).await;
    for (customer, at) in [(&waited_for, old), (&long_gone, old), (&fresh, young)] {
        let at = Timestamp::from_micros(at);
        delete(&fixture, &tenant, customer, at).await.unwrap();
    }
    let forget = async || fixture.ports().housekeeping.forget_expired(100).await.unwrap();
    let known = async |customer: &Customer| {
        let key = [(tenant.id, customer.id)];
        let sets = fixture.ports().material.endpoints(&key).await.unwrap();
        sets.contains_key(&customer.id)
    };
    assert_eq!(forget().await, 1);
    assert!(!known(&long_gone).await);
    assert!(known(&waited_for).await && known(&fresh).await);

    let node = fixture.node().await;
    let row = fixture.claim_one(node).await;
    assert!(fixture.fan_out(node, row.work, Vec::new()).await);
    assert_eq!(forget().await, 1);
    assert!(!known(&waited_for).await && known(&fresh).await);
}

/// A message to one endpoint is stored whole and is one delivery, due at once; rolled back, it is neither.
pub async fn a_message_to_one_endpoint_is_its_delivery<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    fixture.endpoint(&tenant, &customer).await;
    let (message, rolled_back) = (fixture.message(&customer), fixture.message(&customer));
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.send_to(&tenant.scope, &rolled_back, endpoint, fixture.work_id())
        .await
        .unwrap();
    drop(tx);
    let work = fixture.work_id();
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.send_to(&tenant.scope, &message, endpoint, work).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();

    let row = fixture.claim_one(fixture.node().await).await;
    assert_eq!((row.work.id, row.message), (work, message.id));
    assert_eq!((row.tenant, row.application), (tenant.id, customer.id));
    assert_eq!((row.endpoint, row.attempts), (Some(endpoint), 0));
    assert_eq!(row.payload_bytes as usize, message.payload.bytes().len());
    let keys = [(tenant.id, message.id), (tenant.id, rolled_back.id)];
    let found = fixture.ports().material.messages(&keys).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&message.id].whole().map(|found| &**found), Some(&message));
    let shown = fixture
        .store()
        .deliveries(&tenant.scope, customer.id, message.id, PageRequest::first(10))
        .await
        .unwrap();
    let shown: Vec<_> = shown
        .items
        .iter()
        .map(|delivery| (delivery.endpoint, delivery.status))
        .collect();
    assert!(
        matches!(shown[..], [(one, DeliveryStatus::Pending { .. })] if one == endpoint),
        "{shown:?}"
    );
}

/// Nobody sends a message in another tenant's name.
pub async fn a_message_of_another_tenant_is_not_sent<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let stranger = fixture.tenant("stranger").await;
    let message = fixture.message(&customer);
    let mut tx = fixture.store().begin(&stranger.scope).await.unwrap();
    let sent = tx
        .send_to(&stranger.scope, &message, endpoint, fixture.work_id())
        .await;
    assert!(matches!(sent, Err(StoreError::Internal(_))), "{sent:?}");
    drop(tx);
    let mut tx = fixture.store().begin(&stranger.scope).await.unwrap();
    let sent = tx
        .send_to(&tenant.scope, &message, endpoint, fixture.work_id())
        .await;
    assert!(matches!(sent, Err(StoreError::Internal(_))), "{sent:?}");
    drop(tx);
    assert!(fixture.claim(fixture.node().await).await.is_empty());
}

/// What the log says of changed and deleted resources: word for word.
pub async fn the_log_tells_of_changed_resources<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let id = fixture.endpoint(&tenant, &customer).await;
    let key = (customer.id, EndpointRef::Id(id));
    let head = fixture.ports().events.head().await.unwrap();
    let mut endpoint: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
    let mut to = EndpointAttributes::of(endpoint.state());
    to.uid = Some(Uid::parse("hook").unwrap());
    to.filter = Filter::new(vec![EventTypeName::parse("a").unwrap()], vec![]).unwrap();
    let _ = endpoint.change(to).unwrap();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    for (n, overlap) in [(1, 60), (2, 0)] {
        let mut endpoint: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
        let pair = Ed25519Key::of_pair([n; 32], [n; 32]).into();
        let overlap = Overlap::from_seconds(overlap).unwrap();
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        endpoint.rotate_secret(pair, overlap, now).unwrap();
        fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    }
    let mut endpoint: Endpoint = fixture.find(&tenant.scope, &key).await.unwrap();
    endpoint.delete();
    fixture.delete(&tenant.scope, endpoint).await.unwrap();
    let mut application: Application = fixture.find(&tenant.scope, &customer.id).await.unwrap();
    let mut to = ApplicationAttributes::of(application.state());
    to.uid = Some(Uid::parse("renamed").unwrap());
    let _ = application.change(to);
    fixture.save(&tenant.scope, &mut application).await.unwrap();
    delete(&fixture, &tenant, &customer, fixture.now()).await.unwrap();

    let told = fixture.ports().events.after(head, 100).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.kind.as_str(), event.body.as_str(), event.aggregate.as_str()))
        .collect();
    let (app, endpoint): (String, EndpointId) = (customer.id.to_string(), id);
    let endpoint = endpoint.to_string();
    let of = |rest: &str| format!(r#"{{"v":1,"application":"{app}",{rest}}}"#);
    let bodies = [
        of(r#""changed":["uid","event_types"]"#),
        of(r#""type":"ed25519","old_until":1700000060000000"#),
        of(r#""type":"ed25519","old_until":null"#),
        of(r#""uid":"hook""#),
        r#"{"v":1,"changed":["uid"]}"#.to_owned(),
        r#"{"v":1,"uid":"renamed"}"#.to_owned(),
    ];
    let expected = [
        ("endpoint.updated", bodies[0].as_str(), endpoint.as_str()),
        ("endpoint.secret_rotated", &bodies[1], &endpoint),
        ("endpoint.secret_rotated", &bodies[2], &endpoint),
        ("endpoint.deleted", &bodies[3], &endpoint),
        ("application.updated", &bodies[4], &app),
        ("application.deleted", &bodies[5], &app),
    ];
    assert_eq!(told, expected);
}
