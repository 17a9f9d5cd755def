//! In which trace a replay was asked for.

use postrider_application::{
    audit::Record,
    ports::{ReplayRepository as _, Store as _, UnitOfWork as _},
};
use postrider_domain::{messages::TraceParent, replays::ReplayMode};

use super::{LIMITS, Scene};
use crate::contract::Harness;

/// What a replay queues says in which trace it was asked for; one that nobody records says nothing.
pub async fn what_a_replay_queues_says_in_which_trace_it_was_asked_for<H: Harness>(harness: &H) {
    let scene = Scene::new(harness).await;
    let old = scene.endpoint().await;
    scene.published(&[old]).await;
    let late = scene.endpoint().await;
    let scope = &scene.tenant.scope;
    let asked_in = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    for asked_in in [Some(asked_in), None] {
        let replay = scene.replay(late, ReplayMode::All).await;
        if let Some(asked_in) = &asked_in {
            let mut tx = scene.fixture.store().begin(scope).await.unwrap();
            tx.note_asked_in(scope, replay, asked_in).await.unwrap();
            tx.commit(Record::InHistory).await.unwrap();
        }
        scene.steps(LIMITS).await;
        let node = scene.fixture.node().await;
        let row = scene.fixture.claim_one(node).await;
        assert_eq!((row.endpoint, &row.asked_in), (Some(late), &asked_in));
        assert!(row.asked_for, "whether anybody records a trace of it or not");
        if asked_in.is_some() {
            let concluded = scene.fixture.delivered(row.message, late);
            assert!(scene.fixture.settle(node, row.work, concluded).await);
        }
    }
}
