//! Replays: what is queued, once; what is waited for; and how a replay ends.

use std::{collections::BTreeSet, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        Cancellation, DirectMessages as _, Expunged, MessageViews as _, ReplayLimits, ReplayRepository as _,
        ReplayStep, ReplayViews as _, RunningReplays, Store as _, UnitOfWork as _, WorkRef,
    },
};
use postrider_domain::{
    Aggregate as _, Change, EndpointId, MessageId, ReplayId, Timestamp,
    deliveries::{DeliveryStatus, Outcome},
    endpoints::{DisableReason, Endpoint, Filter},
    event_types::EventTypeName,
    replays::{
        NewReplay, Progress, Replay, ReplayFailure, ReplayLimit, ReplayMode, ReplayState, ReplayStatus,
    },
};

use super::{
    Customer, Fixture, Harness, Tenancy,
    paging::{first, pieces},
    queue_steps::{alone, write_one},
    scheduling::{cancel, expunge, scheduled},
};
use crate::memory::SequentialIds;

/// No bound is met by chance, and nothing is put off.
const LIMITS: ReplayLimits = ReplayLimits {
    batch: 100,
    outstanding: 100,
    wait: Duration::ZERO,
    patience: Duration::from_hours(1),
};

struct Scene<'h, H: Harness> {
    fixture: Fixture<'h, H>,
    tenant: Tenancy,
    customer: Customer,
    ids: SequentialIds,
}

impl<'h, H: Harness> Scene<'h, H> {
    async fn new(harness: &'h H) -> Self {
        let fixture = Fixture::new(harness);
        let tenant = fixture.tenant("acme").await;
        let customer = fixture.application(&tenant).await;
        Self {
            ids: SequentialIds::new(harness.clock()),
            fixture,
            tenant,
            customer,
        }
    }

    async fn endpoint(&self) -> EndpointId {
        self.fixture.endpoint(&self.tenant, &self.customer).await
    }

    /// Later than everything that was published so far.
    fn now(&self) -> Timestamp {
        self.fixture.now().plus(Duration::from_secs(1))
    }

    /// A new replay of everything so far, stored.
    async fn replay(&self, endpoint: EndpointId, mode: ReplayMode) -> ReplayId {
        self.replay_up_to(endpoint, mode, ReplayLimit::default()).await
    }

    async fn replay_up_to(&self, endpoint: EndpointId, mode: ReplayMode, limit: ReplayLimit) -> ReplayId {
        let mut replay = self.new_replay(&self.tenant, &self.customer, endpoint, mode, limit);
        self.fixture.save(&self.tenant.scope, &mut replay).await.unwrap();
        replay.state().id
    }

    fn new_replay(
        &self,
        tenant: &Tenancy,
        customer: &Customer,
        endpoint: EndpointId,
        mode: ReplayMode,
        limit: ReplayLimit,
    ) -> Replay {
        let new = NewReplay {
            mode,
            from: Timestamp::from_micros(0),
            to: None,
            limit,
        };
        let id = ReplayId::from_uuid(self.fixture.uuid());
        Replay::begin(id, tenant.id, (customer.id, endpoint), new, self.now()).unwrap()
    }

    async fn step(&self, limits: ReplayLimits) -> ReplayStep {
        let worker = self.fixture.ports().replays.clone();
        worker.step(&limits, &self.ids, self.now()).await.unwrap()
    }

    /// Steps until the replay is finished, or waits.
    async fn steps(&self, limits: ReplayLimits) -> ReplayStep {
        for _ in 0..100 {
            match self.step(limits).await {
                ReplayStep::Made { finished: false, .. } => {}
                step => return step,
            }
        }
        panic!("the replay does not end");
    }

    async fn view(&self, endpoint: EndpointId, id: ReplayId) -> ReplayState {
        let (scope, application) = (&self.tenant.scope, self.customer.id);
        let view = self
            .fixture
            .store()
            .replay(scope, application, endpoint, id)
            .await;
        view.unwrap().unwrap()
    }

    /// A message that went to these endpoints, and was delivered there.
    async fn published(&self, endpoints: &[EndpointId]) -> MessageId {
        let node = self.fixture.node().await;
        let (message, rows) = self.fixture.fanned_out(node, &self.customer, endpoints).await;
        for (endpoint, row) in endpoints.iter().zip(rows) {
            let delivered = self.fixture.delivered(message, *endpoint);
            assert!(self.fixture.settle(node, row, delivered).await);
        }
        message
    }

    /// The messages that wait for the endpoint in the queue, claimed.
    async fn queued(&self, endpoint: EndpointId) -> Vec<(MessageId, WorkRef)> {
        let node = self.fixture.node().await;
        let rows = self.fixture.claim(node).await;
        assert!(rows.iter().all(|row| row.endpoint == Some(endpoint)), "{rows:?}");
        rows.iter().map(|row| (row.message, row.work)).collect()
    }

    /// What is queued for the endpoint is delivered.
    async fn deliver(&self, endpoint: EndpointId) -> BTreeSet<MessageId> {
        let node = self.fixture.node().await;
        let mut delivered = BTreeSet::new();
        for row in self.fixture.claim(node).await {
            assert_eq!(row.endpoint, Some(endpoint));
            let concluded = self.fixture.delivered(row.message, endpoint);
            assert!(self.fixture.settle(node, row.work, concluded).await);
            assert!(delivered.insert(row.message), "each is queued once");
        }
        delivered
    }

    async fn kinds_since(&self, position: i64) -> Vec<String> {
        let events = self.fixture.ports().events.after(position, 100).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

/// The queued messages, once each.
fn only(rows: &[(MessageId, WorkRef)]) -> BTreeSet<MessageId> {
    let messages: BTreeSet<_> = rows.iter().map(|(message, _)| *message).collect();
    assert_eq!(messages.len(), rows.len(), "each is queued once");
    messages
}

const fn progress(considered: u64, queued: u64) -> Progress {
    Progress {
        considered,
        queued,
        skipped: considered - queued,
    }
}

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
    let mut concluded = fixture.delivered(failed, endpoint);
    let gone = Outcome::of_status(410);
    concluded.delivery = postrider_domain::deliveries::Delivery::begin(failed, endpoint, fixture.now());
    fixture.record(&mut concluded.delivery, gone);
    concluded.attempt = Some(fixture.attempt(1, gone));
    assert!(fixture.settle(node, row, concluded).await);
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

/// A message that is still being fanned out is waited for, and then judged by what became of it; but not for ever.
pub async fn a_fan_out_under_way_is_waited_for<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let endpoint = scene.endpoint().await;
    let before = scene.published(&[]).await;
    let under_way = scene.fixture.accepted(&scene.customer).await;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    let waits = scene.steps(LIMITS).await;
    assert_eq!(waits, ReplayStep::Waiting { replay, queued: 1 });
    assert_eq!(
        scene.step(LIMITS).await,
        ReplayStep::Waiting { replay, queued: 0 }
    );
    assert_eq!(scene.view(endpoint, replay).await.progress, progress(1, 1));

    // Its fan-out did not find the endpoint.
    let node = scene.fixture.node().await;
    let rows = scene.fixture.claim(node).await;
    let fan_out = rows.iter().find(|row| row.endpoint.is_none()).unwrap();
    assert_eq!(fan_out.message, under_way);
    assert!(scene.fixture.fan_out(node, fan_out.work, Vec::new()).await);
    let late = scene.fixture.accepted(&scene.customer).await;
    let impatient = scene.replay(endpoint, ReplayMode::Missing).await;
    let hasty = ReplayLimits {
        patience: Duration::ZERO,
        ..LIMITS
    };
    scene.steps(hasty).await;
    scene.steps(hasty).await;
    assert_eq!(
        scene.view(endpoint, impatient).await.status,
        ReplayStatus::Completed
    );
    let messages: BTreeSet<_> = rows
        .iter()
        .filter(|row| row.endpoint.is_some())
        .map(|row| row.message)
        .chain(
            scene
                .fixture
                .claim(node)
                .await
                .iter()
                .filter(|row| row.endpoint.is_some())
                .map(|row| row.message),
        )
        .collect();
    assert_eq!(messages, BTreeSet::from([before, under_way]));
    assert!(!messages.contains(&late), "it was passed over");
}

/// Only so many rows of a replay are in the queue at a time.
pub async fn a_replay_does_not_fill_the_queue<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let mut lacks = BTreeSet::new();
    for _ in 0..5 {
        lacks.insert(scene.published(&[]).await);
    }
    let endpoint = scene.endpoint().await;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    let limits = ReplayLimits {
        outstanding: 2,
        ..LIMITS
    };
    let mut delivered = BTreeSet::new();
    for most in [2, 2, 1] {
        scene.steps(limits).await;
        assert!(
            scene
                .fixture
                .ports()
                .queue
                .next_due(None)
                .await
                .unwrap()
                .is_some()
        );
        let some = scene.deliver(endpoint).await;
        assert_eq!(some.len(), most);
        delivered.extend(some);
    }
    assert_eq!(delivered, lacks);
    scene.steps(limits).await;
    assert_eq!(scene.view(endpoint, replay).await.status, ReplayStatus::Completed);
}

/// A replay queues as many as it may, and is complete.
pub async fn a_replay_ends_at_its_limit<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    for _ in 0..3 {
        scene.published(&[]).await;
    }
    let endpoint = scene.endpoint().await;
    let limit = ReplayLimit::new(2).unwrap();
    let replay = scene.replay_up_to(endpoint, ReplayMode::Missing, limit).await;
    scene.steps(LIMITS).await;
    let view = scene.view(endpoint, replay).await;
    assert_eq!(
        (view.status, view.progress),
        (ReplayStatus::Completed, progress(2, 2))
    );
    assert_eq!(scene.queued(endpoint).await.len(), 2);
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

/// One that was cancelled queues nothing more; what it had queued goes on.
pub async fn a_cancelled_replay_goes_no_further<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    for _ in 0..3 {
        scene.published(&[]).await;
    }
    let endpoint = scene.endpoint().await;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    scene.step(ReplayLimits { batch: 1, ..LIMITS }).await;
    let scope = &scene.tenant.scope;
    let mut tx = scene.fixture.store().begin(scope).await.unwrap();
    let mut held = tx.hold_replay(scope, replay).await.unwrap().unwrap();
    assert_eq!(held.cancel(scene.now()), Change::Made);
    postrider_application::ports::Repository::save(&mut tx, scope, &mut held)
        .await
        .unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(scene.step(LIMITS).await, ReplayStep::Nothing);
    assert_eq!(scene.queued(endpoint).await.len(), 1);
    let view = scene.view(endpoint, replay).await;
    assert_eq!(
        (view.status, view.progress),
        (ReplayStatus::Cancelled, progress(1, 1))
    );
}

/// What a disabled endpoint would be sent would only be cancelled; one that is gone is sent nothing either.
pub async fn a_replay_fails_without_its_endpoint<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let scope = &scene.tenant.scope;
    scene.published(&[]).await;
    let (disabled, gone) = (scene.endpoint().await, scene.endpoint().await);
    for (endpoint, why) in [
        (disabled, ReplayFailure::EndpointDisabled),
        (gone, ReplayFailure::EndpointGone),
    ] {
        let replay = scene.replay(endpoint, ReplayMode::Missing).await;
        let key = (scene.customer.id, endpoint.into());
        let mut found: Endpoint = scene.fixture.find(scope, &key).await.unwrap();
        if why == ReplayFailure::EndpointGone {
            scene.fixture.delete(scope, found).await.unwrap();
        } else {
            assert_eq!(found.disable(DisableReason::Manual, scene.now()), Change::Made);
            scene.fixture.save(scope, &mut found).await.unwrap();
        }
        scene.steps(LIMITS).await;
        let view = scene.view(endpoint, replay).await;
        assert_eq!(
            (view.status, view.progress),
            (ReplayStatus::Failed(why), progress(0, 0))
        );
    }
    let node = scene.fixture.node().await;
    assert_eq!(scene.fixture.claim(node).await, []);
}

/// Nodes that take steps at the same time queue each message once.
pub async fn racing_steps_queue_each_message_once<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let mut lacks = BTreeSet::new();
    for _ in 0..8 {
        lacks.insert(scene.published(&[]).await);
    }
    let endpoint = scene.endpoint().await;
    for _ in 0..2 {
        scene.replay(endpoint, ReplayMode::Missing).await;
    }
    let another = harness.another_node().await;
    let ours = scene.fixture.ports().replays.clone();
    let theirs = another.map_or_else(|| ours.clone(), |ports| ports.replays);
    let (limits, now) = (ReplayLimits { batch: 3, ..LIMITS }, scene.now());
    for _ in 0..20 {
        let (one, other) = tokio::join!(
            ours.step(&limits, &scene.ids, now),
            theirs.step(&limits, &scene.ids, now)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        if (one, other) == (ReplayStep::Nothing, ReplayStep::Nothing) {
            break;
        }
    }
    assert_eq!(only(&scene.queued(endpoint).await), lacks);
}

/// An endpoint's replays are listed, the newest first, and counted while they are under way; nobody else's are.
pub async fn replays_are_listed_and_counted_by_endpoint<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (endpoint, other) = (scene.endpoint().await, scene.endpoint().await);
    let mut replays = Vec::new();
    for _ in 0..3 {
        replays.push(scene.replay(endpoint, ReplayMode::Failed).await);
    }
    scene.replay(other, ReplayMode::Failed).await;
    replays.reverse();
    let (store, application) = (scene.fixture.store(), scene.customer.id);
    let stranger = scene.fixture.tenant("stranger").await;
    let listed = pieces(2, async |page| {
        let list = store.replays(&scene.tenant.scope, application, endpoint, page);
        list.await.unwrap()
    })
    .await;
    let listed: Vec<_> = listed.concat().iter().map(|replay| replay.id).collect();
    assert_eq!(listed, replays);
    let theirs = store.replays(&stranger.scope, application, endpoint, first());
    assert!(theirs.await.unwrap().items.is_empty());
    let theirs = store.replay(&stranger.scope, application, endpoint, replays[0]);
    assert!(theirs.await.unwrap().is_none());

    let counted = async |tenant: &Tenancy| {
        let mut tx = store.begin(&tenant.scope).await.unwrap();
        let held = tx.hold_replay(&tenant.scope, replays[0]).await.unwrap();
        (
            tx.count_running(&tenant.scope, endpoint).await.unwrap(),
            held.is_some(),
        )
    };
    let running = |of_endpoint, of_tenant| RunningReplays {
        of_endpoint,
        of_tenant,
    };
    assert_eq!(counted(&scene.tenant).await, (running(3, 4), true));
    assert_eq!(counted(&stranger).await, (running(0, 0), false));
}

/// What is under way is told among what waits, whoever's it is.
pub async fn a_replay_is_counted_while_it_is_under_way<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let endpoint = scene.endpoint().await;
    assert_eq!(scene.fixture.backlog().await.replays, 0);
    scene.replay(endpoint, ReplayMode::All).await;
    scene.replay(scene.endpoint().await, ReplayMode::Missing).await;
    assert_eq!(scene.fixture.backlog().await.replays, 2);
    let one = scene.fixture.ports().backlogs.backlog(1).await.unwrap();
    assert_eq!(one.replays, 1, "up to a bound");
    for _ in 0..2 {
        scene.steps(LIMITS).await;
    }
    assert_eq!(scene.fixture.backlog().await.replays, 0);
}
