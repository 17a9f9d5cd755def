//! What the engine reads to deliver, for whole batches.

use postrider_application::ports::DeliverableEndpoint;
use postrider_domain::{
    Aggregate as _, ApplicationId, MessageId, TenantId,
    endpoints::{DisableReason, Endpoint},
};

use super::{Fixture, Harness, claiming::given, round_trips::full_endpoint};

fn expected(endpoint: &Endpoint) -> DeliverableEndpoint {
    let state = endpoint.state().clone();
    DeliverableEndpoint {
        id: state.id,
        // Saved once, after it was made.
        version: endpoint.version().next(),
        url: Some(state.url),
        filter: state.filter,
        secrets: state.secrets.all().to_vec(),
        headers: (!state.headers.is_empty()).then(|| state.headers.into()),
        retry_schedule: state.retry_schedule,
        timeout: state.timeout,
        enabled: !state.status.is_disabled(),
    }
}

/// All endpoints of an application, as they are now, the disabled ones too.
pub async fn endpoints_are_read_as_they_are<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let mut full = full_endpoint(&fixture, &tenant, customer.id);
    let mut bare = fixture.new_endpoint(&tenant, customer.id, None);
    let mut disabled = fixture.new_endpoint(&tenant, customer.id, None);
    let _ = disabled.disable(DisableReason::Manual, fixture.now());
    for endpoint in [&mut full, &mut bare, &mut disabled] {
        fixture.save(&tenant.scope, endpoint).await.unwrap();
    }
    let material = &fixture.ports().material;
    let found = material.endpoints(&[(tenant.id, customer.id)]).await.unwrap();
    let set = &found[&customer.id];
    let mut found: Vec<_> = set
        .endpoints
        .iter()
        .map(|endpoint| (**endpoint).clone())
        .collect();
    found.sort_by_key(|endpoint| endpoint.id);
    let mut all = [&full, &bare, &disabled].map(expected);
    all.sort_by_key(|endpoint| endpoint.id);
    assert_eq!(found, all);
}

/// One call reads the endpoints of many applications, of several tenants.
pub async fn endpoints_of_many_applications_are_read_at_once<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let mut wanted = Vec::new();
    let mut owned = Vec::new();
    for name in ["first", "second"] {
        let tenant = fixture.tenant(name).await;
        for _ in 0..2 {
            let customer = fixture.application(&tenant).await;
            owned.push((customer.id, fixture.endpoint(&tenant, &customer).await));
            wanted.push((tenant.id, customer.id));
        }
    }
    let unknown = ApplicationId::from_uuid(fixture.uuid());
    wanted.push((TenantId::from_uuid(fixture.uuid()), unknown));
    let material = &fixture.ports().material;
    let found = material.endpoints(&wanted).await.unwrap();
    for (application, endpoint) in owned {
        let ids: Vec<_> = found[&application]
            .endpoints
            .iter()
            .map(|found| found.id)
            .collect();
        assert_eq!(ids, [endpoint]);
    }
    assert!(!found.contains_key(&unknown));
    assert!(material.endpoints(&[]).await.unwrap().is_empty());
}

/// One call reads many messages; those that do not exist are absent.
pub async fn many_messages_are_read_at_once<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let mut wanted = Vec::new();
    for name in ["first", "second"] {
        let tenant = fixture.tenant(name).await;
        let customer = fixture.application(&tenant).await;
        for _ in 0..3 {
            wanted.push((tenant.id, fixture.accepted(&customer).await));
        }
    }
    let present: Vec<_> = wanted.clone();
    let unknown = |(tenant, _): &(TenantId, MessageId)| (*tenant, MessageId::from_uuid(fixture.uuid()));
    wanted.extend(present.iter().map(unknown).collect::<Vec<_>>());
    let material = &fixture.ports().material;
    let found = material.messages(&wanted).await.unwrap();
    assert_eq!(found.len(), present.len());
    for (tenant, id) in present {
        let message = found[&id].whole().unwrap();
        assert_eq!((message.tenant, message.id), (tenant, id));
    }
    assert!(material.messages(&[]).await.unwrap().is_empty());
}

/// What a tenant published is delivered while it is suspended, and not once its deletion is ordered, though all of its
/// rows are still there. Another's of the same call is not concerned.
pub async fn a_tenant_to_be_deleted_has_no_material<H: Harness>(harness: &H) {
    let (fixture, ours, customer) = given(harness).await;
    let theirs = fixture.tenant("theirs").await;
    let their_customer = fixture.application(&theirs).await;
    let (mut messages, mut applications) = (Vec::new(), Vec::new());
    for (tenant, customer) in [(&ours, &customer), (&theirs, &their_customer)] {
        fixture.endpoint(tenant, customer).await;
        messages.push((tenant.id, fixture.accepted(customer).await));
        applications.push((tenant.id, customer.id));
    }
    let material = &fixture.ports().material;
    fixture.suspend(&ours, fixture.now()).await;
    assert_eq!(material.messages(&messages).await.unwrap().len(), 2);
    assert_eq!(material.endpoints(&applications).await.unwrap().len(), 2);

    fixture.order_deletion(&ours, fixture.now()).await;
    let found = material.messages(&messages).await.unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [messages[1].1]);
    let found = material.endpoints(&applications).await.unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [their_customer.id]);
}
