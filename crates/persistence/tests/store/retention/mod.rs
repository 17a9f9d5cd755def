//! What is old enough goes: by the day on PostgreSQL, by the row on SQLite.

mod rows;

use std::time::Duration;

use postrider_application::ports::{Epoch, NewMessage, Removed, Retention as _, RetentionPolicy, WorkRef};
use postrider_domain::{EndpointId, MessageId};
use postrider_migrations::partitions::{Day, HISTORY, Partition};
use postrider_testkit::contract::{Census, Customer, Fixture, Harness, Tenancy};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::support::{PostgresHarness, postgres::server};

const DAY: Duration = Duration::from_hours(24);

/// A message of that many days ago, whose delivery waits in the queue, held by the node.
async fn queued<H: Harness>(
    fixture: &Fixture<'_, H>,
    (tenant, customer): (&Tenancy, &Customer),
    days: u32,
) -> (Epoch, MessageId, WorkRef, EndpointId) {
    let endpoint = fixture.endpoint(tenant, customer).await;
    let node = fixture.node().await;
    let mut message = fixture.message(customer);
    message.created_at = fixture.now().minus(days * DAY);
    let millis = u64::try_from(message.created_at.as_unix_millis()).unwrap();
    let random = fixture.uuid().as_u128().to_be_bytes();
    let random: [u8; 10] = random[6..].try_into().unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    message.id = MessageId::from_uuid(id);
    let id = message.id;
    let new = NewMessage {
        message: message.into(),
        dedup: None,
        owner: None,
    };
    fixture.ports().writer.write(&[new]).await.unwrap();
    let row = fixture.fan_out_to(node, id, endpoint).await;
    (node, id, row, endpoint)
}

async fn delivered<H: Harness>(fixture: &Fixture<'_, H>, whose: (&Tenancy, &Customer), days: u32) {
    let (node, message, row, endpoint) = queued(fixture, whose, days).await;
    let delivered = fixture.delivered(message, endpoint);
    assert!(fixture.settle(node, row, delivered).await);
}

async fn rows<H: Census>(harness: &H, tenant: &Tenancy) -> [u64; 4] {
    let rows = harness.rows(Some(tenant.id)).await;
    ["messages", "payloads", "deliveries", "attempts"].map(|table| rows.get(table).copied().unwrap_or(0))
}

fn days(messages: u32, payloads: u32, attempts: u32) -> RetentionPolicy {
    RetentionPolicy {
        messages: Some(messages * DAY),
        payloads: Some(payloads * DAY),
        attempts: Some(attempts * DAY),
        audit: None,
        events: None,
    }
}

/// An installation that is a hundred days old, with a partition for every ten days of them.
pub(super) async fn aged(harness: &PostgresHarness) {
    let mut owner = owner(harness).await;
    let millis = Fixture::new(harness).now().as_unix_millis();
    let today = u64::try_from(millis).unwrap() / 86_400_000;
    let day = |days_ago: u64| Day::of_millis((today - days_ago) * 86_400_000);
    for (table, _) in HISTORY {
        let first: Vec<String> = sqlx::query_scalar(
            "SELECT p.relname::text FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
             WHERE i.inhparent = $1::regclass AND p.relkind = 'r'",
        )
        .bind(table)
        .fetch_all(&mut owner)
        .await
        .unwrap();
        for name in first {
            owner
                .execute(AssertSqlSafe(format!("DROP TABLE {name}")))
                .await
                .unwrap();
        }
        let mut statements = Partition::first(table, day(101)).make();
        for begin in (0..=100).rev().step_by(10).map(day) {
            // As though nobody had been there to make one each day.
            let covered = Some(begin.first_id());
            let until = begin.plus(9);
            statements.extend(
                Partition::missing(table, covered, until, until)
                    .iter()
                    .flat_map(Partition::make),
            );
        }
        for statement in statements {
            owner.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
    owner.close().await.unwrap();
}

async fn owner(harness: &PostgresHarness) -> PgConnection {
    let options = server().database(&harness.name);
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    owner.execute("SET ROLE postrider_admin").await.unwrap();
    owner
}

/// The bounds of a table's partitions, in their order.
async fn bounds(harness: &PostgresHarness, table: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT pg_get_expr(p.relpartbound, p.oid) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
         WHERE i.inhparent = $1::regclass AND p.relkind = 'r' ORDER BY p.relname",
    )
    .bind(table)
    .fetch_all(&harness.outside)
    .await
    .unwrap()
}

/// Each table's days go in their own time, with a row for what comes late, and are not missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_go_with_their_partition() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    for ago in [0, 45, 75] {
        delivered(&fixture, (&tenant, &customer), ago).await;
    }
    let before = bounds(&harness, "messages").await;
    let policy = days(60, 30, 30);
    let removed = harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert!(removed.partitions > 0 && removed.rows == 0, "{removed:?}");
    assert_eq!(rows(&harness, &tenant).await, [2, 1, 2, 1]);
    // What is left has no gap, and no lower bound.
    for (table, _) in HISTORY {
        let mut from = "MINVALUE".to_owned();
        for bound in bounds(&harness, table).await {
            let rest = bound.strip_prefix(&format!("FOR VALUES FROM ({from}) TO ("));
            from = rest.unwrap().strip_suffix(')').unwrap().to_owned();
        }
    }
    assert!(bounds(&harness, "messages").await.len() < before.len());
    // Nothing more to do; what comes late finds a place, and goes in its turn.
    let again = harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(again, Removed::default());
    delivered(&fixture, (&tenant, &customer), 90).await;
    assert_eq!(rows(&harness, &tenant).await, [3, 2, 3, 2]);
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(rows(&harness, &tenant).await, [2, 1, 2, 1]);
    harness.finish().await;
}

/// A day to which the queue refers is kept, in all tables, until it does so no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_a_queued_message_is_kept() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let whose = (&tenant, &customer);
    delivered(&fixture, whose, 95).await;
    let (node, message, row, endpoint) = queued(&fixture, whose, 75).await;
    let policy = days(60, 30, 30);
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(rows(&harness, &tenant).await, [1, 1, 0, 0]);
    let concluded = fixture.delivered(message, endpoint);
    assert!(fixture.settle(node, row, concluded).await);
    assert_eq!(rows(&harness, &tenant).await, [1; 4]);
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(rows(&harness, &tenant).await, [0; 4]);
    harness.finish().await;
}

/// Somebody reads for a long time: nobody waits for that, and what was begun is finished when they have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_not_disturbed_and_disturbs_nobody() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    delivered(&fixture, (&tenant, &customer), 105).await;
    let mut reader = harness.outside.begin().await.unwrap();
    reader
        .execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    let count = "SELECT count(*) FROM messages";
    let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut *reader).await.unwrap();
    assert_eq!(seen, 1);
    let policy = days(60, 30, 30);
    let removed = harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(removed.refused, Some("messages"), "and it is told");
    // New statements do not see it any more, writers go on, and the reader sees what it saw.
    delivered(&fixture, (&tenant, &customer), 0).await;
    assert_eq!(rows(&harness, &tenant).await[0], 1);
    let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut *reader).await.unwrap();
    assert_eq!(seen, 1);
    reader.commit().await.unwrap();
    let finished = harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert!(
        finished.partitions > 0 && finished.refused.is_none(),
        "{finished:?}"
    );
    assert_eq!(
        bounds(&harness, "messages").await,
        bounds(&harness, "deliveries").await
    );
    harness.finish().await;
}

/// The table's partitions by name, in their order, with their bounds.
async fn named(owner: &mut PgConnection, table: &str) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT p.relname::text, pg_get_expr(p.relpartbound, p.oid) FROM pg_inherits i
         JOIN pg_class p ON p.oid = i.inhrelid
         WHERE i.inhparent = $1::regclass AND p.relkind = 'r' ORDER BY 1",
    )
    .bind(table)
    .fetch_all(owner)
    .await
    .unwrap()
}

/// What a node that dies has done: the partition is marked, and out.
async fn take_out(owner: &mut PgConnection, table: &str, (name, bounds): &(String, String)) {
    let ids: Vec<_> = bounds.split('\'').skip(1).step_by(2).collect();
    let (since, till) = match ids[..] {
        [till] => ("-", till),
        [since, till] => (since, till),
        _ => panic!("{bounds}"),
    };
    for sql in [
        format!("COMMENT ON TABLE {name} IS 'postrider: old enough to be dropped: {table} {since} {till}'"),
        format!("ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY"),
    ] {
        owner.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

/// A node died between taking a partition out and dropping it, and a message of it was sent again meanwhile: it goes
/// back in, whole, and is dropped when it is needed no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_out_and_is_needed_goes_back_in() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    // In the first partition, which has no lower bound.
    let (node, message, row, endpoint) = queued(&fixture, (&tenant, &customer), 105).await;
    let mut owner = owner(&harness).await;
    let before = named(&mut owner, "messages").await;
    take_out(&mut owner, "messages", &before[0]).await;
    assert_eq!(rows(&harness, &tenant).await[0], 0);
    // As long as it cannot go back, nothing takes its place.
    let mut in_the_way = harness.outside.begin().await.unwrap();
    in_the_way
        .execute("LOCK TABLE messages IN SHARE UPDATE EXCLUSIVE MODE")
        .await
        .unwrap();
    let policy = days(60, 30, 30);
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(named(&mut owner, "messages").await, before[1..]);
    in_the_way.rollback().await.unwrap();

    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(named(&mut owner, "messages").await, before);
    assert_eq!(rows(&harness, &tenant).await[..2], [1, 1]);
    let concluded = fixture.delivered(message, endpoint);
    assert!(fixture.settle(node, row, concluded).await);
    harness.store().remove_old(&policy, None, 100).await.unwrap();
    assert_eq!(rows(&harness, &tenant).await, [0; 4]);
    owner.close().await.unwrap();
    harness.finish().await;
}

/// A node died between taking a partition out and dropping it. What somebody else took out is theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_out_is_dropped_later() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let mut owner = owner(&harness).await;
    let all = named(&mut owner, "messages").await;
    take_out(&mut owner, "messages", &all[1]).await;
    let (ours, theirs) = (&all[1].0, &all[2].0);
    let sql = format!("ALTER TABLE messages DETACH PARTITION {theirs} CONCURRENTLY");
    owner.execute(AssertSqlSafe(sql)).await.unwrap();
    harness
        .store()
        .remove_old(&RetentionPolicy::default(), None, 100)
        .await
        .unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname = ANY ($1)")
        .bind(vec![ours.clone(), theirs.clone()])
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert_eq!(left, std::slice::from_ref(theirs));
    owner.close().await.unwrap();
    harness.finish().await;
}

/// Nodes that are at it at the same time do it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_may_ask_at_once() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let node = harness.another_node().await.unwrap();
        asked.spawn(async move {
            node.retention
                .remove_old(&days(60, 30, 30), None, 100)
                .await
                .unwrap()
        });
    }
    let dropped: u32 = asked
        .join_all()
        .await
        .iter()
        .map(|removed| removed.partitions)
        .sum();
    // The first one, and those of ten days each: five of messages and of deliveries, eight of the others.
    assert!((26..=30).contains(&dropped), "{dropped}");
    let again = harness
        .store()
        .remove_old(&days(60, 30, 30), None, 100)
        .await
        .unwrap();
    assert_eq!(again, Removed::default());
    harness.finish().await;
}
