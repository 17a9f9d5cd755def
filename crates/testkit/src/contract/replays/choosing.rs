//! Which messages and deliveries a replay sends again.

use std::{collections::BTreeSet, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        Cancellation, DirectMessages as _, Expunged, MessageViews as _, ReplayLimits, ReplayStep, Store as _,
        UnitOfWork as _,
    },
};
use postrider_domain::{
    Aggregate as _,
    deliveries::DeliveryStatus,
    endpoints::{Endpoint, Filter},
    event_types::EventTypeName,
    replays::{ReplayMode, ReplayStatus},
};

use super::{LIMITS, Scene, only, progress};
use crate::contract::{
    Harness,
    paging::first,
    queue_steps::{alone, write_one},
    scheduling::{cancel, expunge, scheduled},
};

/// An endpoint that came later gets exactly what it lacks, in however many steps; what other applications publish, and
/// what it has already, it does not get.
pub async fn missing_is_exactly_what_the_endpoint_lacks<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let old = scene.endpoint().await;
    let mut lacks = BTreeSet::new();
    for _ in 0..5 {
        lacks.insert(scene.published(&[old]).await);
    }
    let elsewhere = scene.fixture.application(&scene.tenant).await;
    let node = scene.fixture.node().await;
    scene.fixture.fanned_out(node, &elsewhere, &[]).await;
    let late = scene.endpoint().await;
    scene.published(&[old, late]).await;
    lacks.insert(scene.published(&[]).await);
    let head = scene.fixture.ports().events.head().await.unwrap();
    let replay = scene.replay(late, ReplayMode::Missing).await;
    let limits = ReplayLimits { batch: 2, ..LIMITS };
    assert!(
        matches!(scene.steps(limits).await, ReplayStep::Made { replay: it, finished: true, .. } if it == replay)
    );

    assert_eq!(scene.deliver(late).await, lacks);
    let view = scene.view(late, replay).await;
    assert_eq!(
        (view.status, view.progress),
        (ReplayStatus::Completed, progress(7, 6))
    );
    assert!(view.finished_at.is_some());
    assert_eq!(
        scene.kinds_since(head).await,
        ["replay.created", "replay.finished"]
    );

    // Once more: nothing is missing.
    let again = scene.replay(late, ReplayMode::Missing).await;
    scene.steps(LIMITS).await;
    assert_eq!(scene.view(late, again).await.progress, progress(7, 0));
    assert_eq!(scene.step(LIMITS).await, ReplayStep::Nothing);
    assert_eq!(scene.queued(late).await, []);
}

/// What the endpoint's filter does not want it does not miss.
pub async fn missing_is_only_what_the_filter_wants<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (fixture, node) = (&scene.fixture, scene.fixture.node().await);
    let mut of_type = Vec::new();
    for name in ["invoice.paid", "invoice.sent"] {
        let mut message = fixture.message(&scene.customer);
        message.event_type = EventTypeName::parse(name).unwrap();
        of_type.push(message.id);
        write_one(&*fixture.ports().writer, alone(message, None)).await;
        let row = fixture.claim_one(node).await;
        assert!(fixture.fan_out(node, row.work, Vec::new()).await);
    }
    let mut endpoint = fixture.new_endpoint(&scene.tenant, scene.customer.id, None);
    let mut state = endpoint.state().clone();
    state.filter = Filter::new(vec![EventTypeName::parse("invoice.sent").unwrap()], Vec::new()).unwrap();
    endpoint = Endpoint::restore(state, endpoint.version());
    fixture.save(&scene.tenant.scope, &mut endpoint).await.unwrap();
    let endpoint = endpoint.state().id;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    scene.steps(LIMITS).await;
    assert_eq!(only(&scene.queued(endpoint).await), BTreeSet::from([of_type[1]]));
    assert_eq!(scene.view(endpoint, replay).await.progress, progress(2, 1));
}

/// What failed or was cancelled is sent again as by a resend; what was delivered, or waits for its next attempt, is
/// left alone.
pub async fn failed_is_what_came_to_no_good_end<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (fixture, customer) = (&scene.fixture, &scene.customer);
    let endpoint = scene.endpoint().await;
    scene.published(&[endpoint]).await;
    let node = fixture.node().await;
    let (failed, row) = fixture.delivery(node, customer, endpoint).await;
    let given_up = fixture.given_up(failed, endpoint);
    assert!(fixture.settle(node, row, given_up).await);
    let (cancelled, row) = fixture.delivery(node, customer, endpoint).await;
    assert!(
        fixture
            .settle(node, row, fixture.cancelled(cancelled, endpoint))
            .await
    );
    let (waiting, row) = fixture.delivery(node, customer, endpoint).await;
    assert!(
        fixture
            .settle(node, row, fixture.failed(waiting, endpoint).0)
            .await
    );
    // Another endpoint's failure is none of it.
    let other = scene.endpoint().await;
    let (elsewhere, row) = fixture.delivery(node, customer, other).await;
    assert!(
        fixture
            .settle(node, row, fixture.cancelled(elsewhere, other))
            .await
    );

    let replay = scene.replay(endpoint, ReplayMode::Failed).await;
    scene.steps(LIMITS).await;
    assert_eq!(scene.view(endpoint, replay).await.progress, progress(2, 2));
    let rows = fixture.claim(node).await;
    let counted: BTreeSet<_> = rows
        .iter()
        .map(|row| (row.message, row.endpoint, row.attempts, row.failures))
        .collect();
    let again = |message, attempts| (message, Some(endpoint), attempts, 0);
    assert_eq!(counted, BTreeSet::from([again(failed, 1), again(cancelled, 0)]));
    let page = fixture
        .store()
        .deliveries(&scene.tenant.scope, customer.id, failed, first())
        .await
        .unwrap();
    assert!(matches!(page.items[0].status, DeliveryStatus::Pending { .. }));
    assert_eq!(page.items[0].attempts, 1);
}

/// Every message is sent once more, whatever became of it; what is on its way is not queued twice.
pub async fn all_is_everything_but_what_is_pending<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let endpoint = scene.endpoint().await;
    let delivered = scene.published(&[endpoint]).await;
    let lacked = scene.published(&[]).await;
    let node = scene.fixture.node().await;
    let (pending, row) = scene.fixture.delivery(node, &scene.customer, endpoint).await;
    let replay = scene.replay(endpoint, ReplayMode::All).await;
    scene.steps(LIMITS).await;
    assert_eq!(
        only(&scene.queued(endpoint).await),
        BTreeSet::from([delivered, lacked])
    );
    assert_eq!(scene.view(endpoint, replay).await.progress, progress(3, 2));
    // The row that was there is the one that its holder settles.
    let concluded = scene.fixture.delivered(pending, endpoint);
    assert!(scene.fixture.settle(node, row, concluded).await);
}

/// What was cancelled, what has lost its payload, and what is scheduled for later, is sent by no kind of replay.
pub async fn what_is_not_to_be_sent_is_not_replayed<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (fixture, tenant, customer) = (&scene.fixture, &scene.tenant, &scene.customer);
    let endpoint = scene.endpoint().await;
    let node = fixture.node().await;
    // It failed, and then its payload was expunged.
    let (failed, row) = fixture.delivery(node, customer, endpoint).await;
    let concluded = fixture.cancelled(failed, endpoint);
    assert!(fixture.settle(node, row, concluded).await);
    let never_sent = scene.published(&[]).await;
    for message in [failed, never_sent] {
        assert_eq!(expunge(fixture, tenant, customer, message).await, Expunged::Now);
    }
    let later = fixture.now().plus(Duration::from_hours(1));
    let cancelled = scheduled(fixture, customer, later).await;
    let done = cancel(fixture, tenant, customer, cancelled).await.unwrap();
    assert_eq!(done, Cancellation::Cancelled);
    scheduled(fixture, customer, later).await;
    for (mode, considered) in [
        (ReplayMode::All, 4),
        (ReplayMode::Missing, 4),
        (ReplayMode::Failed, 1),
    ] {
        let replay = scene.replay(endpoint, mode).await;
        scene.steps(LIMITS).await;
        let view = scene.view(endpoint, replay).await;
        assert_eq!(
            (view.status, view.progress),
            (ReplayStatus::Completed, progress(considered, 0)),
            "{mode:?}"
        );
        assert_eq!(scene.queued(endpoint).await, []);
    }
}

/// A message that was made for one endpoint is sent to it again, and to no other.
pub async fn a_message_to_one_endpoint_is_not_replayed_to_others<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (fixture, scope) = (&scene.fixture, &scene.tenant.scope);
    let (tested, other) = (scene.endpoint().await, scene.endpoint().await);
    let message = fixture.message(&scene.customer);
    let work = fixture.work_id();
    let mut tx = fixture.store().begin(scope).await.unwrap();
    tx.send_to(scope, &message, tested, work).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(scene.deliver(tested).await, BTreeSet::from([message.id]));
    for mode in [ReplayMode::All, ReplayMode::Missing] {
        let replay = scene.replay(other, mode).await;
        scene.steps(LIMITS).await;
        assert_eq!(scene.view(other, replay).await.progress, progress(1, 0));
        assert_eq!(scene.queued(other).await, []);
    }
    scene.replay(tested, ReplayMode::All).await;
    scene.steps(LIMITS).await;
    assert_eq!(only(&scene.queued(tested).await), BTreeSet::from([message.id]));
}
