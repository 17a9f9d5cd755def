//! Accepting: a message is durable, whole, and queued once.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{Dedup, MessageViews as _, NewMessage, StoredPayload, Written};
use postrider_domain::{
    MessageId,
    event_types::EventTypeName,
    messages::{Channel, Channels, ContentType, Message, Payload, TraceParent},
};
use tokio::task::JoinSet;

use super::{
    Customer, Fixture, Harness,
    claiming::given,
    queue_steps::{alone, is_stored, write_one},
};

pub(super) const WINDOW: Duration = Duration::from_hours(24);
const ALMOST: Duration = Duration::from_hours(23);

/// A hash that only that number has.
fn hash(of: u32) -> [u8; 32] {
    let mut hash = [0x5a; 32];
    hash[..4].copy_from_slice(&of.to_be_bytes());
    hash
}

/// A message that is published under a key.
pub(super) fn keyed(message: Message, key: u32, body: u32) -> NewMessage {
    let dedup = Dedup {
        key_hash: hash(key),
        body_hash: hash(body),
        window: WINDOW,
    };
    alone(message, Some(dedup))
}

/// Writes a message under a key; the answer and the message's id.
async fn publish<H: Harness>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    key: u32,
    body: u32,
) -> (Written, MessageId) {
    let message = fixture.message(customer);
    let id = message.id;
    let answer = write_one(&*fixture.ports().writer, keyed(message, key, body)).await;
    (answer, id)
}

/// The messages that are queued to be fanned out.
pub(super) async fn queued<H: Harness>(fixture: &Fixture<'_, H>) -> Vec<MessageId> {
    let node = fixture.node().await;
    fixture
        .claim(node)
        .await
        .into_iter()
        .map(|row| row.message)
        .collect()
}

/// An accepted message can be seen, read, delivered, and is queued: nothing of it is missing.
pub async fn an_accepted_message_is_durable_whole<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let channels = ["eu/west", "a:b", "z"].map(|text| Channel::parse(text).unwrap());
    let message = Message {
        event_type: EventTypeName::parse("never.registered").unwrap(),
        channels: Channels::new(channels.to_vec()).unwrap(),
        event_id: Some("evt '1' \"ü\"".to_owned()),
        payload: Payload::restore(
            *b"{}",
            ContentType::parse("application/cloudevents+json; v=1").unwrap(),
        ),
        trace: Some(TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap()),
        ..fixture.message(&customer)
    };
    let bare = fixture.message(&customer);
    for message in [message, bare] {
        let answer = write_one(&*fixture.ports().writer, alone(message.clone(), None)).await;
        assert!(is_stored(&answer), "{answer:?}");

        let (store, id) = (fixture.store(), message.id);
        let view = store
            .message(&tenant.scope, customer.id, id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((view.id, view.application), (id, customer.id));
        assert_eq!(
            (&view.event_type, &view.channels),
            (&message.event_type, &message.channels)
        );
        assert_eq!(
            (&view.event_id, view.created_at),
            (&message.event_id, message.created_at)
        );
        assert_eq!(view.content_type, message.payload.content_type().as_str());
        assert_eq!(view.payload_bytes, message.payload.bytes().len() as u64);
        let payload = store.payload(&tenant.scope, customer.id, id).await.unwrap();
        assert_eq!(payload, Some(StoredPayload::There(message.payload.clone())));
        let material = fixture
            .ports()
            .material
            .messages(&[(tenant.id, id)])
            .await
            .unwrap();
        assert_eq!(material[&id].whole().map(|read| &**read), Some(&message));
        assert_eq!(queued(&fixture).await, [id]);
    }
}

/// A payload is kept byte for byte, whatever the bytes are.
pub async fn payloads_are_kept_byte_for_byte<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[0] ^ 0xa5).collect();
    for bytes in [
        every_byte,
        b"\0\0a\0".to_vec(),
        b"\xff\xfe{\"a\" : 1.0}\r\n ".to_vec(),
        vec![],
        large,
    ] {
        let payload = Payload::restore(bytes, ContentType::parse("application/octet-stream").unwrap());
        let message = Message {
            payload: payload.clone(),
            ..fixture.message(&customer)
        };
        let id = message.id;
        let answer = write_one(&*fixture.ports().writer, alone(message, None)).await;
        assert!(is_stored(&answer), "{answer:?}");
        let stored = fixture
            .store()
            .payload(&tenant.scope, customer.id, id)
            .await
            .unwrap();
        assert!(
            stored == Some(StoredPayload::There(payload.clone())),
            "{payload:?} came back as {stored:?}"
        );
        let material = fixture
            .ports()
            .material
            .messages(&[(tenant.id, id)])
            .await
            .unwrap();
        assert!(material[&id].whole().unwrap().payload == payload);
    }
}

/// The same key and body again: the first message's id, and nothing new.
pub async fn a_repeated_publish_is_a_replay<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (first, id) = publish(&fixture, &customer, 1, 1).await;
    assert!(is_stored(&first), "{first:?}");
    let (again, unused) = publish(&fixture, &customer, 1, 1).await;
    assert_eq!(again, Written::Replayed(id));
    let view = fixture
        .store()
        .message(&tenant.scope, customer.id, unused)
        .await
        .unwrap();
    assert_eq!(view, None);
    assert_eq!(queued(&fixture).await, [id]);
}

/// The same key with another body is a conflict, and stores nothing.
pub async fn a_key_with_another_body_is_a_conflict<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (_, id) = publish(&fixture, &customer, 1, 1).await;
    let (refused, unused) = publish(&fixture, &customer, 1, 2).await;
    assert_eq!(refused, Written::KeyConflict);
    let view = fixture
        .store()
        .message(&tenant.scope, customer.id, unused)
        .await
        .unwrap();
    assert_eq!(view, None);
    assert_eq!(queued(&fixture).await, [id]);
}

/// Twenty at once with one key: one message; the others are told which.
pub async fn racing_publishes_of_one_key_are_one_message<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let mut racers = JoinSet::new();
    for _ in 0..20 {
        let writer = fixture.ports().writer.clone();
        let message = fixture.message(&customer);
        racers.spawn(async move {
            let id = message.id;
            (write_one(&*writer, keyed(message, 1, 1)).await, id)
        });
    }
    let answers = racers.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(answer, _)| is_stored(answer)).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    let (_, winner) = winners[0];
    let told = answers
        .iter()
        .filter(|(answer, _)| *answer == Written::Replayed(*winner));
    assert_eq!(told.count(), 19, "{answers:?}");
    assert_eq!(queued(&fixture).await, [*winner]);
}

/// Twenty at once with one key and a body each: one message; the others are refused.
pub async fn racing_publishes_of_one_key_with_other_bodies_conflict<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let mut racers = JoinSet::new();
    for body in 0..20 {
        let writer = fixture.ports().writer.clone();
        let message = fixture.message(&customer);
        racers.spawn(async move {
            let id = message.id;
            (write_one(&*writer, keyed(message, 1, body)).await, id)
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers
        .join_all()
        .await
        .into_iter()
        .partition(|(answer, _)| is_stored(answer));
    assert_eq!((won.len(), lost.len()), (1, 19), "{won:?} {lost:?}");
    for (answer, _) in lost {
        assert_eq!(answer, Written::KeyConflict);
    }
    assert_eq!(queued(&fixture).await, [won[0].1]);
}

/// Messages without a key that are published at the same time are all accepted, each with its own place.
pub async fn racing_publishes_without_a_key_are_all_accepted<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let mut racers = JoinSet::new();
    for _ in 0..20 {
        let writer = fixture.ports().writer.clone();
        let new = alone(fixture.message(&customer), None);
        racers.spawn(async move { write_one(&*writer, new).await });
    }
    assert!(racers.join_all().await.iter().all(is_stored));
    let node = fixture.node().await;
    let rows = fixture.claim(node).await;
    let places: HashSet<i64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!((rows.len(), places.len()), (20, 20));
}

/// After its window a key is forgotten; the next publish is a message of its own, and remembered in turn.
pub async fn a_key_is_forgotten_after_its_window<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (_, first) = publish(&fixture, &customer, 1, 1).await;
    harness.age(ALMOST).await;
    let (again, _) = publish(&fixture, &customer, 1, 1).await;
    assert_eq!(again, Written::Replayed(first), "not yet");

    harness.age(Duration::from_hours(1)).await;
    let (fresh, second) = publish(&fixture, &customer, 1, 2).await;
    assert!(is_stored(&fresh), "{fresh:?}");
    let (again, _) = publish(&fixture, &customer, 1, 2).await;
    assert_eq!(again, Written::Replayed(second));
    let queued: HashSet<_> = queued(&fixture).await.into_iter().collect();
    assert_eq!(queued, HashSet::from([first, second]));
}

/// A key belongs to its application: elsewhere the same key means something else.
pub async fn keys_of_other_applications_do_not_meet<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let sibling = fixture.application(&tenant).await;
    let other_tenant = fixture.tenant("other").await;
    let stranger = fixture.application(&other_tenant).await;
    for customer in [&customer, &sibling, &stranger] {
        let (answer, _) = publish(&fixture, customer, 1, 1).await;
        assert!(is_stored(&answer), "{answer:?}");
    }
    let (other_key, _) = publish(&fixture, &customer, 2, 1).await;
    assert!(is_stored(&other_key), "{other_key:?}");
}

/// The same message again, as after an answer that was lost with the connection: it is there once.
pub async fn a_rerun_of_an_accept_changes_nothing<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let writer = &*fixture.ports().writer;
    let plain = alone(fixture.message(&customer), None);
    let keyed = keyed(fixture.message(&customer), 1, 1);
    let ids = HashSet::from([plain.message.id, keyed.message.id]);
    for new in [plain, keyed] {
        for _ in 0..2 {
            let answer = write_one(writer, new.clone()).await;
            assert!(is_stored(&answer), "{answer:?}");
        }
    }
    let rows = queued(&fixture).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows.into_iter().collect::<HashSet<_>>(), ids);
}

/// Expired keys are removed, no more than asked for at a time; those that still hold stay.
pub async fn expired_keys_are_removed_in_batches<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    for key in 0..5 {
        publish(&fixture, &customer, key, 0).await;
    }
    harness.age(ALMOST).await;
    publish(&fixture, &customer, 100, 0).await;
    let writer = &fixture.ports().writer;
    assert_eq!(writer.forget_expired_keys(10).await.unwrap(), 0);
    harness.age(Duration::from_hours(1)).await;
    assert_eq!(writer.forget_expired_keys(3).await.unwrap(), 3);
    assert_eq!(writer.forget_expired_keys(3).await.unwrap(), 2);
    assert_eq!(writer.forget_expired_keys(3).await.unwrap(), 0);
    let (answer, _) = publish(&fixture, &customer, 100, 0).await;
    assert!(
        matches!(answer, Written::Replayed(_)),
        "its window has not passed: {answer:?}"
    );
}
