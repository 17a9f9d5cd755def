use std::time::Duration;

use postrider_application::ports::{
    AcceptMessage, Accepted, BatchRefused, IntakeError, MessageIntake as _, NewMessage, StoreError,
};
use postrider_testkit::contract::{Customer, Fixture, Harness as _, MemoryHarness};

use super::{
    Intake, IntakeHandle, IntakeOptions,
    testing::{Scene, Try, keyed, new_message},
};

/// The customer whose tenant and application all messages here are of, and a way in over a scripted writer.
async fn given(scene: &Scene) -> (Customer, IntakeHandle) {
    let harness = MemoryHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (_, handle) = Intake::new(
        scene.writer.clone(),
        &scene.engine,
        scene.clock.clone(),
        IntakeOptions::default(),
    )
    .unwrap();
    (customer, handle)
}

fn of(customer: &Customer, new: NewMessage) -> AcceptMessage {
    let mut message = (*new.message).clone();
    message.tenant = customer.scope.tenant();
    message.application = customer.id;
    AcceptMessage {
        message,
        dedup: new.dedup,
    }
}

async fn accept(
    handle: &IntakeHandle,
    customer: &Customer,
    news: impl IntoIterator<Item = NewMessage>,
) -> Result<Vec<Accepted>, BatchRefused> {
    let messages = news.into_iter().map(|new| of(customer, new)).collect();
    handle.accept_all(&customer.scope, messages).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_tried_again_and_folded() {
    let scene = Scene::new();
    let (customer, handle) = given(&scene).await;
    scene.fail([Try::Unavailable, Try::LostAfterCommit, Try::TooShort]);
    let news = [keyed(1, 7, 1), new_message(2, 1, 7), keyed(3, 7, 1)];
    let accepted = accept(&handle, &customer, news).await.unwrap();
    assert_eq!(accepted[..2], [Accepted::New, Accepted::New]);
    assert!(matches!(accepted[2], Accepted::Replayed(_)), "{accepted:?}");
    assert_eq!(scene.sizes(), [2, 2, 2, 2]);
    assert_eq!(scene.claimable().await, 2);
    let bytes = 2 * new_message(2, 1, 7).message.payload.bytes().len() as u64;
    assert_eq!(scene.engine.shared.figures.counted(), (2, bytes), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_says_whose_it_is() {
    let scene = Scene::new();
    let (customer, handle) = given(&scene).await;
    accept(&handle, &customer, [keyed(1, 7, 1)]).await.unwrap();
    for news in [
        vec![keyed(2, 8, 1), keyed(3, 7, 2)],
        vec![keyed(4, 9, 1), keyed(5, 9, 2)],
    ] {
        let refused = accept(&handle, &customer, news).await.unwrap_err();
        assert_eq!(refused.index, Some(1));
        assert!(matches!(refused.error, IntakeError::KeyConflict));
    }
    assert_eq!(scene.claimable().await, 1);
    assert_eq!(scene.engine.shared.figures.counted().0, 1, "only what is durable");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_the_truth_is_told() {
    for (tries, unknown) in [(Try::Unavailable, false), (Try::Hangs, true)] {
        let scene = Scene::new();
        let (customer, handle) = given(&scene).await;
        *scene.writer.always.lock().unwrap() = Some(tries);
        let refused = accept(&handle, &customer, [new_message(1, 1, 7)])
            .await
            .unwrap_err();
        match refused.error {
            IntakeError::OutcomeUnknown(_) => assert!(unknown),
            IntakeError::Store(StoreError::Unavailable(_)) => assert!(!unknown),
            error => panic!("{error:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_tenant_has_a_quarter_of_the_room() {
    let scene = Scene::new();
    let (customer, handle) = given(&scene).await;
    *scene.writer.always.lock().unwrap() = Some(Try::Hangs);
    let mut waiting = tokio::task::JoinSet::new();
    for id in 0..4 {
        let (handle, message) = (handle.clone(), of(&customer, new_message(id, 1, 7)));
        let scope = customer.scope.clone();
        waiting.spawn(async move { handle.accept_all(&scope, vec![message]).await.is_err() });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = accept(&handle, &customer, [new_message(9, 1, 7)])
        .await
        .unwrap_err();
    assert!(matches!(refused.error, IntakeError::ShareExceeded));
    while let Some(ended) = waiting.join_next().await {
        assert!(ended.unwrap());
    }
    *scene.writer.always.lock().unwrap() = None;
    assert!(accept(&handle, &customer, [new_message(9, 1, 7)]).await.is_ok());
}
