//! What settling and claiming cost, by themselves: time of one worker, and on PostgreSQL the server's own.
//!
//! `TEST_DATABASE_URL=... cargo bench -p postrider-persistence --bench settle`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first thing that is wrong"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and benchmarks share their support"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use postrider_application::ports::{ClaimFrom, Concluded, Epoch, NewMessage, Settlement, WorkRef};
use postrider_domain::{EndpointId, MessageId, WorkId, deliveries::Outcome};
use postrider_testkit::contract::{Customer, Fixture, Harness};

use support::{PostgresHarness, SqliteHarness};

const ROWS: usize = 500;
const BATCHES: usize = 40;

/// A database whose cost can be seen from outside.
trait Measured: Harness {
    /// The processor time that the database's sessions had so far, if it can be told.
    fn database_cpu(&self) -> impl Future<Output = Option<Duration>>;
}

impl Measured for SqliteHarness {
    async fn database_cpu(&self) -> Option<Duration> {
        None
    }
}

impl Measured for PostgresHarness {
    async fn database_cpu(&self) -> Option<Duration> {
        let sessions =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let pids: Vec<i32> = sqlx::query_scalar(sessions)
            .fetch_all(&self.outside)
            .await
            .unwrap();
        let of_session = |pid: i32| {
            let times = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
            let on_cpu = times.split(' ').next()?.parse().ok()?;
            Some(Duration::from_nanos(on_cpu))
        };
        pids.into_iter().map(of_session).sum()
    }
}

/// What was measured of one kind of work.
struct Meter {
    rows: u32,
    time: Duration,
    database: Option<Duration>,
}

impl Meter {
    fn new() -> Self {
        Self {
            rows: 0,
            time: Duration::ZERO,
            database: Some(Duration::ZERO),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    async fn measure<H: Measured, T>(
        &mut self,
        harness: &H,
        rows: usize,
        work: impl Future<Output = T>,
    ) -> T {
        let (cpu, began) = (harness.database_cpu().await, Instant::now());
        let answer = work.await;
        self.time += began.elapsed();
        let after = harness.database_cpu().await;
        let spent = cpu.zip(after).map(|(before, after)| after.saturating_sub(before));
        self.database = self.database.zip(spent).map(|(sum, spent)| sum + spent);
        self.rows += u32::try_from(rows).unwrap();
        answer
    }

    fn print(&self, what: &str) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(self.rows);
        let database = self.database.map_or(String::new(), |time| {
            format!(", of which the database's processor {:.2} us", each(time))
        });
        println!("  {what}: {:.2} us a row{database}", each(self.time));
    }
}

/// Messages that `node` owns from the beginning.
async fn written<H: Harness>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    node: Option<Epoch>,
) -> Vec<MessageId> {
    let message = |_| NewMessage {
        message: Arc::new(fixture.message(customer)),
        dedup: None,
        owner: node,
    };
    let batch: Vec<NewMessage> = (0..ROWS).map(message).collect();
    fixture.ports().writer.write(&batch).await.unwrap();
    batch.iter().map(|new| new.message.id).collect()
}

async fn settle<H: Measured>(
    (harness, fixture, node): (&H, &Fixture<'_, H>, Epoch),
    meter: &mut Meter,
    batch: Vec<(WorkRef, Vec<Concluded>)>,
) {
    let (rows, deliveries) = (
        batch.len(),
        batch.iter().map(|(_, concluded)| concluded.len()).sum(),
    );
    let settlement = |(work, concluded)| Settlement {
        work,
        concluded,
        open: Vec::new(),
    };
    let batch = batch.into_iter().map(settlement).collect();
    let settle = fixture.ports().queue.settle(node, batch);
    assert_eq!(
        meter.measure(harness, deliveries, settle).await.unwrap().len(),
        rows
    );
}

/// Messages that are delivered to all of their endpoints at once.
async fn fanned_out<H: Measured>(harness: &H, endpoints: usize) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut to: Vec<EndpointId> = Vec::new();
    for _ in 0..endpoints {
        to.push(fixture.endpoint(&tenant, &customer).await);
    }
    let (node, mut meter) = (fixture.node().await, Meter::new());
    for _ in 0..BATCHES {
        let batch = written(&fixture, &customer, Some(node))
            .await
            .into_iter()
            .map(|message| {
                let concluded = to.iter().map(|endpoint| fixture.delivered(message, *endpoint));
                let work = WorkRef {
                    id: WorkId::from(message),
                    claim: 0,
                };
                (work, concluded.collect())
            });
        let batch = batch.collect();
        settle((harness, &fixture, node), &mut meter, batch).await;
    }
    meter.print(&format!("settled, {endpoints} of a message"));
}

/// First attempts that fail, the claim of what is due again, second attempts that succeed.
async fn retried<H: Measured>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    let node = fixture.node().await;
    let (mut failed, mut claimed, mut second) = (Meter::new(), Meter::new(), Meter::new());
    for _ in 0..BATCHES {
        let batch = written(&fixture, &customer, Some(node))
            .await
            .into_iter()
            .map(|message| {
                let work = WorkRef {
                    id: WorkId::from(message),
                    claim: 0,
                };
                (work, vec![fixture.failed(message, endpoint).0])
            });
        let batch = batch.collect();
        settle((harness, &fixture, node), &mut failed, batch).await;
        harness.age(Duration::from_mins(5)).await;
        let from = ClaimFrom::Queue { low: None };
        let claim = fixture.ports().queue.claim(node, from, 1_000);
        let rows = claimed.measure(harness, ROWS, claim).await.unwrap();
        assert_eq!(rows.len(), ROWS);
        let batch = rows.iter().map(|row| {
            let outcome = Outcome::of_status(200);
            let mut concluded = fixture.delivered(row.message, endpoint);
            concluded.delivery.attempts = 2;
            concluded.attempt = Some(fixture.attempt(2, outcome));
            (row.work, vec![concluded])
        });
        let batch = batch.collect();
        settle((harness, &fixture, node), &mut second, batch).await;
    }
    failed.print("settled, to be attempted again");
    claimed.print("claimed");
    second.print("settled, of a second attempt");
}

async fn all<H: Measured>(name: &str) {
    println!("{name}, {BATCHES} batches of {ROWS}");
    for endpoints in [1, 5] {
        let harness = H::new().await;
        fanned_out(&harness, endpoints).await;
        harness.finish().await;
    }
    let harness = H::new().await;
    retried(&harness).await;
    harness.finish().await;
}

#[tokio::main]
async fn main() {
    all::<SqliteHarness>("SQLite").await;
    if std::env::var_os("TEST_DATABASE_URL").is_some() {
        all::<PostgresHarness>("PostgreSQL").await;
    }
}
