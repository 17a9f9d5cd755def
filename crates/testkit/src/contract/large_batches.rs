//! Batches as large as they come: the same few statements, and nothing that grows beyond its bounds.

use std::{collections::HashSet, time::Duration};

use postrider_application::ports::{ClaimFrom, ClaimedWork, NewMessage, Settlement, WorkRef, Written};
use postrider_domain::{
    MessageId, TenantId,
    messages::{ContentType, Message, Payload},
};

use super::{
    Harness,
    accepting::keyed,
    claiming::given,
    queue_steps::{FROM_QUEUE, alone, ending, fanning_out, is_stored},
};

/// An empty batch is no fault.
pub async fn an_empty_batch_writes_nothing<H: Harness>(harness: &H) {
    let (fixture, ..) = given(harness).await;
    assert_eq!(fixture.ports().writer.write(&[]).await.unwrap(), []);
}

/// Five hundred rows at once, half of them with keys: stored, then replayed, each with its own answer.
pub async fn a_batch_of_five_hundred_rows_is_written<H: Harness>(harness: &H) {
    const ROWS: u32 = 500;
    let (fixture, _, customer) = given(harness).await;
    let (writer, queue) = (&fixture.ports().writer, &fixture.ports().queue);
    let new = |nth| match nth % 2 {
        0 => keyed(fixture.message(&customer), nth, 1),
        _ => alone(fixture.message(&customer), None),
    };
    let batch: Vec<NewMessage> = (0..ROWS).map(new).collect();
    let answers = writer.write(&batch).await.unwrap();
    assert_eq!(answers.len(), batch.len());
    assert!(answers.iter().all(is_stored), "{answers:?}");

    let again: Vec<NewMessage> = (0..ROWS).map(new).collect();
    let answers = writer.write(&again).await.unwrap();
    for (place, (answer, known)) in answers.iter().zip(&batch).enumerate() {
        if place % 2 == 0 {
            assert_eq!(*answer, Written::Replayed(known.message.id));
        } else {
            assert!(is_stored(answer), "{answer:?}");
        }
    }
    let node = fixture.node().await;
    let rows = queue.claim(node, FROM_QUEUE, 1_000).await.unwrap();
    let unkeyed = again.iter().skip(1).step_by(2);
    let expected: HashSet<MessageId> = batch.iter().chain(unkeyed).map(|new| new.message.id).collect();
    assert_eq!(rows.len(), expected.len());
    assert_eq!(
        rows.iter().map(|row| row.message).collect::<HashSet<_>>(),
        expected
    );
    let places: HashSet<i64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!(places.len(), rows.len(), "each has its own place");
}

/// Sixty-four payloads of 256 KiB at once come back byte for byte.
pub async fn a_batch_of_large_payloads_is_written<H: Harness>(harness: &H) {
    const ROWS: usize = 64;
    const BYTES: usize = 256 * 1024;
    let (fixture, tenant, customer) = given(harness).await;
    let new = |nth: usize| {
        // No two alike, and no two bytes in a row either, so that nothing is gained by compressing them.
        let step = nth * 2 + 1;
        let bytes: Vec<u8> = (0..BYTES)
            .map(|at| (at * step + (at >> 8) * 31).to_le_bytes()[0])
            .collect();
        let message = Message {
            payload: Payload::restore(bytes, ContentType::json()),
            ..fixture.message(&customer)
        };
        alone(message, None)
    };
    let batch: Vec<NewMessage> = (0..ROWS).map(new).collect();
    let answers = fixture.ports().writer.write(&batch).await.unwrap();
    assert!(answers.iter().all(is_stored), "{answers:?}");

    let keys: Vec<(TenantId, MessageId)> = batch.iter().map(|new| (tenant.id, new.message.id)).collect();
    let found = fixture.ports().material.messages(&keys).await.unwrap();
    assert_eq!(found.len(), ROWS);
    for new in &batch {
        let whole = found[&new.message.id].whole() == Some(&new.message);
        assert!(whole, "{} came back otherwise", new.message.id);
    }
    let node = fixture.node().await;
    let rows = fixture.claim(node).await;
    assert_eq!(rows.len(), ROWS);
    assert!(rows.iter().all(|row| row.payload_bytes as usize == BYTES));
}

/// Five hundred rows at once are parked, claimed, given back and settled.
pub async fn five_hundred_rows_are_settled_parked_and_given_back<H: Harness>(harness: &H) {
    const ROWS: usize = 500;
    let (fixture, tenant, customer) = given(harness).await;
    let (node, queue) = (fixture.node().await, &fixture.ports().queue);
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let batch: Vec<NewMessage> = (0..ROWS)
        .map(|_| alone(fixture.message(&customer), None))
        .collect();
    fixture.ports().writer.write(&batch).await.unwrap();
    let rows = queue.claim(node, FROM_QUEUE, 500).await.unwrap();
    let exploded = rows
        .iter()
        .map(|row| fanning_out(row.work, vec![fixture.open(endpoint)]));
    let exploded: Vec<Settlement> = exploded.collect();
    assert_eq!(queue.settle(node, exploded.clone()).await.unwrap().len(), ROWS);
    assert_eq!(queue.settle(node, exploded).await.unwrap(), []);

    let held = async || queue.owned(node, Duration::ZERO, None, 1_000).await.unwrap();
    let works = |rows: &[ClaimedWork]| -> Vec<WorkRef> { rows.iter().map(|row| row.work).collect() };
    let open = works(&held().await);
    assert_eq!(open.len(), ROWS);
    assert_eq!(queue.still_held(node, &open).await.unwrap().len(), ROWS);
    queue.park(node, open).await.unwrap();
    assert_eq!(held().await, []);
    let refilled = queue
        .claim(node, ClaimFrom::Parked { endpoint, low: None }, 500)
        .await
        .unwrap();
    assert_eq!(refilled.len(), ROWS);
    queue.hand_back(node, works(&refilled)).await.unwrap();
    let claimed = queue.claim(node, FROM_QUEUE, 500).await.unwrap();
    assert!(claimed.iter().all(|row| row.endpoint == Some(endpoint)));
    let ended = |row: &ClaimedWork| ending(row.work, fixture.delivered(row.message, endpoint));
    let ended = claimed.iter().map(ended).collect();
    assert_eq!(queue.settle(node, ended).await.unwrap().len(), ROWS);
    assert_eq!(held().await, []);
    assert_eq!(queue.next_due(None).await.unwrap(), None);
}
