//! How a replay goes on, waits, and ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use postrider_application::{
    audit::Record,
    ports::{
        ReplayLimits, ReplayRepository as _, ReplayStep, ReplayViews as _, Repository as _, RunningReplays,
        Store as _, UnitOfWork as _,
    },
};
use postrider_domain::{
    Change,
    endpoints::{DisableReason, Endpoint},
    replays::{ReplayFailure, ReplayLimit, ReplayMode, ReplayStatus},
};

use super::{LIMITS, Scene, only, progress};
use crate::contract::{
    Harness, Tenancy,
    members::OTHERS_TURN,
    paging::{first, pieces},
};

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
    tx.save(scope, &mut held).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    assert_eq!(scene.step(LIMITS).await, ReplayStep::Nothing);
    assert_eq!(scene.queued(endpoint).await.len(), 1);
    let view = scene.view(endpoint, replay).await;
    assert_eq!(
        (view.status, view.progress),
        (ReplayStatus::Cancelled, progress(1, 1))
    );
}

/// While somebody holds a replay no step of it is taken; after they cancelled it, none either.
pub async fn a_replay_that_is_held_takes_no_step<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    scene.published(&[]).await;
    let endpoint = scene.endpoint().await;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    let scope = &scene.tenant.scope;
    let mut tx = scene.fixture.store().begin(scope).await.unwrap();
    let mut held = tx.hold_replay(scope, replay).await.unwrap().unwrap();
    let mut step = pin!(scene.step(LIMITS));
    // It passes the replay over, or waits.
    let early = tokio::time::timeout(OTHERS_TURN, &mut step).await;
    assert_eq!(held.cancel(scene.now()), Change::Made);
    tx.save(scope, &mut held).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    let step = match early {
        Ok(step) => step,
        Err(_) => step.await,
    };
    assert_eq!(step, ReplayStep::Nothing);
    assert_eq!(scene.queued(endpoint).await, []);
    let view = scene.view(endpoint, replay).await;
    assert_eq!(
        (view.status, view.progress),
        (ReplayStatus::Cancelled, progress(0, 0))
    );
}

/// Of several the one that has waited the longest goes on: each has its turns, and none waits for another's end.
pub async fn replays_take_turns<H: Harness>(harness: &H) {
    const REPLAYS: u32 = 3;
    const TURNS: u32 = 4;
    let scene = Scene::new(harness).await;
    for _ in 0..REPLAYS * TURNS {
        scene.published(&[]).await;
    }
    let mut turns = BTreeMap::new();
    for _ in 0..REPLAYS {
        let endpoint = scene.endpoint().await;
        turns.insert(scene.replay(endpoint, ReplayMode::Missing).await, 0);
    }
    for _ in 0..REPLAYS * TURNS {
        match scene.step(ReplayLimits { batch: 1, ..LIMITS }).await {
            ReplayStep::Made { replay, .. } => *turns.get_mut(&replay).unwrap() += 1,
            step => panic!("{step:?}"),
        }
        // Where the store's clock is the case's, it goes on.
        harness.age(Duration::from_secs(1)).await;
    }
    // Two that were at it in the same millisecond may change places.
    let fair = TURNS - 1..=TURNS + 1;
    assert!(turns.values().all(|had| fair.contains(had)), "{turns:?}");
}

/// Rows that others have put into the queue do not count as its own.
pub async fn a_replay_waits_for_its_own_rows_only<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let (fixture, customer) = (&scene.fixture, &scene.customer);
    let endpoint = scene.endpoint().await;
    let node = fixture.node().await;
    for _ in 0..3 {
        let (message, row) = fixture.delivery(node, customer, endpoint).await;
        let retried = fixture.failed(message, endpoint).0;
        assert!(fixture.settle(node, row, retried).await);
    }
    let lacked = scene.published(&[]).await;
    let replay = scene.replay(endpoint, ReplayMode::Missing).await;
    let limits = ReplayLimits {
        batch: 2,
        outstanding: 2,
        ..LIMITS
    };
    let ended = scene.steps(limits).await;
    assert!(
        matches!(ended, ReplayStep::Made { finished: true, .. }),
        "{ended:?}"
    );
    assert_eq!(scene.view(endpoint, replay).await.progress, progress(4, 1));
    assert_eq!(only(&scene.queued(endpoint).await), BTreeSet::from([lacked]));
}

/// To be looked at; then it goes.
pub async fn a_finished_replay_is_kept_for_a_month<H: Harness>(harness: &H) {
    const DAY: Duration = Duration::from_hours(24);
    let scene = Scene::new(harness).await;
    let endpoint = scene.endpoint().await;
    let worker = scene.fixture.ports().replays.clone();
    let mut finished = Vec::new();
    for days in [31, 29] {
        let replay = scene.replay(endpoint, ReplayMode::Missing).await;
        let at = scene.fixture.ago(DAY * days);
        let step = worker.step(&LIMITS, &scene.ids, at).await.unwrap();
        assert!(
            matches!(step, ReplayStep::Made { finished: true, .. }),
            "{step:?}"
        );
        finished.push(replay);
    }
    let running = scene.replay(endpoint, ReplayMode::Missing).await;
    let housekeeping = &scene.fixture.ports().housekeeping;
    assert_eq!(housekeeping.forget_expired(100).await.unwrap(), 1);
    let (store, scope) = (scene.fixture.store(), &scene.tenant.scope);
    let left = store.replays(scope, scene.customer.id, endpoint, first()).await;
    let left: Vec<_> = left.unwrap().items.iter().map(|replay| replay.id).collect();
    assert_eq!(left, [running, finished[1]]);
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
