//! Somebody who goes on writing and reading: by SQL in the same tables, and over REST at the node that keeps them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::days::{ENDPOINT, cell};
use crate::conformance::statistics::Durations;
use crate::postgres::Connection;
use crate::tenancy::client::Client;

const PAUSE: Duration = Duration::from_millis(10);

/// How long each kind of statement and request took.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    kinds: Vec<(&'static str, Durations)>,
}

impl Traffic {
    /// The slowest statement or request.
    pub(super) fn slowest(&self) -> Duration {
        self.kinds
            .iter()
            .map(|(_, took)| took.worst())
            .max()
            .unwrap_or_default()
    }

    /// Both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.kinds.extend(other.kinds);
        self
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  others meanwhile:")?;
        for (kind, took) in &self.kinds {
            write!(f, "\n    {kind:<32} {took}")?;
        }
        Ok(())
    }
}

fn timed<T>(took: &mut Vec<Duration>, job: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let began = Instant::now();
    let answer = job()?;
    took.push(began.elapsed());
    Ok(answer)
}

/// Writes a message with all that belongs to it, and reads by key and across all partitions.
pub(super) fn statements(port: u16, database: &str, stop: &AtomicBool) -> anyhow::Result<Traffic> {
    let mut connection = Connection::open(port, database)?;
    let whose = cell(
        &connection
            .query("select format('%L::uuid, %L::uuid', tenant, id) from applications order by id limit 1")?,
    )?;
    let [mut write, mut by_key, mut across] = [const { Vec::new() }; 3];
    while !stop.load(Ordering::Relaxed) {
        let id = cell(&connection.query(
            "select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
                || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid",
        )?)?;
        let insert = format!(
            "with w (tenant, app) as (values ({whose})), m as (
                insert into messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
                select '{id}', tenant, app, 'retention.now', '[]', 'application/json', 2,
                    (extract(epoch from clock_timestamp()) * 1000000)::bigint from w),
             p as (insert into payloads (message, tenant, body) select '{id}', tenant, '{{}}' from w),
             d as (insert into deliveries (message, endpoint, tenant, app, status, attempts, failures, updated_at)
                select '{id}', '{ENDPOINT}', tenant, app, 'delivered', 1, 0, 0 from w)
             insert into attempts
                (message, endpoint, n, tenant, started_at, latency_us, http_status, body, body_truncated)
             select '{id}', '{ENDPOINT}', 1, tenant, 0, 900, 200, '', false from w"
        );
        timed(&mut write, || connection.query(&insert))?;
        let read = format!("select http_status from attempts where message = '{id}'");
        timed(&mut by_key, || connection.query(&read))?;
        let read =
            "select count(*) from (select d.message from messages m join deliveries d on d.message = m.id
            order by m.id desc limit 100) as newest";
        timed(&mut across, || connection.query(read))?;
        thread::sleep(PAUSE);
    }
    Ok(Traffic {
        kinds: vec![
            ("SQL: four rows written", Durations::of(write)),
            ("SQL: read by key", Durations::of(by_key)),
            ("SQL: read across all days", Durations::of(across)),
        ],
    })
}

/// Publishes and lists.
pub(super) fn requests(mut client: Client, application: &str, stop: &AtomicBool) -> anyhow::Result<Traffic> {
    let path = format!("/v1/applications/{application}/messages");
    let body = json!({ "event_type": "retention.now", "payload": { "of": "now" } });
    let (mut publish, mut list) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        timed(&mut publish, || client.expect(202, "POST", &path, Some(&body)))?;
        timed(&mut list, || client.get(&format!("{path}?limit=20")))?;
        thread::sleep(PAUSE);
    }
    Ok(Traffic {
        kinds: vec![
            ("REST: publish", Durations::of(publish)),
            ("REST: list of messages", Durations::of(list)),
        ],
    })
}
