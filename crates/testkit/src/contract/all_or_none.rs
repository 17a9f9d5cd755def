//! Batches of messages that are durable whole, or not at all.

use std::time::Duration;

use postrider_application::ports::{Dedup, NewMessage, WriteError, Written};

use super::{
    Customer, Fixture, Harness,
    queue_steps::{alone, is_stored},
};

/// A message with that key and body.
fn keyed<H: Harness>(fixture: &Fixture<'_, H>, customer: &Customer, key: u8, body: u8) -> NewMessage {
    let dedup = Dedup {
        key_hash: [key; 32],
        body_hash: [body; 32],
        window: Duration::from_hours(24),
    };
    alone(fixture.message(customer), Some(dedup))
}

/// Writes the batch, anew where somebody else was at the same rows.
async fn write_all<H: Harness>(fixture: &Fixture<'_, H>, batch: &[NewMessage]) -> Vec<Written> {
    for _ in 0..100 {
        match fixture.ports().writer.write_all(batch).await {
            Ok(written) if written.contains(&Written::Again) => {}
            Ok(written) => return written,
            Err(WriteError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("never written")
}

/// How many rows nobody holds.
async fn claimable<H: Harness>(fixture: &Fixture<'_, H>) -> usize {
    let node = fixture.node().await;
    fixture.claim(node).await.len()
}

/// Messages with and without keys, in one transaction.
pub async fn a_batch_is_durable_whole<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let batch = [
        keyed(&fixture, &customer, 2, 1),
        alone(fixture.message(&customer), None),
        keyed(&fixture, &customer, 1, 1),
    ];
    let written = write_all(&fixture, &batch).await;
    assert!(written.len() == 3 && written.iter().all(is_stored), "{written:?}");
    // Its answer was lost: again, with the same ids.
    let again = write_all(&fixture, &batch).await;
    assert_eq!(again, written);
    assert_eq!(claimable(&fixture).await, 3);
    assert!(fixture.ports().writer.write_all(&[]).await.unwrap().is_empty());
}

/// A key that was used with another body.
pub async fn one_conflict_leaves_nothing_of_a_batch<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let first = [keyed(&fixture, &customer, 7, 1)];
    assert!(is_stored(&write_all(&fixture, &first).await[0]));
    let batch = [
        keyed(&fixture, &customer, 1, 1),
        keyed(&fixture, &customer, 7, 2),
        keyed(&fixture, &customer, 7 + 1, 1),
    ];
    let written = write_all(&fixture, &batch).await;
    assert_eq!(written[1], Written::KeyConflict);
    assert_eq!(claimable(&fixture).await, 1, "nothing of the batch is stored");
    // Neither are its keys.
    let other = [keyed(&fixture, &customer, 1, 9), keyed(&fixture, &customer, 8, 9)];
    let written = write_all(&fixture, &other).await;
    assert!(written.iter().all(is_stored), "{written:?}");
}

/// The same keys and bodies, under other ids; with one more message.
pub async fn a_repeated_batch_is_a_repetition<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let batch = || [keyed(&fixture, &customer, 1, 1), keyed(&fixture, &customer, 2, 2)];
    let first = batch();
    assert!(write_all(&fixture, &first).await.iter().all(is_stored));
    let mut second = batch().to_vec();
    second.push(keyed(&fixture, &customer, 3, 3));
    let written = write_all(&fixture, &second).await;
    assert_eq!(
        written[..2],
        [
            Written::Replayed(first[0].message.id),
            Written::Replayed(first[1].message.id)
        ]
    );
    assert!(is_stored(&written[2]));
    assert_eq!(claimable(&fixture).await, 3);
}

/// Batches of the same keys, in other orders, at the same time.
pub async fn racing_batches_of_the_same_keys_are_stored_once<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let batch = |keys: [u8; 3]| keys.map(|key| keyed(&fixture, &customer, key, key));
    let (a, b, c) = (batch([1, 2, 3]), batch([3, 2, 1]), batch([2, 3, 1]));
    let (a, b, c) = tokio::join!(
        write_all(&fixture, &a),
        write_all(&fixture, &b),
        write_all(&fixture, &c)
    );
    let stored = [a, b, c].into_iter().flatten().filter(is_stored).count();
    assert_eq!(stored, 3);
    assert_eq!(claimable(&fixture).await, 3);
}
