use super::*;
use crate::{
    access::Caller,
    testing::{World, draft, publish},
};
use postrider_domain::{
    ApplicationId, MessageId,
    access::{Grant, Role},
    messages::{BatchKey, DedupKey},
};

async fn world() -> (World, Caller, ApplicationId) {
    let world = World::new();
    let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let application = world.application(&owner, None).await.id;
    (world, owner, application)
}

fn batch(application: ApplicationId, atomic: bool, messages: Vec<Result<MessageDraft>>) -> PublishBatch {
    PublishBatch {
        application: application.into(),
        messages,
        atomic,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside ones that are bad")]
fn with_key(body: &'static str, key: &str) -> Result<MessageDraft> {
    Ok(draft(body, Some(DedupKey::event_id(key).unwrap())))
}

fn bad() -> Result<MessageDraft> {
    let invalid = InvalidValue::new(Rule::Format, "must be a name");
    Err(Error::invalid_field("event_type", invalid))
}

fn codes(results: &[Result<Published>]) -> Vec<Result<bool, ErrorCode>> {
    let code = |result: &Result<Published>| match result {
        Ok(published) => Ok(published.replayed),
        Err(error) => Err(error.code()),
    };
    results.iter().map(code).collect()
}

#[tokio::test]
async fn each_on_its_own() {
    let (world, owner, application) = world().await;
    world
        .send(
            &owner,
            publish(application, "{}", Some(DedupKey::event_id("a").unwrap())),
        )
        .await
        .unwrap();
    let messages = vec![
        Ok(draft("{}", None)),
        bad(),
        with_key("[]", "a"),
        with_key("{}", "a"),
        with_key("1", "b"),
    ];
    let results = world
        .send(&owner, batch(application, false, messages))
        .await
        .unwrap();
    assert_eq!(
        codes(&results),
        [
            Ok(false),
            Err(ErrorCode::ValidationFailed),
            Err(ErrorCode::IdempotencyConflict),
            Ok(true),
            Ok(false)
        ]
    );
    assert_eq!(world.due().await.len(), 3);
}

#[tokio::test]
async fn one_bad_message_leaves_nothing_of_all_or_none() {
    let (world, owner, application) = world().await;
    world
        .send(
            &owner,
            publish(application, "{}", Some(DedupKey::event_id("a").unwrap())),
        )
        .await
        .unwrap();
    let send = async |messages| world.send(&owner, batch(application, true, messages)).await;
    let error = send(vec![Ok(draft("{}", None)), bad(), bad()]).await.unwrap_err();
    let fields: Vec<_> = error
        .violations()
        .iter()
        .map(|violation| &*violation.field)
        .collect();
    assert_eq!(fields, ["messages[1].event_type", "messages[2].event_type"]);
    let error = send(vec![with_key("1", "b"), with_key("[]", "a")])
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::IdempotencyConflict);
    assert!(error.detail().starts_with("messages[1]: "), "{}", error.detail());
    let error = send(vec![with_key("1", "c"), with_key("2", "c")])
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::IdempotencyConflict);
    assert_eq!(world.due().await.len(), 1, "nothing but the first");

    let results = send(vec![with_key("1", "b"), with_key("{}", "a"), with_key("1", "b")])
        .await
        .unwrap();
    assert_eq!(codes(&results), [Ok(false), Ok(true), Ok(true)]);
    let ids: Vec<MessageId> = results.into_iter().map(|result| result.unwrap().id).collect();
    assert_eq!(ids[0], ids[2]);
    assert_eq!(world.due().await.len(), 1);
}

/// What a batch with that digest holds under a key.
fn under_key(digest: u8, bodies: &[&'static str]) -> Vec<Result<MessageDraft>> {
    let key = BatchKey::new("k", [digest; 32]).unwrap();
    let items = bodies.iter().enumerate();
    items
        .map(|(index, body)| Ok(draft(body, Some(key.item(index)))))
        .collect()
}

#[tokio::test]
async fn another_batch_under_the_same_key_is_a_conflict_as_a_whole() {
    for atomic in [true, false] {
        let (world, owner, application) = world().await;
        let send = async |messages| world.send(&owner, batch(application, atomic, messages)).await;
        let first = send(under_key(1, &["1", "2"])).await.unwrap();
        assert_eq!(codes(&first), [Ok(false), Ok(false)]);
        let again = send(under_key(1, &["1", "2"])).await.unwrap();
        assert_eq!(codes(&again), [Ok(true), Ok(true)]);
        for other in [&["1"][..], &["1", "2", "3"], &["1", "3"]] {
            let error = send(under_key(2, other)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::IdempotencyConflict, "{atomic} {other:?}");
        }
        assert_eq!(world.due().await.len(), 2, "nothing of the others");
    }
}

#[tokio::test]
async fn under_a_key_too_each_is_looked_at_on_its_own() {
    let (world, owner, application) = world().await;
    let messages = || {
        let [one, two] = under_key(1, &["1", "2"]).try_into().unwrap();
        vec![bad(), one, bad(), two]
    };
    let send = async |messages| world.send(&owner, batch(application, false, messages)).await;
    let refused = Err(ErrorCode::ValidationFailed);
    let first = send(messages()).await.unwrap();
    assert_eq!(codes(&first), [refused, Ok(false), refused, Ok(false)]);
    let again = send(messages()).await.unwrap();
    assert_eq!(codes(&again), [refused, Ok(true), refused, Ok(true)]);
    assert_eq!(codes(&send(vec![bad()]).await.unwrap()), [refused]);
    assert_eq!(world.due().await.len(), 2);
}

#[tokio::test]
async fn a_batch_is_bounded_and_for_publishers() {
    let (world, owner, application) = world().await;
    for count in [0, PublishBatch::MAX + 1] {
        let messages = (0..count).map(|_| Ok(draft("{}", None))).collect();
        assert_eq!(
            world.refusal(&owner, batch(application, true, messages)).await,
            ErrorCode::ValidationFailed
        );
    }
    let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
    let messages = vec![Ok(draft("{}", None))];
    assert_eq!(
        world.refusal(&viewer, batch(application, false, messages)).await,
        ErrorCode::Forbidden
    );
}
