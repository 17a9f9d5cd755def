//! History on PostgreSQL is partitioned.

use std::time::Duration;

use postrider_application::ports::{
    MessageWriter as _, NewMessage, Partitions as _, Settlement, StoreError, Written,
};
use postrider_domain::{MessageId, messages::Message};
use postrider_migrations::partitions::Day;
use postrider_testkit::contract::{Fixture, Harness as _};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{PostgresHarness, SqliteHarness};

const DAY: Duration = Duration::from_hours(24);

async fn now(outside: &PgPool) -> u64 {
    let millis: i64 = sqlx::query_scalar("SELECT (extract(epoch from now()) * 1000)::bigint")
        .fetch_one(outside)
        .await
        .unwrap();
    u64::try_from(millis).unwrap()
}

/// The bounds of a table's partitions, in their order.
async fn bounds(outside: &PgPool, table: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT pg_get_expr(p.relpartbound, p.oid) FROM pg_inherits JOIN pg_class p ON p.oid = inhrelid
         WHERE inhparent = $1::regclass AND p.relkind = 'r' ORDER BY p.relname",
    )
    .bind(table)
    .fetch_all(outside)
    .await
    .unwrap()
}

/// An id of that time.
fn id_at(millis: u64, number: u8) -> MessageId {
    let random = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, number];
    MessageId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_made_once_without_gaps_by_all_who_ask() {
    let harness = PostgresHarness::new().await;
    let before = bounds(&harness.outside, "messages").await;
    let today = Day::of_millis(now(&harness.outside).await);
    let mut made = JoinSet::new();
    for _ in 0..4 {
        let ports = harness.another_node().await.unwrap();
        made.spawn(async move { ports.partitions.make_ahead(DAY * 20).await.unwrap() });
    }
    let made: u32 = made.join_all().await.into_iter().sum();
    let messages = bounds(&harness.outside, "messages").await;
    assert_eq!(
        made as usize,
        4 * (messages.len() - before.len()),
        "one each of four tables"
    );
    assert_eq!(harness.store().make_ahead(DAY * 20).await.unwrap(), 0);

    // Each begins where the one before it ended.
    let mut from = "MINVALUE".to_owned();
    for bound in &messages {
        let rest = bound.strip_prefix(&format!("FOR VALUES FROM ({from}) TO ("));
        let rest = rest.unwrap_or_else(|| panic!("{from} in {messages:?}"));
        from = rest.strip_suffix(')').unwrap().to_owned();
    }
    // The test may have begun the day before.
    let ends = [20, 21].map(|days| format!("'{}'", today.plus(days + 1).first_id()));
    assert!(ends.contains(&from), "{from}");
    for table in ["payloads", "deliveries", "attempts"] {
        assert_eq!(bounds(&harness.outside, table).await, messages, "{table}");
    }
    harness.finish().await;
}

/// A row goes where its id belongs; what is older than everything is kept in the first partition.
#[tokio::test]
async fn rows_go_into_the_partition_of_their_day() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    harness.store().make_ahead(DAY * 3).await.unwrap();
    let now = now(&harness.outside).await;
    let day = u64::try_from(DAY.as_millis()).unwrap();
    let tomorrow = now - now % day + day;
    // The first and the last moment of tomorrow, the last of today; one from 1970.
    for (millis, days) in [(tomorrow, 1), (tomorrow + day - 1, 1), (tomorrow - 1, 0), (5, 0)] {
        let message = Message {
            id: id_at(millis, 1),
            ..fixture.message(&customer)
        };
        let id = message.id.as_uuid();
        let new = NewMessage {
            message: message.into(),
            dedup: None,
            owner: None,
        };
        let written = harness.store().write(&[new]).await.unwrap();
        assert!(matches!(written[..], [Written::Stored { .. }]), "{written:?}");
        for (table, column) in [("messages", "id"), ("payloads", "message")] {
            let at = format!("SELECT tableoid::regclass::text FROM {table} WHERE {column} = $1");
            let at: String = sqlx::query_scalar(AssertSqlSafe(at))
                .bind(id)
                .fetch_one(&harness.outside)
                .await
                .unwrap();
            let named =
                format!("SELECT '{table}_p' || to_char(to_timestamp($1) AT TIME ZONE 'UTC', 'YYYYMMDD')");
            let named: String = sqlx::query_scalar(AssertSqlSafe(named))
                .bind(i64::try_from((tomorrow - day + days * day) / 1000).unwrap())
                .fetch_one(&harness.outside)
                .await
                .unwrap();
            // Migrated a day before, the first partition is named after that day.
            let first = millis == 5;
            assert!(at == named || first && at < named, "{at} for {named}");
        }
    }
    harness.finish().await;
}

/// Nobody reaches a partition but through its table: not the roles, and not the owner, who would see all tenants' rows
/// there.
#[tokio::test]
async fn partitions_are_reached_through_their_table_only() {
    let harness = PostgresHarness::new().await;
    harness.store().make_ahead(DAY * 9).await.unwrap();
    let partitions: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT relname::text, relrowsecurity AND relforcerowsecurity, EXISTS (
            SELECT FROM unnest(ARRAY['postrider_api', 'postrider_identity', 'postrider_engine']) AS role
            WHERE has_table_privilege(role, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'))
            OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
         FROM pg_class c WHERE relispartition AND relkind = 'r'",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    assert!(partitions.len() >= 4 * 10, "{partitions:?}");
    for (partition, closed, open) in partitions {
        assert!(closed && !open, "{partition}");
    }
    harness.finish().await;
}

/// What was written before there were partitions is in the first one, and still found, told apart and queued.
#[tokio::test]
async fn rows_of_before_become_the_first_partition() {
    let name = PostgresHarness::create(None).await;
    let schema = PostgresHarness::schema(&name).await;
    schema.migrate().await.unwrap();
    let outside = PostgresHarness::outside(&name);
    undo(&outside).await;
    let day = u64::try_from(DAY.as_millis()).unwrap();
    let now = now(&outside).await;
    // Yesterday's, and one from a clock that is two days ahead.
    for (number, millis) in [(1, now - day), (2, now + 2 * day)] {
        let id = id_at(millis, number).as_uuid();
        for sql in [
            "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
             VALUES ($1, $1, $1, 'a.b', '[]', 'application/json', 77, 1)",
            "INSERT INTO payloads (message, tenant, body) VALUES ($1, $1, 'x')",
            "INSERT INTO outbox_work (id, tenant, app, message, due_at, owner, claim, attempts, failures)
             VALUES ($1, $1, $1, $1, 1, 0, 0, 0, 0)",
        ] {
            sqlx::query(sql).bind(id).execute(&outside).await.unwrap();
        }
    }
    schema.migrate().await.unwrap();
    let rows: Vec<(Uuid, i32, bool)> = sqlx::query_as(
        "SELECT m.id, w.payload_bytes, p.body = 'x' FROM messages m JOIN payloads p ON p.message = m.id
         JOIN outbox_work w ON w.message = m.id ORDER BY m.id",
    )
    .fetch_all(&outside)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|(_, bytes, same)| *bytes == 77 && *same));
    let names: Vec<String> = sqlx::query_scalar("SELECT DISTINCT tableoid::regclass::text FROM messages")
        .fetch_all(&outside)
        .await
        .unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    let duplicate = sqlx::query("INSERT INTO messages SELECT * FROM messages LIMIT 1")
        .execute(&outside)
        .await
        .unwrap_err();
    let duplicate = duplicate
        .as_database_error()
        .unwrap()
        .constraint()
        .unwrap()
        .to_owned();
    assert!(
        duplicate.starts_with("messages_p") && duplicate.ends_with("_pkey"),
        "{duplicate}"
    );
    outside.close().await;
    PostgresHarness::remove(&name).await;
}

/// What an error says, and what caused it.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An id of a far-off time would put everything until then into one partition.
#[tokio::test]
async fn ids_far_ahead_are_refused_by_the_migration() {
    let name = PostgresHarness::create(None).await;
    let schema = PostgresHarness::schema(&name).await;
    schema.migrate().await.unwrap();
    let outside = PostgresHarness::outside(&name);
    undo(&outside).await;
    let day = u64::try_from(DAY.as_millis()).unwrap();
    let now = now(&outside).await;
    for (number, days) in [(1, 29), (2, 32)] {
        sqlx::query("INSERT INTO payloads (message, tenant, body) VALUES ($1, $1, 'x')")
            .bind(id_at(now + days * day, number).as_uuid())
            .execute(&outside)
            .await
            .unwrap();
    }
    let error = said(&schema.migrate().await.unwrap_err());
    let far = id_at(now + 32 * day, 2).as_uuid();
    assert!(
        error.contains("payloads") && error.contains(&far.to_string()) && error.contains("30 days"),
        "{error}"
    );
    sqlx::query("DELETE FROM payloads WHERE message = $1")
        .bind(far)
        .execute(&outside)
        .await
        .unwrap();
    schema.migrate().await.unwrap();
    outside.close().await;
    PostgresHarness::remove(&name).await;
}

/// A node of the version before is still at work: the migration fails in good time, and changes nothing.
#[tokio::test]
async fn the_migration_gives_up_if_somebody_is_at_work() {
    let name = PostgresHarness::create(None).await;
    let schema = PostgresHarness::schema(&name).await;
    schema.migrate().await.unwrap();
    let outside = PostgresHarness::outside(&name);
    undo(&outside).await;
    let mut at_work = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE outbox_work IN ROW EXCLUSIVE MODE")
        .execute(&mut *at_work)
        .await
        .unwrap();
    let error = said(&schema.migrate().await.unwrap_err());
    assert!(error.contains("lock timeout"), "{error}");
    at_work.rollback().await.unwrap();
    let columns: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM information_schema.columns
         WHERE table_name = 'outbox_work' AND column_name = 'payload_bytes'",
    )
    .fetch_one(&outside)
    .await
    .unwrap();
    assert_eq!(columns, 0);
    schema.migrate().await.unwrap();
    outside.close().await;
    PostgresHarness::remove(&name).await;
}

/// A row that is settled without a partition for its time is refused as what it is, so that it is set aside, and does not
/// keep the others waiting; nothing is settled.
#[tokio::test]
async fn a_settlement_without_a_partition_is_refused() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (node, endpoint) = (fixture.node().await, fixture.endpoint(&tenant, &customer).await);
    let (_, work) = fixture.delivery(node, &customer, endpoint).await;
    let far = id_at(now(&harness.outside).await + 400 * 86_400_000, 1);
    sqlx::query("UPDATE outbox_work SET message = $1 WHERE id = $2")
        .bind(far.as_uuid())
        .bind(work.id.as_uuid())
        .execute(&harness.outside)
        .await
        .unwrap();
    let settlement = Settlement {
        work,
        concluded: vec![fixture.delivered(far, endpoint)],
        open: Vec::new(),
    };
    let queue = &fixture.ports().queue;
    let refused = queue.settle(node, vec![settlement]).await;
    let Err(StoreError::Internal(cause)) = refused else {
        panic!("{refused:?}")
    };
    assert!(cause.to_string().contains("23514"), "{cause}");
    assert_eq!(queue.still_held(node, &[work]).await.unwrap(), [work.id]);
    harness.finish().await;
}

/// Takes the database back to where history was not partitioned.
async fn undo(outside: &PgPool) {
    let mut statements = vec![
        "DELETE FROM seaql_migrations WHERE version = 'm20261122_000015_message_path'".to_owned(),
        "DROP TABLE endpoint_failures".to_owned(),
        "ALTER TABLE outbox_work DROP COLUMN payload_bytes".to_owned(),
    ];
    for table in ["messages", "payloads", "deliveries", "attempts"] {
        statements.extend([
            format!("CREATE TABLE {table}_plain (LIKE {table} INCLUDING ALL)"),
            format!("DROP TABLE {table}"),
            format!("ALTER TABLE {table}_plain RENAME TO {table}"),
            format!("ALTER TABLE {table} RENAME CONSTRAINT {table}_plain_pkey TO {table}_pkey"),
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
            format!(
                "CREATE POLICY postrider_admin ON {table} TO postrider_admin USING (true) WITH CHECK (true)"
            ),
            format!(
                "CREATE POLICY postrider_engine_select ON {table} FOR SELECT TO postrider_engine USING (true)"
            ),
            format!("GRANT ALL ON {table} TO postrider_engine"),
            format!("ALTER TABLE {table} OWNER TO postrider_admin"),
        ]);
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement))
            .execute(outside)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn sqlite_has_no_partitions_to_make() {
    let harness = SqliteHarness::new().await;
    assert_eq!(harness.store().make_ahead(DAY * 3).await.unwrap(), 0);
    harness.finish().await;
}
