//! What a claim is told, and tells.

use std::time::Duration;

use postrider_application::ports::{ClaimFrom, Concluded, NewMessage};
use postrider_domain::{
    ApplicationId,
    deliveries::{Delivery, DeliveryStatus, Outcome},
    messages::{ContentType, Message, Payload},
};

use super::{
    Harness,
    claiming::given,
    queue_steps::{FROM_QUEUE, WAIT, alone, is_stored, write_one},
};

/// Rows that were due before the mark are not looked for; those due at it are. It is a hint and no more: without it
/// they are there.
pub async fn a_low_water_mark_hides_what_was_due_before<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(fixture.accepted(&customer).await);
        harness.age(WAIT).await;
    }
    let rows = fixture.claim(node).await;
    let due: Vec<_> = rows.iter().map(|row| row.due_at).collect();
    queue
        .hand_back(node, rows.iter().map(|row| row.work).collect())
        .await
        .unwrap();

    let from = |low| ClaimFrom::Queue { low: Some(low) };
    assert!(
        queue
            .claim(node, from(due[2].plus(WAIT)), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let late = queue.claim(node, from(due[1]), 1).await.unwrap();
    assert_eq!(
        late.iter().map(|row| row.message).collect::<Vec<_>>(),
        accepted[1..2]
    );
    let later = queue.claim(node, from(due[1]), 10).await.unwrap();
    assert_eq!(
        later.iter().map(|row| row.message).collect::<Vec<_>>(),
        accepted[2..]
    );
    let left = queue.claim(node, FROM_QUEUE, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|row| row.message).collect::<Vec<_>>(),
        accepted[..1]
    );
}

/// The same of parked rows: a hint, with which older ones are not looked for.
pub async fn a_low_water_mark_hides_parked_rows_too<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let neighbour = fixture.endpoint(&tenant, &customer).await;
    let queue = &fixture.ports().queue;
    let mut messages = Vec::new();
    for _ in 0..3 {
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        let (_, beside) = fixture.delivery(node, &customer, neighbour).await;
        queue.park(node, vec![work, beside]).await.unwrap();
        messages.push(message);
        harness.age(WAIT).await;
    }
    let from = |low| ClaimFrom::Parked { endpoint, low };
    let rows = queue.claim(node, from(None), 10).await.unwrap();
    let due: Vec<_> = rows.iter().map(|row| row.due_at).collect();
    queue
        .park(node, rows.iter().map(|row| row.work).collect())
        .await
        .unwrap();

    let claimed = async |low, limit| {
        let rows = queue.claim(node, from(low), limit).await.unwrap();
        rows.iter().map(|row| row.message).collect::<Vec<_>>()
    };
    assert_eq!(claimed(Some(due[2].plus(WAIT)), 10).await, []);
    assert_eq!(claimed(Some(due[1]), 1).await, messages[1..2]);
    assert_eq!(claimed(Some(due[1]), 10).await, messages[2..]);
    assert_eq!(claimed(None, 10).await, messages[..1], "a hint only");
    assert_eq!(claimed(None, 10).await, [], "the neighbour's are the neighbour's");
}

/// What was due before the mark wakes nobody who looks from there on; what is due at it or later does.
pub async fn the_next_due_time_is_looked_for_from_a_mark_on<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let queue = &fixture.ports().queue;
    fixture.accepted(&customer).await;
    let row = fixture.claim_one(node).await;
    queue.hand_back(node, vec![row.work]).await.unwrap();
    let (at, after) = (row.due_at, row.due_at.plus(Duration::from_micros(1)));
    assert_eq!(queue.next_due(Some(at)).await.unwrap(), Some(Duration::ZERO));
    assert_eq!(queue.next_due(Some(after)).await.unwrap(), None);
    assert_eq!(
        queue.next_due(None).await.unwrap(),
        Some(Duration::ZERO),
        "a hint only"
    );

    let work = fixture.fan_out_to(node, row.message, endpoint).await;
    let (failed, _) = fixture.failed(row.message, endpoint);
    assert!(fixture.settle(node, work, failed).await);
    fixture.accepted(&customer).await;
    let earlier = fixture.claim_one(node).await;
    queue.hand_back(node, vec![earlier.work]).await.unwrap();
    let after = earlier.due_at.plus(Duration::from_micros(1));
    let wait = queue.next_due(Some(after)).await.unwrap().unwrap();
    assert!(wait <= WAIT && wait > Duration::from_mins(4), "{wait:?}");
    assert_eq!(queue.next_due(None).await.unwrap(), Some(Duration::ZERO));
}

/// How long the payload is goes with the row: from the message to its deliveries, their retries and their resends.
pub async fn the_length_of_the_payload_goes_along<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    for bytes in [0_u32, 1, 70_000] {
        let message = Message {
            payload: Payload::restore(vec![b'x'; bytes as usize], ContentType::json()),
            ..fixture.message(&customer)
        };
        let id = message.id;
        assert!(is_stored(
            &write_one(&*fixture.ports().writer, alone(message, None)).await
        ));
        let row = fixture.claim_one(node).await;
        assert_eq!(row.payload_bytes, bytes);
        let open = fixture.open(endpoint);
        assert!(fixture.fan_out(node, row.work, vec![open]).await);
        let held = fixture
            .ports()
            .queue
            .owned(node, Duration::ZERO, None, 10)
            .await
            .unwrap();
        assert_eq!(held[0].payload_bytes, bytes);
        assert!(
            fixture
                .settle(node, held[0].work, fixture.failed(id, endpoint).0)
                .await
        );
        harness.age(WAIT).await;
        let row = fixture.claim_one(node).await;
        assert_eq!((row.attempts, row.payload_bytes), (1, bytes));
        let cancelled = Concluded {
            delivery: Delivery {
                status: DeliveryStatus::Cancelled,
                ..fixture
                    .retried(id, endpoint, fixture.attempt(1, Outcome::of_status(500)))
                    .0
                    .delivery
            },
            attempt: None,
            retry: None,
        };
        assert!(fixture.settle(node, row.work, cancelled.clone()).await);
        fixture.resent(&tenant, &customer, id, endpoint).await;
        let row = fixture.claim_one(node).await;
        assert_eq!((row.attempts, row.payload_bytes), (1, bytes));
        assert!(fixture.settle(node, row.work, cancelled).await);
    }
}

/// The version of the endpoints is read when a row is claimed: in whichever way it is, and 0 for an application that
/// is gone.
pub async fn the_version_of_the_endpoints_is_that_of_the_claim<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, heir) = (fixture.node().await, fixture.node().await);
    let (queue, endpoint) = (&fixture.ports().queue, fixture.endpoint(&tenant, &customer).await);
    fixture.accepted(&customer).await;
    let orphan = Message {
        application: ApplicationId::from_uuid(fixture.uuid()),
        ..fixture.message(&customer)
    };
    let gone = orphan.application;
    let new = NewMessage {
        owner: None,
        ..alone(orphan, None)
    };
    assert!(is_stored(&write_one(&*fixture.ports().writer, new).await));
    let mut last = 0;
    let mut rows = Vec::new();
    for claimed in ["from the queue", "from the queue again", "from the dead"] {
        fixture.endpoints_changed(&tenant, &customer).await;
        let version = harness.endpoints_version(&tenant.scope, customer.id).await;
        assert!(version > last);
        last = version;
        rows = if claimed == "from the dead" {
            fixture.take_over(node, heir).await
        } else {
            fixture.claim(node).await
        };
        assert_eq!(rows.len(), 2);
        for row in &rows {
            let expected = if row.application == gone { 0 } else { version };
            assert_eq!(row.endpoints_version, expected, "{claimed}");
        }
        if claimed == "from the queue" {
            queue
                .hand_back(node, rows.iter().map(|row| row.work).collect())
                .await
                .unwrap();
        }
    }
    fixture.endpoints_changed(&tenant, &customer).await;
    let version = harness.endpoints_version(&tenant.scope, customer.id).await;
    let owned = queue.owned(heir, Duration::ZERO, None, 10).await.unwrap();
    assert!(
        owned.iter().any(|row| row.endpoints_version == version),
        "{owned:?}"
    );

    let ours = rows.iter().find(|row| row.application == customer.id).unwrap();
    let mut open = fixture.open(endpoint);
    open.parked = true;
    assert!(fixture.fan_out(heir, ours.work, vec![open]).await);
    let parked = queue
        .claim(heir, ClaimFrom::Parked { endpoint, low: None }, 10)
        .await
        .unwrap();
    assert_eq!(parked[0].endpoints_version, version);
}
