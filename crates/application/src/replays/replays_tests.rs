use std::time::Duration;

use postrider_domain::{
    Rule, Timestamp,
    access::{Grant, Role},
    replays::{ReplayLimit, ReplayMode, ReplayStatus},
};

use super::*;
use crate::{
    endpoints::DisableEndpoint,
    ports::{PageRequest, ReplayLimits, ReplayStep, ReplayWorker as _},
    replays::{CancelReplay, GetReplay, ListReplays},
    testing::{Scene, World, create_endpoint, publish},
};

impl Scene {
    /// A second after its endpoint was made.
    async fn later() -> Self {
        let scene = Self::new().await;
        scene.world.pass(Duration::from_secs(1));
        scene
    }

    fn create(&self) -> CreateReplay {
        CreateReplay {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            replay: NewReplay {
                mode: ReplayMode::Missing,
                from: Timestamp::from_micros(0),
                to: None,
                limit: ReplayLimit::default(),
            },
        }
    }

    fn get(&self, replay: ReplayId) -> GetReplay {
        GetReplay {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            replay,
        }
    }

    fn cancel(&self, replay: ReplayId) -> CancelReplay {
        CancelReplay {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            replay,
        }
    }

    async fn step(&self) -> ReplayStep {
        let (ids, limits) = (self.world.ids(), ReplayLimits::default());
        let step = self.world.store.step(&limits, &*ids, self.world.now());
        step.await.unwrap()
    }
}

#[tokio::test]
async fn a_replay_is_begun_worked_and_told_of() {
    let scene = Scene::later().await;
    let replay = scene.world.send(&scene.owner, scene.create()).await.unwrap();
    assert_eq!(replay.status, ReplayStatus::Running);
    assert_eq!(replay.to, scene.world.now(), "what comes later is none of it");
    assert!(matches!(
        scene.step().await,
        ReplayStep::Made { finished: true, .. }
    ));
    let seen = scene
        .world
        .send(&scene.owner, scene.get(replay.id))
        .await
        .unwrap();
    assert_eq!(seen.status, ReplayStatus::Completed);
    let list = ListReplays {
        application: scene.application.into(),
        endpoint: scene.endpoint.into(),
        page: PageRequest::first(10),
    };
    assert_eq!(scene.world.send(&scene.owner, list).await.unwrap().items, [seen]);
    let kinds = scene.world.kinds().await;
    assert_eq!(kinds[kinds.len() - 2..], ["replay.created", "replay.finished"]);
    // Finished, it stays as it is.
    let late = scene
        .world
        .send(&scene.owner, scene.cancel(replay.id))
        .await
        .unwrap();
    assert_eq!(late.status, ReplayStatus::Completed);
}

#[tokio::test]
async fn a_cancelled_replay_queues_nothing() {
    let scene = Scene::later().await;
    let message = publish(scene.application, "{}", None);
    scene.world.send(&scene.owner, message).await.unwrap();
    scene.world.pass(Duration::from_secs(1));
    let replay = scene.world.send(&scene.owner, scene.create()).await.unwrap();
    let cancelled = scene
        .world
        .send(&scene.owner, scene.cancel(replay.id))
        .await
        .unwrap();
    assert_eq!(cancelled.status, ReplayStatus::Cancelled);
    assert_eq!(scene.step().await, ReplayStep::Nothing);
    assert_eq!(scene.world.store.queued(), 1, "the message's own row");
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused() {
    let scene = Scene::later().await;
    for (from, to) in [(5, Some(5)), (6, Some(5)), (i64::MAX, None)] {
        let mut request = scene.create();
        request.replay.from = Timestamp::from_micros(from);
        request.replay.to = to.map(Timestamp::from_micros);
        let error = scene.world.send(&scene.owner, request).await.unwrap_err();
        let faults: Vec<_> = error.violations().iter().map(|v| (&*v.field, &*v.rule)).collect();
        assert_eq!(faults, [("from", Rule::Range.code())]);
    }
    let disable = DisableEndpoint {
        application: scene.application.into(),
        endpoint: scene.endpoint.into(),
    };
    scene.world.send(&scene.owner, disable).await.unwrap();
    let refusal = scene.world.refusal(&scene.owner, scene.create()).await;
    assert_eq!(refusal, ErrorCode::EndpointDisabled);
}

#[tokio::test]
async fn only_so_many_are_under_way() {
    let scene = Scene::later().await;
    let mut last = None;
    for _ in 0..Settings::default().max_replays_per_endpoint {
        last = Some(scene.world.send(&scene.owner, scene.create()).await.unwrap().id);
    }
    let refusal = scene.world.refusal(&scene.owner, scene.create()).await;
    assert_eq!(refusal, ErrorCode::ReplayLimitReached);
    scene
        .world
        .send(&scene.owner, scene.cancel(last.unwrap()))
        .await
        .unwrap();
    scene.world.send(&scene.owner, scene.create()).await.unwrap();
}

#[tokio::test]
async fn who_may() {
    let scene = Scene::later().await;
    let replay = scene.world.send(&scene.owner, scene.create()).await.unwrap().id;
    let viewer = World::same_tenant(&scene.owner, Grant::tenant(Role::Viewer));
    let stranger = scene
        .world
        .caller("eve@evil.example", Grant::tenant(Role::Owner))
        .await;
    assert!(scene.world.send(&viewer, scene.get(replay)).await.is_ok());
    for (who, code) in [(&viewer, ErrorCode::Forbidden), (&stranger, ErrorCode::NotFound)] {
        assert_eq!(scene.world.refusal(who, scene.create()).await, code);
        assert_eq!(scene.world.refusal(who, scene.cancel(replay)).await, code);
    }
    assert_eq!(
        scene.world.refusal(&stranger, scene.get(replay)).await,
        ErrorCode::NotFound
    );
    // Another endpoint's path does not lead to it.
    let request = create_endpoint(scene.application, "https://b.example/");
    let other = scene.world.send(&scene.owner, request).await.unwrap().endpoint.id;
    let request = CancelReplay {
        endpoint: other.into(),
        ..scene.cancel(replay)
    };
    assert_eq!(
        scene.world.refusal(&scene.owner, request).await,
        ErrorCode::NotFound
    );
}
