//! What became of messages, to look at.

use std::time::Duration;

use postrider_application::ports::{
    AttemptView, Concluded, DeliveryRepository as _, DeliveryView, MessageViews as _, PageRequest, Store as _,
};
use postrider_domain::{
    EndpointId, MessageId,
    deliveries::{
        Attempt, CapturedBody, CapturedHeaders, Delivery, DeliveryStatus, FailureClass, FailureReason,
        Outcome,
    },
};

use super::{Customer, Fixture, Harness, Tenancy, claiming::given, paging::pieces, queue_steps::WAIT};

pub(super) async fn deliveries<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    message: MessageId,
) -> Vec<DeliveryView> {
    let page = PageRequest::first(100);
    let store = fixture.store();
    let page = store
        .deliveries(&tenant.scope, customer.id, message, page)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    page.items
}

pub(super) async fn find<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    message: MessageId,
    endpoint: EndpointId,
) -> Option<Delivery> {
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    let found = tx
        .find_delivery(&tenant.scope, customer.id, message, endpoint)
        .await;
    found.unwrap()
}

/// Between fan-out and first attempt a delivery is pending, for the list and for who wants to resend it.
pub async fn a_delivery_is_pending_before_its_first_attempt<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let message = fixture.accepted(&customer).await;
    assert!(
        deliveries(&fixture, &tenant, &customer, message).await.is_empty(),
        "not fanned out"
    );
    assert_eq!(find(&fixture, &tenant, &customer, message, endpoint).await, None);
    let row = fixture.fan_out_to(node, message, endpoint).await;
    for handed_back in [false, true] {
        if handed_back {
            fixture.ports().queue.hand_back(node, vec![row]).await.unwrap();
        }
        let views = deliveries(&fixture, &tenant, &customer, message).await;
        assert_eq!(views.len(), 1);
        assert_eq!((views[0].message, views[0].endpoint), (message, endpoint));
        assert!(
            matches!(views[0].status, DeliveryStatus::Pending { .. }),
            "{views:?}"
        );
        assert_eq!(views[0].attempts, 0);
        let found = find(&fixture, &tenant, &customer, message, endpoint)
            .await
            .unwrap();
        assert!(
            matches!(found.status, DeliveryStatus::Pending { .. }),
            "{found:?}"
        );
        assert_eq!((found.attempts, found.failures), (0, 0));
    }
}

/// Every state in which a delivery can be is found as it was written, and shown in the list.
pub async fn every_state_of_a_delivery_survives<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let statuses = [
        DeliveryStatus::Delivered,
        DeliveryStatus::Failed(FailureReason::Exhausted),
        DeliveryStatus::Failed(FailureReason::Gone),
        DeliveryStatus::Cancelled,
    ];
    for (status, counted) in statuses.into_iter().zip(1..) {
        let answered = if status == DeliveryStatus::Delivered {
            200
        } else {
            500
        };
        let endpoint = fixture.endpoint(&tenant, &customer).await;
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        let delivery = Delivery {
            message,
            endpoint,
            status,
            attempts: counted + 10,
            failures: counted,
        };
        let attempt = fixture.attempt(counted + 10, Outcome::of_status(answered));
        let settled = Concluded {
            delivery: delivery.clone(),
            attempt: (status != DeliveryStatus::Cancelled).then_some(attempt),
            retry: None,
        };
        assert!(fixture.settle(node, work, settled).await);
        let found = find(&fixture, &tenant, &customer, message, endpoint).await;
        assert_eq!(found, Some(delivery));
        let views = deliveries(&fixture, &tenant, &customer, message).await;
        assert_eq!((views[0].status, views[0].attempts), (status, counted + 10));
    }
    let unknown = EndpointId::from_uuid(fixture.uuid());
    let message = MessageId::from_uuid(fixture.uuid());
    assert_eq!(find(&fixture, &tenant, &customer, message, unknown).await, None);
}

/// An attempt is kept as it was: how it ended, how long it took, and what was answered, byte for byte.
pub async fn every_outcome_of_an_attempt_survives<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let classes = FailureClass::ALL.map(|class| Outcome::Failed { class, status: None });
    let answers = [200, 299, 302, 410, 599].map(Outcome::of_status);
    let bodies = [&b""[..], b"\0\xff{\"a\"", "日本".as_bytes()];
    let outcomes: Vec<Outcome> = classes.into_iter().chain(answers).collect();
    let message = fixture.accepted(&customer).await;
    let mut work = fixture.fan_out_to(node, message, endpoint).await;

    let mut expected = Vec::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        let number = u32::try_from(place).unwrap() + 1;
        let attempt = Attempt {
            number,
            started_at: fixture.now(),
            latency: Duration::from_micros(1 + 1_234_567 * u64::from(number)),
            outcome: *outcome,
            response_body: CapturedBody {
                bytes: bodies[place % bodies.len()].to_vec(),
                truncated: place % 2 == 1,
                headers: match place % 3 {
                    0 => CapturedHeaders::default(),
                    // One is no ASCII, and needs to be quoted.
                    _ => CapturedHeaders::capture([
                        ("server", b"a".as_slice()),
                        ("x-\"why\"", "日本\\".as_bytes()),
                    ]),
                },
            },
        };
        expected.push(AttemptView {
            number,
            started_at: attempt.started_at,
            latency: attempt.latency,
            outcome: attempt.outcome,
            response_body: attempt.response_body.clone(),
        });
        let (settled, _) = fixture.retried(message, endpoint, attempt);
        assert!(fixture.settle(node, work, settled).await);
        harness.age(WAIT).await;
        work = fixture.claim_one(node).await.work;
    }
    let page = PageRequest::first(100);
    let store = fixture.store();
    let page = store
        .attempts(&tenant.scope, customer.id, message, endpoint, page)
        .await
        .unwrap();
    assert_eq!((page.items, page.next), (expected, None));
}

/// Deliveries are listed by endpoint id, page by page: those with a history and those that only wait.
pub async fn deliveries_are_listed_in_pages<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    let (message, rows) = fixture.fanned_out(node, &customer, &endpoints).await;
    for settled in [1, 3] {
        let done = fixture.delivered(message, endpoints[settled]);
        assert!(fixture.settle(node, rows[settled], done).await);
    }
    endpoints.sort();
    let store = fixture.store();
    let found = pieces(2, async |request| {
        let page = store
            .deliveries(&tenant.scope, customer.id, message, request)
            .await;
        page.unwrap()
    })
    .await;
    let lengths: Vec<_> = found.iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 2, 1]);
    let listed: Vec<_> = found.concat().iter().map(|view| view.endpoint).collect();
    assert_eq!(listed, endpoints);
}

/// Attempts are listed by number, page by page.
pub async fn attempts_are_listed_in_pages<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let message = fixture.accepted(&customer).await;
    let mut work = fixture.fan_out_to(node, message, endpoint).await;
    // Past ten, where sorting numbers as text goes wrong.
    for number in 1..=11 {
        let attempt = fixture.attempt(number, Outcome::of_status(500));
        let (settled, _) = fixture.retried(message, endpoint, attempt);
        assert!(fixture.settle(node, work, settled).await);
        harness.age(WAIT).await;
        work = fixture.claim_one(node).await.work;
    }
    let store = fixture.store();
    let found = pieces(5, async |request| {
        let page = store
            .attempts(&tenant.scope, customer.id, message, endpoint, request)
            .await;
        page.unwrap()
    })
    .await;
    let lengths: Vec<_> = found.iter().map(Vec::len).collect();
    assert_eq!(lengths, [5, 5, 1]);
    let listed: Vec<_> = found.concat().iter().map(|view| view.number).collect();
    assert_eq!(listed, (1..=11).collect::<Vec<_>>());
}
