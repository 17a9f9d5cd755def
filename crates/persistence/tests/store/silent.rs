//! The server cannot be heard any more, and nobody closes the connection.

use std::time::Duration;

use postrider_application::{
    audit::Record,
    ports::{ApplicationViews as _, EventLog as _, Repository, Store as _, StoreError, UnitOfWork as _},
};
use postrider_domain::{Aggregate as _, applications::Application};
use postrider_persistence::{PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness};
use tokio::time::timeout;

use crate::{
    support::PostgresHarness,
    wire::{Trouble, Wire, with_a_wire_and},
};

/// Longer than anything may take here, and far shorter than the system sends packets again.
const DEADLINE: Duration = Duration::from_secs(30);

/// A store that does not wait for long, over a wire that can fall silent.
async fn impatient(harness: &PostgresHarness) -> (SqlStore, Wire) {
    with_a_wire_and(harness, |options| PostgresOptions {
        statement_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(2),
        ..options
    })
    .await
}

/// Calls until it is answered; each call waits for a connection by itself.
async fn until_answered<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let answered = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(DEADLINE, answered)
        .await
        .expect("a new connection in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_is_given_up_and_its_connection_not_used_again() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (store, wire) = impatient(&harness).await;
    let head = async || store.head().await.map(drop);
    let read = async || store.application(&tenant.scope, customer.id).await.map(drop);
    let find = async || {
        let mut transaction = store.begin(&tenant.scope).await?;
        let found = Repository::<Application>::find(&mut transaction, &tenant.scope, &customer.id);
        found.await.map(drop)
    };
    // The engine's single statement; a transaction that reads: its beginning, its role, its statement; one that writes.
    // What is prepared already is known by its parameters.
    let id = customer.id.as_uuid();
    for (words, nth) in [
        (b"FROM outbox_events ORDER BY".as_slice(), 0),
        (b"BEGIN", 1),
        (b"postrider_api", 1),
        (id.as_bytes(), 1),
        (id.as_bytes(), 2),
    ] {
        let call = async || match nth {
            0 => head().await,
            1 => read().await,
            _ => find().await,
        };
        let before = wire.connections();
        wire.trouble(words, Trouble::Silence);
        let answer = timeout(DEADLINE, call()).await.expect("it is given up");
        assert!(wire.was_met(), "{nth} {words:?}");
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{nth} {words:?}: {answer:?}"
        );
        until_answered(call).await;
        assert!(wire.connections() > before, "{nth} {words:?}: another connection");
    }
    timeout(DEADLINE, store.database().close())
        .await
        .expect("nothing is held")
        .unwrap();
    harness.finish().await;
}

/// Whoever is told so may find out: what was committed is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_is_given_up_and_may_have_been_made() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let (store, wire) = impatient(&harness).await;
    let mut application = fixture.new_application(&tenant, None);
    let id = application.state().id;
    let mut transaction = store.begin(&tenant.scope).await.unwrap();
    transaction.save(&tenant.scope, &mut application).await.unwrap();
    wire.trouble(b"COMMIT", Trouble::Silence);
    let committed = timeout(DEADLINE, transaction.commit(Record::InHistory))
        .await
        .expect("given up");
    assert!(
        matches!(committed, Err(StoreError::Unavailable(_))),
        "{committed:?}"
    );
    assert!(wire.was_met(), "it was sent");
    let seen = until_answered(async || store.application(&tenant.scope, id).await).await;
    assert!(seen.is_some());
    timeout(DEADLINE, store.database().close())
        .await
        .expect("nothing is held")
        .unwrap();
    harness.finish().await;
}
