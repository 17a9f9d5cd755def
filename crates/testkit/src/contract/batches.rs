//! Batches of messages: durable whole or not at all, each row with its own true answer.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use postrider_application::ports::{ClaimFrom, MessageViews as _, NewMessage, WorkRef, WriteError, Written};
use postrider_domain::{
    ApplicationId, MessageId, WorkId,
    messages::{ContentType, Message, Payload},
};
use tokio::task::JoinSet;

use super::{
    Customer, Fixture, Harness, Tenancy,
    accepting::{WINDOW, keyed},
    claiming::given,
    queue_steps::{FROM_QUEUE, alone, is_stored, write_one},
};

/// Whether the message is there to be seen, with its payload.
async fn is_there<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    id: MessageId,
) -> bool {
    let store = fixture.store();
    let view = store.message(&tenant.scope, customer.id, id).await.unwrap();
    let payload = store.payload(&tenant.scope, customer.id, id).await.unwrap();
    assert_eq!(view.is_some(), payload.is_some(), "a message has its payload");
    view.is_some()
}

/// All messages that wait in the queue, however many, with how often.
async fn all_queued<H: Harness>(fixture: &Fixture<'_, H>) -> HashMap<MessageId, usize> {
    let (node, mut queued) = (fixture.node().await, HashMap::new());
    loop {
        let rows = fixture
            .ports()
            .queue
            .claim(node, FROM_QUEUE, 1_000)
            .await
            .unwrap();
        if rows.is_empty() {
            return queued;
        }
        for row in rows {
            *queued.entry(row.message).or_default() += 1;
        }
    }
}

fn once(ids: impl IntoIterator<Item = MessageId>) -> HashMap<MessageId, usize> {
    ids.into_iter().map(|id| (id, 1)).collect()
}

/// A batch of several tenants, with and without keys, replays and conflicts among them: each gets its own answer, in
/// the order of the batch, and exactly what was stored is there.
pub async fn a_batch_is_answered_in_its_order<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let theirs = fixture.tenant("theirs").await;
    let stranger = fixture.application(&theirs).await;
    let writer = &*fixture.ports().writer;
    let mut known = Vec::new();
    for key in [1, 2] {
        let new = keyed(fixture.message(&customer), key, 7);
        known.push(new.message.id);
        assert!(is_stored(&write_one(writer, new).await));
    }
    let batch = [
        keyed(fixture.message(&customer), 2, 8),
        alone(fixture.message(&customer), None),
        keyed(fixture.message(&customer), 3, 7),
        keyed(fixture.message(&customer), 1, 7),
        keyed(fixture.message(&stranger), 1, 9),
        alone(fixture.message(&stranger), None),
        keyed(fixture.message(&stranger), 2, 7),
    ];
    let ids: Vec<MessageId> = batch.iter().map(|new| new.message.id).collect();
    let answers = writer.write(&batch).await.unwrap();
    assert_eq!(answers.len(), batch.len());
    let not_stored: Vec<_> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| !is_stored(answer))
        .collect();
    let expected = [(0, &Written::KeyConflict), (3, &Written::Replayed(known[0]))];
    assert_eq!(not_stored, expected);

    for (id, answer) in ids.iter().zip(&answers).take(4) {
        let there = is_there(&fixture, &tenant, &customer, *id).await;
        assert_eq!(there, is_stored(answer), "{answer:?}");
    }
    for id in &ids[4..] {
        assert!(is_there(&fixture, &theirs, &stranger, *id).await);
    }
    let stored = ids.iter().zip(&answers).filter(|(_, answer)| is_stored(answer));
    let expected = once(known.into_iter().chain(stored.map(|(id, _)| *id)));
    assert_eq!(all_queued(&fixture).await, expected);
}

/// A batch whose answer was lost is written again: it says the same and changes nothing, not even where some of it
/// was worked meanwhile, or was handed on.
pub async fn a_repeated_batch_changes_nothing<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (writer, node) = (&*fixture.ports().writer, fixture.node().await);
    let held = NewMessage {
        owner: Some(node),
        ..keyed(fixture.message(&customer), 1, 1)
    };
    let batch = [
        held,
        keyed(fixture.message(&customer), 2, 2),
        alone(fixture.message(&customer), None),
    ];
    let ids: Vec<MessageId> = batch.iter().map(|new| new.message.id).collect();
    for _ in 0..2 {
        let answers = writer.write(&batch).await.unwrap();
        assert!(answers.iter().all(is_stored), "{answers:?}");
    }
    let (other, work) = (fixture.node().await, WorkId::from(ids[0]));
    assert!(
        fixture
            .fan_out(node, WorkRef { id: work, claim: 0 }, vec![])
            .await
    );
    let claimed = fixture.claim(other).await;
    let claimed: HashSet<_> = claimed.iter().map(|row| row.message).collect();
    assert_eq!(claimed, HashSet::from([ids[1], ids[2]]));

    let answers = writer.write(&batch).await.unwrap();
    assert!(answers.iter().all(is_stored), "{answers:?}");
    assert_eq!(
        all_queued(&fixture).await,
        HashMap::new(),
        "one is done, two are held"
    );
    let (again, later) = (fixture.message(&customer), fixture.message(&customer));
    let answers = writer.write(&[keyed(again, 1, 1), keyed(later, 2, 3)]).await;
    assert_eq!(
        answers.unwrap(),
        [Written::Replayed(ids[0]), Written::KeyConflict]
    );
}

/// The same batch twice at the same time, as when a lost answer's first try is still under way: both are told that it
/// is stored, and it is once.
pub async fn racing_reruns_of_a_batch_store_it_once<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    for round in 0..10 {
        let mut batch: Vec<NewMessage> = Vec::new();
        for nth in 0..10 {
            let message = fixture.message(&customer);
            batch.push(if nth % 2 == 0 {
                keyed(message, round * 100 + nth, 1)
            } else {
                alone(message, None)
            });
        }
        let expected = once(batch.iter().map(|new| new.message.id));
        let batch = Arc::new(batch);
        let mut racers = JoinSet::new();
        for _ in 0..3 {
            let (writer, batch) = (fixture.ports().writer.clone(), batch.clone());
            racers.spawn(async move { writer.write(&batch).await.unwrap() });
        }
        let answers = racers.join_all().await.concat();
        assert!(answers.iter().all(is_stored), "{answers:?}");
        assert_eq!(all_queued(&fixture).await, expected);
    }
}

/// One row that the database will never take, here the id of another message, be it another tenant's or one's own,
/// refuses its batch; nothing of it is left, no key either. Without that row it is written.
pub async fn a_refused_row_leaves_nothing_of_its_batch<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let theirs = fixture.tenant("theirs").await;
    let their_customer = fixture.application(&theirs).await;
    let taken = [
        fixture.accepted(&their_customer).await,
        fixture.accepted(&customer).await,
    ];
    let writer = &*fixture.ports().writer;
    let sound = [
        keyed(fixture.message(&customer), 1, 1),
        alone(fixture.message(&customer), None),
    ];
    for id in taken {
        let poisoned = Message {
            id,
            payload: Payload::restore(*b"other", ContentType::json()),
            ..fixture.message(&customer)
        };
        for poison in [alone(poisoned.clone(), None), keyed(poisoned, 2, 2)] {
            let batch = [sound[0].clone(), poison, sound[1].clone()];
            for refused in [writer.write(&batch).await, writer.write_all(&batch).await] {
                assert!(matches!(refused, Err(WriteError::Refused(_))), "{refused:?}");
            }
            for new in &sound {
                assert!(!is_there(&fixture, &tenant, &customer, new.message.id).await);
            }
        }
    }
    assert_eq!(all_queued(&fixture).await, once(taken));

    let others = [
        keyed(fixture.message(&customer), 1, 3),
        keyed(fixture.message(&customer), 2, 3),
    ];
    let batch = [others.as_slice(), &sound[1..]].concat();
    let answers = writer.write(&batch).await.unwrap();
    assert!(answers.iter().all(is_stored), "no key was left: {answers:?}");
    assert_eq!(
        all_queued(&fixture).await,
        once(batch.iter().map(|new| new.message.id))
    );
}

/// A text that one database keeps and another cannot: it comes back as it was, or its batch is refused and nothing is
/// left. In no case is it said that the database is away.
pub async fn a_nul_in_a_text_is_kept_or_refused<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let message = Message {
        event_id: Some("a\0b".to_owned()),
        ..fixture.message(&customer)
    };
    let batch = [
        alone(fixture.message(&customer), None),
        alone(message.clone(), None),
    ];
    let ids = [batch[0].message.id, message.id];
    match fixture.ports().writer.write(&batch).await {
        Ok(answers) => {
            assert!(answers.iter().all(is_stored), "{answers:?}");
            let material = fixture.ports().material.messages(&[(tenant.id, ids[1])]).await;
            assert_eq!(*material.unwrap()[&ids[1]].whole().unwrap(), Arc::new(message));
        }
        Err(WriteError::Refused(_)) => {
            for id in ids {
                assert!(!is_there(&fixture, &tenant, &customer, id).await);
            }
            assert_eq!(all_queued(&fixture).await, HashMap::new());
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Two who write the same 400 keys in different order do not wait for each other for ever: of each key one message is
/// stored, and the other is told which.
pub async fn racing_batches_of_the_same_keys_do_not_deadlock<H: Harness>(harness: &H) {
    const KEYS: u32 = 400;
    const ROUNDS: u32 = 12;
    let (fixture, _, customer) = given(harness).await;
    let mut expected = HashMap::new();
    for round in 0..ROUNDS {
        let mut racers = JoinSet::new();
        for racer in 0..2 {
            // Each in an order of its own: the stride has no divisor in common with the number of keys.
            let place = |nth: u32| if racer == 0 { nth } else { nth * 171 % KEYS };
            let new = |nth| keyed(fixture.message(&customer), round * KEYS + place(nth), 1);
            let batch: Vec<NewMessage> = (0..KEYS).map(new).collect();
            let writer = fixture.ports().writer.clone();
            racers.spawn(async move {
                let mut answers = writer.write(&batch).await.unwrap();
                for (answer, new) in answers.iter_mut().zip(&batch) {
                    if *answer == Written::Again {
                        *answer = write_one(&*writer, new.clone()).await;
                    }
                }
                (batch, answers)
            });
        }
        let mut stored = HashSet::new();
        let mut told = HashSet::new();
        for (batch, answers) in racers.join_all().await {
            assert_eq!(answers.len(), batch.len());
            for (new, answer) in batch.iter().zip(&answers) {
                let fresh = match answer {
                    Written::Stored { .. } => stored.insert(new.message.id),
                    Written::Replayed(id) => told.insert(*id),
                    other => panic!("{other:?}"),
                };
                assert!(fresh, "twice: {answer:?}");
            }
        }
        assert_eq!(stored.len(), KEYS as usize);
        assert_eq!(stored, told, "the others are told which");
        expected.extend(once(stored));
    }
    assert_eq!(all_queued(&fixture).await, expected);
}

/// A row that is written with an owner is that node's from the beginning, under claim number 0: nobody claims it, and
/// the node settles it, parks it and hands it back without having claimed it.
pub async fn rows_written_with_an_owner_are_its_own<H: Harness>(harness: &H) {
    let (fixture, _, customer) = given(harness).await;
    let (node, other) = (fixture.node().await, fixture.node().await);
    let (writer, queue) = (&fixture.ports().writer, &fixture.ports().queue);
    let owned_by = |owner| NewMessage {
        owner,
        ..alone(fixture.message(&customer), None)
    };
    let batch = [
        owned_by(Some(node)),
        owned_by(None),
        owned_by(Some(other)),
        owned_by(Some(node)),
    ];
    let answers = writer.write(&batch).await.unwrap();
    assert!(answers.iter().all(is_stored), "{answers:?}");
    let row = |nth: usize| WorkRef {
        id: WorkId::from(batch[nth].message.id),
        claim: 0,
    };
    let third = fixture.node().await;
    assert_eq!(fixture.claim_one(third).await.message, batch[1].message.id);
    for from in [FROM_QUEUE, ClaimFrom::Dead(node), ClaimFrom::Dead(other)] {
        assert!(queue.claim(third, from, 10).await.unwrap().is_empty(), "{from:?}");
    }
    let rows = [row(0), row(1), row(2), row(3)];
    let held = queue.still_held(node, &rows).await.unwrap();
    assert_eq!(
        held.into_iter().collect::<HashSet<_>>(),
        HashSet::from([row(0).id, row(3).id])
    );
    assert!(!fixture.fan_out(node, row(2), vec![]).await, "another's");
    assert!(fixture.fan_out(node, row(0), vec![]).await);
    queue.hand_back(node, vec![row(2), row(3)]).await.unwrap();
    let claimed = fixture.claim_one(third).await;
    assert_eq!(claimed.work, WorkRef { claim: 1, ..row(3) });
    assert!(fixture.fan_out(other, row(2), vec![]).await);
}

/// A key whose window has passed is taken over, in a batch beside one that holds; its earlier message stays.
pub async fn an_expired_key_is_overwritten_within_a_batch<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let writer = &*fixture.ports().writer;
    let old = keyed(fixture.message(&customer), 1, 1);
    assert!(is_stored(&write_one(writer, old.clone()).await));
    harness.age(WINDOW).await;
    let young = keyed(fixture.message(&customer), 2, 1);
    assert!(is_stored(&write_one(writer, young.clone()).await));

    let batch = [
        keyed(fixture.message(&customer), 2, 1),
        keyed(fixture.message(&customer), 1, 2),
    ];
    let answers = writer.write(&batch).await.unwrap();
    assert_eq!(answers[0], Written::Replayed(young.message.id));
    assert!(is_stored(&answers[1]), "{answers:?}");
    assert!(is_there(&fixture, &tenant, &customer, old.message.id).await);
    let again = write_one(writer, keyed(fixture.message(&customer), 1, 2)).await;
    assert_eq!(again, Written::Replayed(batch[1].message.id));
}

/// With what is stored comes the version of the application's endpoints as it is now: each application's own, and 0
/// for one that is gone.
pub async fn a_batch_is_told_the_version_of_the_endpoints<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let (sibling, gone) = (
        fixture.application(&tenant).await,
        ApplicationId::from_uuid(fixture.uuid()),
    );
    for _ in 0..3 {
        fixture.endpoints_changed(&tenant, &customer).await;
    }
    fixture.endpoints_changed(&tenant, &sibling).await;
    let orphan = Message {
        application: gone,
        ..fixture.message(&customer)
    };
    let batch = [
        alone(fixture.message(&sibling), None),
        alone(orphan, None),
        keyed(fixture.message(&customer), 1, 1),
        alone(fixture.message(&customer), None),
    ];
    let (writer, scope) = (&fixture.ports().writer, &tenant.scope);
    for what in ["at first", "in a rerun, of what changed since"] {
        let its = harness.endpoints_version(scope, customer.id).await;
        let siblings = harness.endpoints_version(scope, sibling.id).await;
        assert!(its > siblings && siblings > 0);
        let expected = [siblings, 0, its, its].map(|endpoints_version| Written::Stored { endpoints_version });
        assert_eq!(writer.write(&batch).await.unwrap(), expected, "{what}");
        fixture.endpoints_changed(&tenant, &sibling).await;
    }
}
