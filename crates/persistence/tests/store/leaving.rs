//! A node leaves with very much in its hands.

use std::time::Duration;

use postrider_application::ports::{Epoch, NodeRegistry as _};
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

/// More than a leaving node gives back by itself.
const ROWS: u32 = 100_500;
/// What it gives back.
const GIVEN_BACK: u32 = 100_000;

/// Rows that the node owns, all of them due.
async fn hold<O: Outside>(harness: &O, node: Epoch, rows: u32) {
    let (numbers, id) = if O::IS_POSTGRES {
        (
            format!("SELECT n FROM generate_series(1, {rows}) AS n"),
            "lpad(to_hex(n), 32, '0')::uuid",
        )
    } else {
        (
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
                 SELECT n FROM numbers"
            ),
            "unhex(printf('%032x', n))",
        )
    };
    let owner = node.0;
    let insert = format!(
        "INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq)
         SELECT {id}, {id}, {id}, {id}, {id}, n / 10, {owner}, 1, 0, 0, n FROM ({numbers}) AS all_of_them"
    );
    harness.run(&insert).await;
}

async fn owned<O: Outside>(harness: &O, owner: i64) -> u32 {
    let count = format!("SELECT CAST(count(*) AS text) FROM outbox_work WHERE owner = {owner}");
    harness.texts(&count).await[0].parse().unwrap()
}

/// In batches, a bounded number of them; what is left is a dead node's.
async fn a_leaving_node_gives_back_what_it_can<O: Outside>(harness: &O) {
    let fixture = Fixture::new(harness);
    let node = fixture.node().await;
    hold(harness, node, ROWS).await;
    let store = harness.store();
    store.leave(node).await.unwrap();
    assert_eq!(owned(harness, 0).await, GIVEN_BACK);
    assert_eq!(owned(harness, node.0).await, ROWS - GIVEN_BACK);
    assert_eq!(store.bury().await.unwrap(), [node]);
    // Told again, it goes on.
    store.leave(node).await.unwrap();
    assert_eq!(owned(harness, node.0).await, 0);
    assert!(store.bury().await.unwrap().is_empty());
}

on_both! { a_leaving_node_gives_back_what_it_can; }

/// A row that somebody else has locked keeps neither the others nor the node.
#[tokio::test]
async fn a_leaving_node_does_not_wait_for_a_locked_row() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let node = fixture.node().await;
    hold(&harness, node, 2_500).await;
    let mut holder = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT id FROM outbox_work ORDER BY due_at, id LIMIT 1 FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let options = PostgresOptions {
        statement_timeout: Duration::from_secs(1),
        ..PostgresHarness::options(&harness.name)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let hasty = SqlStore::new(database, sealer(1));
    hasty.leave(node).await.unwrap();
    assert_eq!(owned(&harness, node.0).await, 1);
    assert_eq!(hasty.bury().await.unwrap(), [node]);
    holder.rollback().await.unwrap();
    hasty.database().close().await.unwrap();
    harness.finish().await;
}
