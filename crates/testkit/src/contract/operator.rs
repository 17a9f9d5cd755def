//! How the installation runs, as its operator sees it.

use std::time::Duration;

use postrider_application::ports::{NewMessage, OperatorViews as _, StatusView};

use super::{
    Fixture, Harness,
    claiming::given,
    queue_steps::{LEASE, alone, is_stored, write_one},
    scheduling::scheduled,
};

const HOUR: Duration = Duration::from_hours(1);

impl<H: Harness> Fixture<'_, H> {
    /// How the installation runs.
    pub(super) async fn status(&self) -> StatusView {
        let operator = self.operator().await;
        self.store().status(&operator).await.unwrap()
    }
}

/// The nodes that are not dead, the oldest first: when they joined, for how long their leases still run, and what they
/// have seen.
pub async fn the_operator_sees_the_living_nodes<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    assert_eq!(fixture.status().await.nodes, []);
    fixture.tenant("acme").await;
    let (first, left, last) = (fixture.node().await, fixture.node().await, fixture.node().await);
    let (nodes, sight) = (&fixture.ports().nodes, &fixture.ports().sight);
    nodes.leave(left).await.unwrap();
    sight.note_seen(last, 2).await.unwrap();
    harness.age(LEASE * 2).await;
    assert!(nodes.beat(last, LEASE).await.unwrap());

    let seen = fixture.status().await;
    assert_eq!(seen.head, fixture.ports().events.head().await.unwrap());
    let named: Vec<_> = seen.nodes.iter().map(|node| (node.epoch, node.seen)).collect();
    assert_eq!(named, [(first, Some(0)), (last, Some(2))]);
    let leases = [&seen.nodes[0], &seen.nodes[1]].map(|node| node.lease_us);
    assert!(
        leases[0] < 0,
        "it ran out, and nobody has said so yet: {leases:?}"
    );
    let whole = i64::try_from(LEASE.as_micros()).unwrap();
    assert!((1..=whole).contains(&leases[1]), "{leases:?}");
    assert!(seen.nodes[0].joined_at <= seen.nodes[1].joined_at);
}

/// The queue by what its rows wait for, whoever's they are; and which endpoints fail.
pub async fn the_operator_sees_what_waits_and_what_fails<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let empty = ["due", "scheduled", "parked", "held"].map(|part| (part, 0));
    let depths = async || {
        let seen = fixture.status().await.queue;
        seen.iter()
            .map(|depth| (depth.part, depth.rows))
            .collect::<Vec<_>>()
    };
    assert_eq!(depths().await, empty);
    let (message, row) = fixture.delivery(node, &customer, endpoint).await;
    let retried = fixture.failed(message, endpoint).0;
    assert!(fixture.settle(node, row, retried).await);
    let (_, row) = fixture.delivery(node, &customer, endpoint).await;
    fixture.ports().queue.park(node, vec![row]).await.unwrap();
    for _ in 0..2 {
        let held = NewMessage {
            owner: Some(node),
            ..alone(fixture.message(&customer), None)
        };
        assert!(is_stored(&write_one(&*fixture.ports().writer, held).await));
    }
    scheduled(&fixture, &customer, fixture.now().plus(HOUR)).await;
    for _ in 0..3 {
        fixture.accepted(&customer).await;
    }
    assert_eq!(
        depths().await,
        [("due", 3), ("scheduled", 2), ("parked", 1), ("held", 2)]
    );
    let failing = fixture.status().await.failing;
    assert_eq!(failing.len(), 1);
    assert_eq!((failing[0].tenant, failing[0].endpoint), (tenant.id, endpoint));
}
