//! The connection is lost while a batch is being written: was it committed?

use std::sync::Arc;

use postrider_application::ports::{MessageViews as _, MessageWriter as _, NewMessage, WriteError, Written};
use postrider_domain::messages::Message;
use postrider_testkit::contract::{Fixture, Harness as _};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
    wire::{Trouble, with_a_wire},
};

fn alone(message: &Message) -> [NewMessage; 1] {
    [NewMessage {
        message: Arc::new(message.clone()),
        dedup: None,
        owner: None,
    }]
}

/// Writes two messages, so that the statement is prepared and the second is one exchange, which meets `trouble`; its
/// answer, whether it is stored, and the answer of the rerun if there are connections for one.
async fn write_while(
    trouble: Trouble,
) -> (
    Result<Vec<Written>, WriteError>,
    bool,
    Result<Vec<Written>, WriteError>,
) {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (store, wire) = with_a_wire(&harness).await;
    let first = store.write(&alone(&fixture.message(&customer))).await.unwrap();
    assert_eq!(first, STORED);

    let message = fixture.message(&customer);
    wire.trouble(message.id.as_uuid().as_bytes(), trouble);
    let answer = store.write(&alone(&message)).await;
    let stored = harness
        .store()
        .message(&tenant.scope, customer.id, message.id)
        .await
        .unwrap()
        .is_some();
    assert!(wire.was_met(), "there was trouble");
    let rerun = store.write(&alone(&message)).await;
    let node = fixture.node().await;
    let queued = fixture.claim(node).await.len();
    assert_eq!(queued, 1 + usize::from(stored || rerun.is_ok()), "each once");
    store.database().close().await.unwrap();
    harness.finish().await;
    (answer, stored, rerun)
}

const STORED: [Written; 1] = [Written::Stored { endpoints_version: 0 }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_unknown_until_the_rerun() {
    let (answer, stored, rerun) = write_while(Trouble::AnswerLost).await;
    assert!(stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert_eq!(rerun.unwrap(), STORED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_is_unknown_until_the_rerun() {
    let (answer, stored, rerun) = write_while(Trouble::StatementLost).await;
    assert!(!stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert_eq!(rerun.unwrap(), STORED);
}

/// While there is no connection to be had, the rerun tells nothing, and says that it wrote nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_cut_off_it_stays_unknown() {
    let (answer, stored, rerun) = write_while(Trouble::CutOff).await;
    assert!(stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert!(matches!(rerun, Err(WriteError::Unavailable(_))), "{rerun:?}");
}

/// No connection at all is no question: nothing was sent.
async fn what_was_never_sent_is_unavailable<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    harness.store().database().close().await.unwrap();
    let answer = harness.store().write(&alone(&fixture.message(&customer))).await;
    assert!(matches!(answer, Err(WriteError::Unavailable(_))), "{answer:?}");
}

on_both! { what_was_never_sent_is_unavailable; }
