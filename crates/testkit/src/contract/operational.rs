//! What tenants can be told: who listens, and which deliveries that failed for good are in the log.

use std::collections::HashSet;

use postrider_application::ports::{EventForm, LoggedEvent};
use postrider_domain::applications::OPERATIONAL_UID;

use super::{Customer, Fixture, Harness, Tenancy, claiming::given, queue_steps::ending, resources::delete};

/// Tenants with an application of the reserved uid listen, unless it is gone or they are.
pub async fn tenants_with_an_operational_application_listen<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let mut tenants = Vec::new();
    for name in ["listens", "never", "stopped", "goes"] {
        let tenant = fixture.tenant(name).await;
        if name != "never" {
            let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
            if name == "stopped" {
                delete(&fixture, &tenant, &listener, fixture.now()).await.unwrap();
            }
        }
        fixture.application_named(&tenant, Some("another")).await;
        tenants.push(tenant);
    }
    fixture.order_deletion(&tenants[3], fixture.now()).await;
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    let listening = async |ids: &[_]| fixture.ports().listeners.listening(ids).await.unwrap();
    assert_eq!(listening(&ids).await, HashSet::from([ids[0]]));
    assert_eq!(listening(&ids[1..]).await, HashSet::new());
    assert_eq!(listening(&[]).await, HashSet::new());
    let tenant = fixture.tenant("asks").await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let another = fixture.application_named(&tenant, Some("another")).await;
    let directory = &fixture.ports().directory;
    for (application, of, expected) in [
        (&listener, &tenant, true),
        (&another, &tenant, false),
        (&listener, &tenants[0], false),
    ] {
        let found = directory.is_operational(&of.scope, application.id).await.unwrap();
        assert_eq!(found, expected);
    }
}

async fn told<H: Harness>(fixture: &Fixture<'_, H>, after: i64) -> Vec<LoggedEvent> {
    let mut events = fixture.ports().events.after(after, 100).await.unwrap();
    events.retain(|event| event.kind == "delivery.failed");
    events
}

/// What failed for good is told once a batch and tenant, with the settle; what did not, and what would be told to those
/// who are told, is not.
pub async fn failed_deliveries_are_told_once_a_batch<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let other = fixture.tenant("rival").await;
    let theirs = fixture.application(&other).await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let node = fixture.node().await;
    let fails = async |tenant: &Tenancy, customer: &Customer| {
        let endpoint = fixture.endpoint(tenant, customer).await;
        let (message, work) = fixture.delivery(node, customer, endpoint).await;
        let ends = ending(work, fixture.given_up(message, endpoint));
        (ends, message, endpoint)
    };
    let (one, two) = (fails(&tenant, &customer).await, fails(&tenant, &customer).await);
    let (rivals, unheard) = (fails(&other, &theirs).await, fails(&tenant, &listener).await);
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let (good, work) = fixture.delivery(node, &customer, endpoint).await;
    let good = ending(work, fixture.delivered(good, endpoint));
    let before = fixture.ports().events.head().await.unwrap();
    let queue = &fixture.ports().queue;
    assert_eq!(queue.settle(node, vec![good]).await.unwrap().len(), 1);
    assert_eq!(queue.settle(node, vec![unheard.0]).await.unwrap().len(), 1);
    assert_eq!(
        fixture.ports().events.head().await.unwrap(),
        before,
        "nothing to tell"
    );

    let batch = vec![one.0.clone(), rivals.0, two.0.clone()];
    for settled in [3, 0] {
        assert_eq!(queue.settle(node, batch.clone()).await.unwrap().len(), settled);
    }
    let events = told(&fixture, before).await;
    assert_eq!(events.len(), 2, "once a tenant, and once though it is repeated");
    assert!(events.iter().all(|event| event.form == EventForm::Known(1)));
    let of_tenant = |id| events.iter().find(|event| event.tenant == Some(id)).unwrap();
    let (ours, rival) = (of_tenant(tenant.id), of_tenant(other.id));
    for (_, message, endpoint) in [&one, &two] {
        let named = format!(
            r#"{{"application":"{}","message":"{message}","endpoint":"{endpoint}","reason":"gone"}}"#,
            customer.id
        );
        assert!(ours.body.contains(&named), "{}", ours.body);
        assert!(!rival.body.contains(&message.to_string()));
    }
    let first = one.1.min(two.1);
    assert_eq!(ours.aggregate, first.to_string());
    assert!(rival.body.contains(&rivals.1.to_string()));
    assert!(ours.body.starts_with(r#"{"v":1,"deliveries":["#), "{}", ours.body);
}

/// Of an application that was deleted nobody is told, and of the one that was told no more than before, though its uid
/// is free now.
pub async fn nobody_is_told_what_failed_of_a_deleted_application<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let listener = fixture.application_named(&tenant, Some(OPERATIONAL_UID)).await;
    let node = fixture.node().await;
    let mut unheard = Vec::new();
    for gone in [&customer, &listener] {
        let endpoint = fixture.endpoint(&tenant, gone).await;
        let (message, work) = fixture.delivery(node, gone, endpoint).await;
        unheard.push(ending(work, fixture.given_up(message, endpoint)));
        delete(&fixture, &tenant, gone, fixture.now()).await.unwrap();
    }
    let before = fixture.ports().events.head().await.unwrap();
    let settled = fixture.ports().queue.settle(node, unheard).await.unwrap();
    assert_eq!(settled.len(), 2);
    assert!(told(&fixture, before).await.is_empty());
}
