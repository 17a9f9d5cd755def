//! Explosions: a fan-out becomes what is concluded and what is open, in one settlement.

use std::collections::HashSet;

use postrider_application::ports::{ClaimFrom, ClaimedWork, NewMessage, NewWork, Settlement, WorkRef};
use postrider_domain::{EndpointId, MessageId, WorkId};

use super::{
    Customer, Fixture, Harness, Tenancy,
    claiming::given,
    queue_steps::{LEASE, WAIT, alone, is_stored, write_one},
    settling::history,
};

/// An explosion with a row of each kind.
struct Explosion {
    message: MessageId,
    /// Delivered, to be retried, cancelled, open, parked.
    endpoints: [EndpointId; 5],
    retry: WorkId,
    open: NewWork,
    parked: NewWork,
    settlement: Settlement,
}

async fn explosion<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    fan_out: &ClaimedWork,
) -> Explosion {
    let mut endpoints = [EndpointId::from_uuid(fixture.uuid()); 5];
    for endpoint in &mut endpoints {
        *endpoint = fixture.endpoint(tenant, customer).await;
    }
    let message = fan_out.message;
    let (failed, retry) = fixture.failed(message, endpoints[1]);
    let open = fixture.open(endpoints[3]);
    let parked = NewWork {
        parked: true,
        ..fixture.open(endpoints[4])
    };
    let settlement = Settlement {
        work: fan_out.work,
        concluded: vec![
            fixture.delivered(message, endpoints[0]),
            failed,
            fixture.cancelled(message, endpoints[2]),
        ],
        open: vec![open, parked],
    };
    Explosion {
        message,
        endpoints,
        retry,
        open,
        parked,
        settlement,
    }
}

/// Where the deliveries to the five stand: status, attempts, attempts kept.
async fn stands<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    explosion: &Explosion,
) -> Vec<(Option<(&'static str, u32)>, usize)> {
    let mut all = Vec::new();
    for endpoint in explosion.endpoints {
        all.push(history(fixture, tenant, customer, explosion.message, endpoint).await);
    }
    all
}

const EXPLODED: [(Option<(&str, u32)>, usize); 5] = [
    (Some(("delivered", 1)), 1),
    (Some(("pending", 1)), 1),
    (Some(("cancelled", 0)), 0),
    (Some(("pending", 0)), 0),
    (Some(("pending", 0)), 0),
];

const fn held(new: NewWork) -> WorkRef {
    WorkRef { id: new.id, claim: 1 }
}

/// What is concluded is history at once; what is open is the settling node's; what is parked waits for whoever asks
/// for its endpoint; what is to be retried waits for its time. The row of the message is gone.
pub async fn a_fan_out_explodes_into_its_parts<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let parts = explosion(&fixture, &tenant, &customer, &fan_out).await;
    assert!(fixture.settle_one(node, parts.settlement.clone()).await);
    assert_eq!(stands(&fixture, &tenant, &customer, &parts).await, EXPLODED);

    let queue = &fixture.ports().queue;
    assert!(fixture.claim(other).await.is_empty());
    let rows = [fan_out.work, held(parts.open), held(parts.parked)];
    assert_eq!(queue.still_held(node, &rows).await.unwrap(), [parts.open.id]);
    let from = ClaimFrom::Parked {
        endpoint: parts.endpoints[4],
        low: None,
    };
    let claimed = queue.claim(other, from, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let (row, expected) = (&claimed[0], &fan_out);
    assert_eq!(
        (row.work.id, row.endpoint),
        (parts.parked.id, Some(parts.endpoints[4]))
    );
    assert_eq!((row.tenant, row.application), (tenant.id, customer.id));
    assert_eq!(
        (row.seq, row.payload_bytes),
        (expected.seq, expected.payload_bytes)
    );
    assert_eq!((row.due_at, row.attempts, row.failures), (expected.due_at, 0, 0));

    assert!(
        fixture
            .settle(
                node,
                held(parts.open),
                fixture.delivered(parts.message, parts.endpoints[3])
            )
            .await
    );
    assert!(
        fixture
            .settle(
                other,
                row.work,
                fixture.delivered(parts.message, parts.endpoints[4])
            )
            .await
    );
    harness.age(WAIT).await;
    let retried = fixture.claim_one(node).await;
    assert_eq!(
        (retried.work.id, retried.endpoint),
        (parts.retry, Some(parts.endpoints[1]))
    );
    assert_eq!(
        (retried.seq, retried.attempts, retried.failures),
        (expected.seq, 1, 1)
    );
    assert_eq!(retried.payload_bytes, expected.payload_bytes);
}

/// A node that explodes a message and crashes leaves to its heir exactly what is open; what is concluded stays, and
/// what is parked stays where it is.
pub async fn what_an_explosion_left_open_is_taken_over<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, heir) = (fixture.node().await, fixture.node().await);
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let parts = explosion(&fixture, &tenant, &customer, &fan_out).await;
    assert!(fixture.settle_one(node, parts.settlement.clone()).await);

    let taken = fixture.take_over(node, heir).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    let expected = WorkRef {
        id: parts.open.id,
        claim: 2,
    };
    assert_eq!(
        (taken[0].work, taken[0].endpoint),
        (expected, Some(parts.endpoints[3]))
    );
    assert!(fixture.claim(heir).await.is_empty());
    assert_eq!(stands(&fixture, &tenant, &customer, &parts).await, EXPLODED);
    let queue = &fixture.ports().queue;
    let parked = queue.parked_endpoints(None, 10).await.unwrap();
    assert_eq!(parked, [parts.endpoints[4]]);
    assert!(!fixture.settle_one(node, parts.settlement).await);
    assert!(
        fixture
            .settle(
                heir,
                expected,
                fixture.delivered(parts.message, parts.endpoints[3])
            )
            .await
    );
}

/// The same explosion again, as after a lost answer, does nothing: its rows and its history are there once.
pub async fn exploding_again_does_nothing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(node).await;
    let parts = explosion(&fixture, &tenant, &customer, &fan_out).await;
    assert!(fixture.settle_one(node, parts.settlement.clone()).await);
    assert!(!fixture.settle_one(node, parts.settlement.clone()).await);
    assert_eq!(stands(&fixture, &tenant, &customer, &parts).await, EXPLODED);

    // Once its open row is settled as well, it does not come back.
    assert!(
        fixture
            .settle(
                node,
                held(parts.open),
                fixture.delivered(parts.message, parts.endpoints[3])
            )
            .await
    );
    assert!(!fixture.settle_one(node, parts.settlement).await);
    let queue = &fixture.ports().queue;
    let from = ClaimFrom::Parked {
        endpoint: parts.endpoints[4],
        low: None,
    };
    assert_eq!(queue.claim(node, from, 10).await.unwrap().len(), 1);
    harness.age(WAIT).await;
    assert_eq!(fixture.claim_one(node).await.work.id, parts.retry);
    fixture.ports().nodes.leave(node).await.unwrap();
    let other = fixture.node().await;
    let left: HashSet<_> = fixture.claim(other).await.iter().map(|row| row.work.id).collect();
    assert_eq!(left, HashSet::from([parts.retry, parts.parked.id]));
}

/// A node that lost the message explodes nothing: no history, no rows, nothing parked, and nobody's health is noted.
pub async fn a_zombies_explosion_leaves_nothing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (zombie, heir) = (fixture.node().await, fixture.node().await);
    fixture.accepted(&customer).await;
    let fan_out = fixture.claim_one(zombie).await;
    let parts = explosion(&fixture, &tenant, &customer, &fan_out).await;
    let taken = fixture.take_over(zombie, heir).await;
    assert!(!fixture.settle_one(zombie, parts.settlement.clone()).await);

    let nothing = [(None, 0); 5];
    assert_eq!(stands(&fixture, &tenant, &customer, &parts).await, nothing);
    let queue = &fixture.ports().queue;
    assert!(queue.parked_endpoints(None, 10).await.unwrap().is_empty());
    assert_eq!(fixture.failing().await, []);
    harness.age(WAIT).await;
    assert!(fixture.claim(heir).await.is_empty());
    let settlement = Settlement {
        work: taken[0].work,
        ..parts.settlement
    };
    assert!(fixture.settle_one(heir, settlement).await);
}

/// A message that a node had from the beginning, under claim number 0, explodes like one that it claimed; and one
/// whose deliveries are all concluded leaves no rows.
pub async fn a_message_that_was_never_claimed_explodes<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let endpoints = [
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    ];
    for open in [true, false] {
        let new = NewMessage {
            owner: Some(node),
            ..alone(fixture.message(&customer), None)
        };
        let message = new.message.id;
        assert!(is_stored(&write_one(&*fixture.ports().writer, new).await));
        let mut concluded = vec![fixture.delivered(message, endpoints[0])];
        let mut rows = Vec::new();
        if open {
            rows.push(fixture.open(endpoints[1]));
        } else {
            concluded.push(fixture.delivered(message, endpoints[1]));
        }
        let settlement = Settlement {
            work: WorkRef {
                id: WorkId::from(message),
                claim: 0,
            },
            concluded,
            open: rows.clone(),
        };
        assert!(fixture.settle_one(node, settlement).await);
        for new in rows {
            let delivered = fixture.delivered(message, endpoints[1]);
            assert!(fixture.settle(node, held(new), delivered).await);
        }
        for endpoint in endpoints {
            let seen = history(&fixture, &tenant, &customer, message, endpoint).await;
            assert_eq!(seen, (Some(("delivered", 1)), 1));
        }
    }
    harness.age(LEASE).await;
    assert!(
        fixture.ports().nodes.bury().await.unwrap().is_empty(),
        "no row is left"
    );
}

/// Many explosions and endings in one batch, and each row gets what is its own.
pub async fn many_explosions_are_settled_at_once<H: Harness>(harness: &H) {
    const MESSAGES: usize = 60;
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    for _ in 0..MESSAGES {
        fixture.accepted(&customer).await;
    }
    let rows = fixture.claim(node).await;
    assert_eq!(rows.len(), MESSAGES);
    let (mut batch, mut open) = (Vec::new(), HashSet::new());
    for (nth, row) in rows.iter().enumerate() {
        let (concluded, rest) = endpoints.split_at(nth % 6);
        let new: Vec<NewWork> = rest.iter().map(|endpoint| fixture.open(*endpoint)).collect();
        open.extend(new.iter().map(|new| (new.id, row.message, new.endpoint, row.seq)));
        batch.push(Settlement {
            work: row.work,
            concluded: concluded
                .iter()
                .map(|endpoint| fixture.delivered(row.message, *endpoint))
                .collect(),
            open: new,
        });
    }
    let done = fixture.ports().queue.settle(node, batch).await.unwrap();
    assert_eq!(done.len(), MESSAGES);
    for (nth, row) in rows.iter().enumerate().take(12) {
        for (place, endpoint) in endpoints.iter().enumerate() {
            let seen = history(&fixture, &tenant, &customer, row.message, *endpoint).await;
            let expected = if place < nth % 6 {
                (Some(("delivered", 1)), 1)
            } else {
                (Some(("pending", 0)), 0)
            };
            assert_eq!(seen, expected, "of message {nth}, endpoint {place}");
        }
    }
    fixture.ports().nodes.leave(node).await.unwrap();
    let other = fixture.node().await;
    let left = fixture
        .ports()
        .queue
        .claim(other, super::queue_steps::FROM_QUEUE, 1_000)
        .await
        .unwrap();
    assert_eq!(left.len(), open.len());
    let left: HashSet<_> = left
        .iter()
        .filter_map(|row| Some((row.work.id, row.message, row.endpoint?, row.seq)))
        .collect();
    assert_eq!(left, open);
}
