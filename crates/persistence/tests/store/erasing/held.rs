//! The eraser meets others on PostgreSQL: nodes that erase as well, and whoever holds a row.

use std::time::Duration;

use postrider_application::ports::{ErasureStep, Housekeeping as _, Settlement};
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Census as _, Fixture, Harness as _};

use super::{LIMIT, doomed, erase, order, stand_at, step};
use crate::{
    outside::Outside as _,
    support::{PostgresHarness, sealer},
    until::until,
};

/// One node at a time.
#[tokio::test]
async fn whoever_finds_another_at_it_lets_it_be() {
    let harness = PostgresHarness::new().await;
    doomed(&Fixture::new(&harness)).await;
    let mut another = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(x'706f73740004'::bigint)")
        .execute(&mut *another)
        .await
        .unwrap();
    assert_eq!(step(&harness).await.unwrap(), ErasureStep::Busy);
    another.rollback().await.unwrap();
    erase(&harness).await;
    harness.finish().await;
}

/// A row that somebody holds is passed over, not waited for, and gone in the end.
#[tokio::test]
async fn a_row_that_is_held_holds_nothing_up() {
    let harness = PostgresHarness::new().await;
    let tenant = doomed(&Fixture::new(&harness)).await;
    harness
        .run(&PostgresHarness::messages(tenant.id.as_uuid(), 1, 1, 3))
        .await;
    let mut holder = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT id FROM messages ORDER BY id LIMIT 1 FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    // Twice through everything: the proof found it, and so did the next walk.
    for _ in 0..10 {
        let step = step(&harness).await.unwrap();
        assert!(matches!(step, ErasureStep::Removed { .. }), "{step:?}");
    }
    assert_eq!(harness.rows(Some(tenant.id)).await["messages"], 1);
    holder.rollback().await.unwrap();
    let (_, rows) = erase(&harness).await;
    assert_eq!(rows["messages"], 3);
    harness.finish().await;
}

/// Waits until so many of the database's connections wait for others.
async fn until_waiting(harness: &PostgresHarness, connections: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(async || {
        let waiting = sqlx::query_scalar::<_, i64>(WAITING);
        waiting.fetch_one(&harness.outside).await.unwrap() >= connections
    })
    .await;
}

/// A delivery is settled while somebody erases its tenant: its attempt, and the row of the next, come in behind the
/// eraser's first look. It waits for them, wherever it stands, and nothing is left of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_settled_is_waited_for() {
    for place in [
        None,
        Some(("queue", None)),
        // It has been at the queue already; what came in since is found by the proof.
        Some(("walk", Some("dedup"))),
        Some(("proof", None)),
    ] {
        let harness = PostgresHarness::new().await;
        let fixture = Fixture::new(&harness);
        let tenant = fixture.tenant("doomed").await;
        let customer = fixture.application(&tenant).await;
        let endpoint = fixture.endpoint(&tenant, &customer).await;
        let node = fixture.node().await;
        let (message, work) = fixture.delivery(node, &customer, endpoint).await;
        order(&fixture, &tenant, 1).await;
        if let Some((phase, table)) = place {
            stand_at(&harness, &tenant, phase, table).await;
        }
        // As a claim or a beginning settlement does.
        let mut holder = harness.outside.begin().await.unwrap();
        sqlx::query("SELECT id FROM outbox_work FOR UPDATE")
            .execute(&mut *holder)
            .await
            .unwrap();
        let (settled, _) = fixture.failed(message, endpoint);
        let settle = fixture.ports().queue.clone();
        let settling = async {
            let batch = vec![Settlement {
                work,
                concluded: vec![settled],
                open: Vec::new(),
            }];
            assert_eq!(settle.settle(node, batch).await.unwrap(), [work.id]);
        };
        let erasing = async {
            until_waiting(&harness, 1).await;
            erase(&harness).await
        };
        let releasing = async {
            until_waiting(&harness, 2).await;
            assert!(!harness.rows(Some(tenant.id)).await.contains_key("attempts"));
            holder.rollback().await.unwrap();
        };
        let ((), (_, rows), ()) = tokio::join!(settling, erasing, releasing);
        let gone = ["attempts", "deliveries", "outbox_work"].map(|table| rows.get(table).copied());
        assert_eq!(gone, [Some(1); 3], "{place:?}");
        assert!(harness.rows(Some(tenant.id)).await.is_empty(), "{place:?}");
        harness.finish().await;
    }
}

/// Who waits too long for a row of the queue tries again later, and in between it is the turn of others.
#[tokio::test]
async fn a_row_that_is_held_for_long_holds_no_other_up() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let (held, next) = (fixture.tenant("held").await, fixture.tenant("next").await);
    let customer = fixture.application(&held).await;
    fixture.accepted(&customer).await;
    order(&fixture, &held, 2).await;
    order(&fixture, &next, 1).await;
    let mut holder = harness.outside.begin().await.unwrap();
    sqlx::query("SELECT id FROM outbox_work FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let options = PostgresOptions {
        statement_timeout: Duration::from_secs(2),
        ..PostgresHarness::options(&harness.name)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    let impatient = SqlStore::new(database, sealer(1));
    let erase_one = async || {
        let mut busy = 0;
        for _ in 0..1_000 {
            match impatient.erase(LIMIT, Duration::ZERO).await.unwrap() {
                ErasureStep::Erased { tenant, .. } => return (busy, tenant),
                ErasureStep::Busy => busy += 1,
                ErasureStep::Removed { .. } => {}
                ErasureStep::Nothing => panic!("a tenant is left to erase"),
            }
        }
        panic!("it does not end");
    };
    assert_eq!(erase_one().await, (1, next.id));
    assert!(harness.rows(Some(held.id)).await.contains_key("messages"));
    holder.rollback().await.unwrap();
    assert_eq!(erase_one().await, (0, held.id));
    assert!(harness.rows(Some(held.id)).await.is_empty());
    impatient.database().close().await.unwrap();
    harness.finish().await;
}
