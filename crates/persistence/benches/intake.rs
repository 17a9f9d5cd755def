//! What writing batches of messages costs, by itself: one committer, payloads of 1 KiB.
//!
//! `TEST_DATABASE_URL=... cargo bench -p postrider-persistence --bench intake`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends at the first thing that is wrong"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and benchmarks share their support"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, future::Future, sync::Arc, time::Duration};

use postrider_application::ports::{
    Clock as _, Dedup, MessageWriter as _, NewMessage, Partitions as _, Written,
};
use postrider_domain::messages::{ContentType, Message, Payload};
use postrider_persistence::SqlStore;
use postrider_testkit::{
    TokioClock,
    contract::{Customer, Fixture, Harness},
};
use support::{PostgresHarness, SqliteHarness};

const MESSAGES: usize = 40_000;
const PAYLOAD: usize = 1_024;
/// As many as a month of history has.
const DAYS: u32 = 30;

/// Processor time in nanoseconds, and bytes of the log, that the database spent so far.
#[derive(Default, Clone, Copy)]
struct Spent {
    cpu: i64,
    log: i64,
}

/// A database whose cost can be seen from outside.
trait Measured: Harness<Store = SqlStore> {
    /// What a server of its own spent.
    fn spent(&self) -> impl Future<Output = Spent>;
}

impl Measured for SqliteHarness {
    async fn spent(&self) -> Spent {
        Spent::default()
    }
}

impl Measured for PostgresHarness {
    async fn spent(&self) -> Spent {
        let sessions: Vec<i32> =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
                .fetch_all(&self.outside)
                .await
                .unwrap();
        let log = sqlx::query_scalar("SELECT (pg_current_wal_lsn() - '0/0')::bigint")
            .fetch_one(&self.outside)
            .await
            .unwrap();
        let cpu = sessions.iter().map(|pid| on_processor(&pid.to_string())).sum();
        Spent { cpu, log }
    }
}

/// The processor time that all threads of a process had, in nanoseconds.
fn on_processor(process: &str) -> i64 {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let of_thread = |thread: fs::DirEntry| {
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<i64>().ok()
    };
    threads.map_or(0, |threads| threads.flatten().filter_map(of_thread).sum())
}

fn batch<H: Harness>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    rows: usize,
    keyed: bool,
) -> Vec<NewMessage> {
    let new = |_| {
        let message = Message {
            payload: Payload::restore(vec![b'x'; PAYLOAD], ContentType::json()),
            ..fixture.message(customer)
        };
        let mut key_hash = [0; 32];
        key_hash[..16].copy_from_slice(message.id.as_uuid().as_bytes());
        // Hashes are scattered.
        key_hash.reverse();
        let dedup = Dedup {
            key_hash,
            body_hash: [1; 32],
            window: Duration::from_hours(24),
        };
        NewMessage {
            message: Arc::new(message),
            dedup: keyed.then_some(dedup),
            owner: None,
        }
    };
    (0..rows).map(new).collect()
}

async fn measure<H: Measured>(name: &str) {
    let harness = H::new().await;
    harness
        .store()
        .make_ahead(Duration::from_hours(24) * DAYS)
        .await
        .unwrap();
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let clock = TokioClock::of_this_machine();
    for (rows, keyed) in [(1, false), (64, false), (64, true), (256, false), (256, true)] {
        let batches: Vec<_> = (0..(MESSAGES / rows).min(4_000))
            .map(|_| batch(&fixture, &customer, rows, keyed))
            .collect();
        // Statements are prepared, and their plans made.
        for _ in 0..10 {
            harness
                .store()
                .write(&batch(&fixture, &customer, rows, keyed))
                .await
                .unwrap();
        }
        let (before, own, began) = (harness.spent().await, on_processor("self"), clock.monotonic());
        for batch in &batches {
            let written = harness.store().write(batch).await.unwrap();
            assert!(
                written
                    .iter()
                    .all(|written| matches!(written, Written::Stored { .. }))
            );
        }
        let time = clock.monotonic().saturating_sub(began);
        let own = on_processor("self") - own;
        let after = harness.spent().await;
        let each = |sum: f64| sum / (batches.len() * rows) as f64;
        println!(
            "{name}, batches of {rows}{}: {:.1} us a message; processor: this process {:.1} us, the server {:.1} us; \
             log {:.0} bytes",
            if keyed { " with keys" } else { "" },
            each(time.as_secs_f64() * 1e6),
            each(own as f64 / 1e3),
            each((after.cpu - before.cpu) as f64 / 1e3),
            each((after.log - before.log) as f64),
        );
    }
    harness.finish().await;
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        measure::<SqliteHarness>("SQLite").await;
        measure::<PostgresHarness>("PostgreSQL").await;
    });
}
