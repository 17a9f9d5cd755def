//! What it costs to remove a day of a million attempts while somebody holds a snapshot: by its partition, and by a
//! DELETE. Not a check but a measurement:
//!
//! ```text
//! cargo xtask test -- -p postrider-persistence --test store -- --ignored --nocapture what_a_day_costs
//! ```

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use postrider_application::ports::{Retention as _, RetentionPolicy};
use postrider_testkit::contract::Harness as _;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use tokio::{task::JoinSet, time};

use super::retention::aged;
use crate::support::PostgresHarness;

const DAY: Duration = Duration::from_hours(24);

/// Attempts of so many messages of that many days ago, written past the store.
async fn fill(outside: &PgPool, days_ago: u32, rows: u32) {
    let fill = format!(
        "INSERT INTO attempts (message, endpoint, n, tenant, started_at, latency_us, http_status, body, body_truncated)
         SELECT (lpad(to_hex((extract(epoch from now() - interval '{days_ago} days') * 1000)::bigint + i / 1000), 12, '0')
                || '7000' || '8' || substr(md5(i::text), 1, 15))::uuid,
            gen_random_uuid(), 1, gen_random_uuid(), 1, 1000, 204, decode(repeat('ab', 200), 'hex'), false
         FROM generate_series(1, {rows}) AS i"
    );
    outside.execute(AssertSqlSafe(fill)).await.unwrap();
}

async fn number(outside: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(outside)
        .await
        .unwrap()
}

/// What was seen while something went on: locks on attempts and their partitions that somebody else would wait for or
/// hold, and the longest that a writer of today's attempts waited.
struct Seen {
    took: Duration,
    wal_bytes: i64,
    locks: BTreeSet<String>,
    longest_write: Duration,
}

impl Seen {
    fn tell(&self, what: &str, outcome: &str) {
        println!(
            "{what}\n  took {:?}, {} KiB of WAL; a writer beside it waited {:?} at most\n  locks: {}\n  {outcome}\n",
            self.took,
            self.wal_bytes / 1024,
            self.longest_write,
            self.locks.iter().cloned().collect::<Vec<_>>().join(", ")
        );
    }
}

async fn watching<F: Future>(outside: &PgPool, work: F) -> (Seen, F::Output) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut beside = JoinSet::new();
    let (pool, stopped) = (outside.clone(), stop.clone());
    beside.spawn(async move {
        let mut seen = BTreeSet::new();
        while !stopped.load(Ordering::Relaxed) {
            let locks: Vec<String> = sqlx::query_scalar(
                "SELECT DISTINCT l.mode || ' on ' || CASE WHEN c.relname = 'attempts' THEN 'the table' ELSE 'a partition' END
                 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
                 WHERE c.relname LIKE 'attempts%' AND c.relkind IN ('r', 'p') AND l.pid <> pg_backend_pid()
                     AND a.query NOT LIKE 'INSERT INTO attempts%' AND l.mode <> 'AccessShareLock'",
            )
            .fetch_all(&pool)
            .await
            .unwrap();
            seen.extend(locks);
            time::sleep(Duration::from_millis(1)).await;
        }
        (seen, Duration::ZERO)
    });
    let (pool, stopped) = (outside.clone(), stop.clone());
    beside.spawn(async move {
        let mut longest = Duration::ZERO;
        while !stopped.load(Ordering::Relaxed) {
            let begun = Instant::now();
            fill(&pool, 0, 1).await;
            longest = longest.max(begun.elapsed());
            time::sleep(Duration::from_millis(2)).await;
        }
        (BTreeSet::new(), longest)
    });
    time::sleep(Duration::from_millis(200)).await;
    let position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let (wal, begun) = (number(outside, position).await, Instant::now());
    let output = work.await;
    let (took, wal_bytes) = (begun.elapsed(), number(outside, position).await - wal);
    stop.store(true, Ordering::Relaxed);
    let (mut locks, mut longest_write) = (BTreeSet::new(), Duration::ZERO);
    for (seen, longest) in beside.join_all().await {
        locks.extend(seen);
        longest_write = longest_write.max(longest);
    }
    let seen = Seen {
        took,
        wal_bytes,
        locks,
        longest_write,
    };
    (seen, output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of minutes"]
async fn what_a_day_costs() {
    let harness = PostgresHarness::new().await;
    aged(&harness).await;
    let outside = harness.outside.clone();
    let rows = std::env::var("POSTRIDER_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    for ago in [95, 75, 45] {
        fill(&outside, ago, rows).await;
    }
    outside.execute("ANALYZE attempts").await.unwrap();
    outside.execute("CHECKPOINT").await.unwrap();
    let store = harness.store();
    let policy = |days: u32| RetentionPolicy {
        attempts: Some(days * DAY),
        ..RetentionPolicy::default()
    };
    println!("{rows} attempts a day; a reader holds a snapshot all the time\n");

    // Somebody holds a snapshot, and does not read this table.
    let mut reader = outside.begin().await.unwrap();
    reader
        .execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    reader.execute("SELECT count(*) FROM tenants").await.unwrap();
    let (seen, removed) = watching(&outside, store.remove_old(&policy(85), None, 1_000)).await;
    let partitions = removed.unwrap().partitions;
    seen.tell(
        "the partition is dropped, beside a snapshot of other tables",
        &format!("{partitions} partitions went, one of them with the rows"),
    );

    // A DELETE of the same.
    let before = number(&outside, "SELECT pg_total_relation_size('attempts')
        + (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'attempts'::regclass)::bigint").await;
    let delete =
        "DELETE FROM attempts WHERE message < (lpad(to_hex((extract(epoch from now() - interval '60 days')
        * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid";
    let (seen, deleted) = watching(&outside, sqlx::query(delete).execute(&outside)).await;
    let deleted = deleted.unwrap().rows_affected();
    outside.execute("VACUUM attempts").await.unwrap();
    let after = number(&outside, "SELECT pg_total_relation_size('attempts')
        + (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'attempts'::regclass)::bigint").await;
    seen.tell(
        "the same by DELETE",
        &format!(
            "{deleted} rows went; after VACUUM, with the reader still there, the table has {} of {} MiB",
            after >> 20,
            before >> 20
        ),
    );
    reader.commit().await.unwrap();

    // Somebody reads this very table.
    let mut reader = outside.begin().await.unwrap();
    reader
        .execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    reader
        .execute("SELECT count(*) FROM attempts WHERE n = 0")
        .await
        .unwrap();
    let (seen, removed) = watching(&outside, store.remove_old(&policy(30), None, 1_000)).await;
    let partitions = removed.unwrap().partitions;
    seen.tell(
        "the partition is dropped, while somebody reads the table",
        &format!("{partitions} partitions went: the reader is waited for, in later rounds"),
    );
    reader.commit().await.unwrap();
    let (seen, removed) = watching(&outside, store.remove_old(&policy(30), None, 1_000)).await;
    let partitions = removed.unwrap().partitions;
    seen.tell(
        "the round after the reader ended",
        &format!("{partitions} partitions went"),
    );
    harness.finish().await;
}
