//! The health of endpoints: to which of them every attempt has failed, from when to when.

use std::time::Duration;

use postrider_application::ports::{Concluded, FailingEndpoint, Repository as _, Settlement, Store as _};
use postrider_domain::{
    Aggregate as _, EndpointId,
    deliveries::{FailureClass, Outcome},
    endpoints::{DisableReason, Endpoint, EndpointRef},
};

use super::{
    Customer, Fixture, Harness, Tenancy,
    claiming::given,
    queue_steps::{WAIT, ending},
};

const HOUR: Duration = Duration::from_hours(1);

impl<H: Harness> Fixture<'_, H> {
    /// The endpoints that fail, however far apart the first and the last failure are.
    pub(super) async fn failing(&self) -> Vec<EndpointId> {
        self.failing_for(Duration::ZERO).await
    }

    /// The only failing endpoint, as it is told.
    async fn failure(&self) -> FailingEndpoint {
        let failing = self.ports().health.failing_for(Duration::ZERO, 10).await.unwrap();
        assert_eq!(failing.len(), 1);
        failing[0]
    }

    /// Those whose first and last failure are so far apart.
    async fn failing_for(&self, at_least: Duration) -> Vec<EndpointId> {
        let failing = self.ports().health.failing_for(at_least, 100).await.unwrap();
        failing.iter().map(|failing| failing.endpoint).collect()
    }

    /// One attempt of a delivery of its own ends so, in a batch of its own.
    async fn attempted(&self, customer: &Customer, endpoint: EndpointId, outcome: Outcome) {
        let node = self.node().await;
        let (message, work) = self.delivery(node, customer, endpoint).await;
        let concluded = match outcome {
            Outcome::Delivered { .. } => self.delivered(message, endpoint),
            Outcome::Failed { .. } => self.retried(message, endpoint, self.attempt(1, outcome)).0,
        };
        assert!(self.settle(node, work, concluded).await);
    }

    async fn attempt_fails(&self, customer: &Customer, endpoint: EndpointId) {
        self.attempted(customer, endpoint, Outcome::of_status(500)).await;
    }

    async fn stored_endpoint(&self, tenant: &Tenancy, customer: &Customer, id: EndpointId) -> Endpoint {
        let key = (customer.id, EndpointRef::Id(id));
        self.find(&tenant.scope, &key).await.unwrap()
    }
}

/// The first failure is noted with its time, which is the last one's too; later ones of the same hour leave both as
/// they are, be they of the same batch or another.
pub async fn the_first_failure_is_noted_once<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let health = &fixture.ports().health;
    assert_eq!(health.failing_for(Duration::ZERO, 10).await.unwrap(), []);
    fixture.attempt_fails(&customer, endpoint).await;
    let first = health.failing_for(Duration::ZERO, 10).await.unwrap();
    let expected = FailingEndpoint {
        tenant: tenant.id,
        application: customer.id,
        endpoint,
        version: fixture
            .stored_endpoint(&tenant, &customer, endpoint)
            .await
            .version(),
        since: first[0].since,
        last_at: first[0].since,
    };
    assert_eq!(first, [expected]);
    let off = first[0].since.as_micros().abs_diff(fixture.now().as_micros());
    assert!(off < 600_000_000, "since {:?}", first[0].since);

    harness.age(HOUR / 2).await;
    let before = health.failing_for(Duration::ZERO, 10).await.unwrap();
    assert_eq!(before[0].since, before[0].last_at);
    let node = fixture.node().await;
    let mut batch = Vec::new();
    for _ in 0..3 {
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        batch.push(ending(work, fixture.failed(message, endpoint).0));
    }
    assert_eq!(fixture.ports().queue.settle(node, batch).await.unwrap().len(), 3);
    assert_eq!(health.failing_for(Duration::ZERO, 10).await.unwrap(), before);
}

/// The last failure is noted if the one that is noted is an hour old, and not before; the first one stays.
pub async fn the_last_failure_is_noted_by_the_hour<H: Harness>(harness: &H) {
    const MINUTE: Duration = Duration::from_mins(1);
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    fixture.attempt_fails(&customer, endpoint).await;
    // Minutes that pass before each attempt, and hours from the first failure to the last that is noted then.
    for (minutes, hours) in [(45, 0), (15, 1), (1, 1), (44, 1), (15, 2), (180, 5)] {
        harness.age(MINUTE * minutes).await;
        let before = fixture.failure().await;
        fixture.attempt_fails(&customer, endpoint).await;
        let after = fixture.failure().await;
        assert_eq!(after.since, before.since);
        let apart = after.last_at.since(after.since);
        assert!(
            (HOUR * hours..HOUR * hours + MINUTE * 10).contains(&apart),
            "{apart:?} instead of {hours} h, {minutes} min after the last attempt"
        );
        assert_eq!(fixture.failing_for(HOUR * hours).await, [endpoint]);
        assert_eq!(fixture.failing_for(HOUR * (hours + 1)).await, []);
    }
}

/// One failure, and nothing sent since, tells of no more than that one; the next failure tells of the time between.
pub async fn an_old_failure_and_silence_is_not_failing_for_long<H: Harness>(harness: &H) {
    const FIVE_DAYS: Duration = Duration::from_hours(5 * 24);
    let (fixture, tenant, customer) = given(harness).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    fixture.attempt_fails(&customer, endpoint).await;
    harness.age(FIVE_DAYS).await;
    assert_eq!(fixture.failing().await, [endpoint]);
    assert_eq!(fixture.failing_for(Duration::from_millis(1)).await, []);
    assert_eq!(fixture.failing_for(FIVE_DAYS).await, []);
    fixture.attempt_fails(&customer, endpoint).await;
    assert_eq!(fixture.failing_for(FIVE_DAYS).await, [endpoint]);
    assert_eq!(fixture.failing_for(FIVE_DAYS + HOUR).await, []);
}

/// A success in a later batch ends it, and the next failure begins anew.
pub async fn a_success_ends_the_failing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (endpoint, other) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    fixture.attempt_fails(&customer, endpoint).await;
    fixture.attempt_fails(&customer, other).await;
    harness.age(HOUR).await;
    fixture
        .attempted(&customer, endpoint, Outcome::of_status(204))
        .await;
    assert_eq!(fixture.failing().await, [other], "its neighbour is not concerned");
    fixture.attempt_fails(&customer, endpoint).await;
    fixture.attempt_fails(&customer, other).await;
    assert_eq!(fixture.failing().await, [other, endpoint]);
    assert_eq!(fixture.failing_for(HOUR).await, [other]);
    fixture
        .attempted(&customer, endpoint, Outcome::of_status(200))
        .await;
    fixture
        .attempted(&customer, endpoint, Outcome::of_status(200))
        .await;
    assert_eq!(fixture.failing().await, [other]);
}

/// Within a batch a success outweighs failures, in whatever order they stand, also within one explosion.
pub async fn a_success_outweighs_the_failures_of_its_batch<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(fixture.endpoint(&tenant, &customer).await);
    }
    let node = fixture.node().await;
    fixture.attempt_fails(&customer, endpoints[0]).await;
    let mut batch = Vec::new();
    for nth in 0..2 {
        fixture.accepted(&customer).await;
        let row = fixture.claim_one(node).await;
        let conclude = |(place, endpoint): (usize, &EndpointId)| -> Concluded {
            if nth == place {
                fixture.delivered(row.message, *endpoint)
            } else {
                fixture.failed(row.message, *endpoint).0
            }
        };
        batch.push(Settlement {
            work: row.work,
            concluded: endpoints.iter().enumerate().map(conclude).collect(),
            open: vec![],
        });
    }
    assert_eq!(fixture.ports().queue.settle(node, batch).await.unwrap().len(), 2);
    assert_eq!(fixture.failing().await, endpoints[2..]);
}

/// A receiver that says it is gone, and a fault of our own, count neither as failing nor as its end; nor does a
/// delivery that was cancelled.
pub async fn what_counts_as_neither_is_not_noted<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (well, ill) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    let internal = Outcome::Failed {
        class: FailureClass::Internal,
        status: None,
    };
    fixture.attempt_fails(&customer, ill).await;
    harness.age(HOUR).await;
    for endpoint in [well, ill] {
        for outcome in [Outcome::of_status(410), internal] {
            fixture.attempted(&customer, endpoint, outcome).await;
        }
        let node = fixture.node().await;
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        assert!(
            fixture
                .settle(node, work, fixture.cancelled(message, endpoint))
                .await
        );
    }
    assert_eq!(fixture.failing().await, [ill]);
    assert_eq!(fixture.failing_for(HOUR).await, [], "they are no last failures");
    fixture.attempt_fails(&customer, ill).await;
    assert_eq!(fixture.failing_for(HOUR).await, [ill], "since it was");
}

/// Every other way to fail counts.
pub async fn every_failure_of_an_attempt_is_noted<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let classes = FailureClass::ALL.map(|class| Outcome::Failed { class, status: None });
    let statuses = [301, 404, 429, 500].map(Outcome::of_status);
    let internal = |outcome: &Outcome| {
        let class = FailureClass::Internal;
        *outcome == Outcome::Failed { class, status: None }
    };
    let mut expected = Vec::new();
    for outcome in classes.into_iter().chain(statuses) {
        let endpoint = fixture.endpoint(&tenant, &customer).await;
        fixture.attempted(&customer, endpoint, outcome).await;
        if !internal(&outcome) {
            expected.push(endpoint);
        }
    }
    let mut failing = fixture.failing().await;
    failing.sort();
    expected.sort();
    assert_eq!(failing, expected);
}

/// An endpoint that is saved may be another one by then: that it failed is forgotten, with the commit.
pub async fn a_saved_endpoint_fails_no_more<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (saved, other) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    fixture.attempt_fails(&customer, saved).await;
    harness.age(HOUR).await;
    fixture.attempt_fails(&customer, other).await;
    let mut endpoint = fixture.stored_endpoint(&tenant, &customer, saved).await;
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut endpoint.clone()).await.unwrap();
    drop(tx);
    assert_eq!(fixture.failing().await, [saved, other], "rolled back");

    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    assert_eq!(fixture.failing().await, [other]);
    harness.age(WAIT).await;
    fixture.attempt_fails(&customer, saved).await;
    assert_eq!(fixture.failing().await, [other, saved]);
    assert_eq!(fixture.failing_for(HOUR).await, []);
}

/// An endpoint that is disabled or gone is nobody's to disable, though an attempt that was under way failed after.
pub async fn what_is_disabled_or_gone_is_not_failing<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let node = fixture.node().await;
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        let endpoint = fixture.endpoint(&tenant, &customer).await;
        fixture.attempt_fails(&customer, endpoint).await;
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        deliveries.push((endpoint, work, fixture.failed(message, endpoint).0));
    }
    let (disabled, deleted, left) = (deliveries[0].0, deliveries[1].0, deliveries[2].0);
    let mut endpoint = fixture.stored_endpoint(&tenant, &customer, disabled).await;
    let _ = endpoint.disable(DisableReason::Manual, fixture.now());
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    let endpoint = fixture.stored_endpoint(&tenant, &customer, deleted).await;
    fixture.delete(&tenant.scope, endpoint).await.unwrap();
    assert_eq!(fixture.failing().await, [left]);
    for (_, work, failed) in deliveries {
        assert!(fixture.settle(node, work, failed).await);
    }
    harness.age(WAIT).await;
    assert_eq!(fixture.failing().await, [left]);

    let mut endpoint = fixture.stored_endpoint(&tenant, &customer, disabled).await;
    let _ = endpoint.enable();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    assert_eq!(
        fixture.failing().await,
        [left],
        "what was before it was enabled does not count"
    );
}

/// What a node settles that it does not hold, or settles again, is not noted.
pub async fn a_zombies_attempts_are_not_noted<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (ill, well) = (
        fixture.endpoint(&tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    fixture.attempt_fails(&customer, ill).await;
    let (zombie, heir) = (fixture.node().await, fixture.node().await);
    let (message, rows) = fixture.fanned_out(zombie, &customer, &[ill, well]).await;
    let batch = vec![
        ending(rows[0], fixture.delivered(message, ill)),
        ending(rows[1], fixture.failed(message, well).0),
    ];
    let queue = &fixture.ports().queue;
    queue.hand_back(zombie, rows).await.unwrap();
    assert_eq!(fixture.claim(heir).await.len(), 2);
    assert_eq!(queue.settle(zombie, batch).await.unwrap(), []);
    assert_eq!(fixture.failing().await, [ill]);

    let (message, work) = fixture.delivery(heir, &customer, ill).await;
    let failed = fixture.failed(message, ill).0;
    assert!(fixture.settle(heir, work, failed.clone()).await);
    fixture.attempted(&customer, ill, Outcome::of_status(200)).await;
    assert!(!fixture.settle(heir, work, failed).await);
    assert_eq!(fixture.failing().await, []);
}

/// Failing endpoints of all tenants are listed, those that began first first, and no more than asked for.
pub async fn those_that_began_to_fail_first_are_listed_first<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (mut expected, mut failed) = (Vec::new(), Vec::new());
    for name in ["acme", "other"] {
        let tenant = fixture.tenant(name).await;
        for _ in 0..2 {
            let customer = fixture.application(&tenant).await;
            let endpoint = fixture.endpoint(&tenant, &customer).await;
            fixture.attempt_fails(&customer, endpoint).await;
            expected.push((tenant.id, customer.id, endpoint));
            failed.push((customer, endpoint));
            harness.age(HOUR).await;
        }
    }
    for (customer, endpoint) in &failed {
        fixture.attempt_fails(customer, *endpoint).await;
    }
    let health = &fixture.ports().health;
    let listed = async |at_least, limit| -> Vec<_> {
        let failing = health.failing_for(at_least, limit).await.unwrap();
        assert!(failing.is_sorted_by_key(|failing| failing.since));
        let named = |failing: &FailingEndpoint| (failing.tenant, failing.application, failing.endpoint);
        failing.iter().map(named).collect()
    };
    assert_eq!(listed(Duration::ZERO, 100).await, expected);
    assert_eq!(listed(Duration::ZERO, 3).await, expected[..3]);
    assert_eq!(listed(HOUR * 3, 100).await, expected[..2]);
    assert_eq!(listed(HOUR * 3, 1).await, expected[..1]);
    assert_eq!(listed(HOUR * 5, 100).await, []);
    assert_eq!(listed(Duration::ZERO, 0).await, []);
}
