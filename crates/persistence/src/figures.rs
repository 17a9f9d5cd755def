//! Figures of endpoints and tenants: what was added up in memory, added to what is stored.

use std::collections::BTreeMap;

use async_trait::async_trait;
use postrider_application::{
    access::TenantScope,
    ports::{EndpointHour, FigureStore, FigureViews, StoreError, TenantDay},
};
use postrider_domain::{
    ApplicationId, EndpointId, TenantId, Timestamp,
    deliveries::FailureClass,
    figures::{EndpointFigures, LastFailure, Latencies, LatencyClass, UsageFigures},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, QueryResult};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    SqlStore, advisory_lock,
    batch::hex,
    codec::timestamp,
    connection::{Dialect, Scope, Transaction},
    error::{OrStoreError as _, corrupt},
    housekeeping::delete_some,
};

/// The most rows of one statement.
const AT_ONCE: usize = 500;

macro_rules! columns {
    () => {
        "tenant, endpoint, hour, app, attempts, delivered, latencies, failure, http_status, failed_at, delivered_at"
    };
}

/// What is known of these hours. `$1`: the hours, as below.
macro_rules! known {
    ($keys:literal) => {
        concat!(
            "SELECT s.tenant, s.endpoint, s.hour, s.attempts, s.delivered, s.latencies, s.failure, s.http_status,
                s.failed_at, s.delivered_at FROM ",
            $keys,
            " JOIN endpoint_stats s ON s.tenant = e.tenant AND s.endpoint = e.endpoint AND s.hour = e.hour"
        )
    };
}
const KNOWN_ON_POSTGRES: &str =
    known!("jsonb_to_recordset($1::text::jsonb) AS e (tenant uuid, endpoint uuid, hour bigint)");
const KNOWN_ON_SQLITE: &str = known!(
    "(SELECT unhex(value ->> 'tenant') AS tenant, unhex(value ->> 'endpoint') AS endpoint, value ->> 'hour' AS hour
      FROM json_each($1)) AS e"
);

/// All there is of these hours, of tenants that stay.
macro_rules! write_hours {
    ($hours:literal) => {
        concat!(
            "INSERT INTO endpoint_stats (",
            columns!(),
            ") SELECT ",
            columns!(),
            " FROM ",
            $hours,
            " WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = e.tenant AND t.status <> 'deleting')
            ON CONFLICT (tenant, endpoint, hour) DO UPDATE SET attempts = excluded.attempts,
                delivered = excluded.delivered, latencies = excluded.latencies, failure = excluded.failure,
                http_status = excluded.http_status, failed_at = excluded.failed_at,
                delivered_at = excluded.delivered_at"
        )
    };
}
const WRITE_ON_POSTGRES: &str = write_hours!(
    "jsonb_to_recordset($1::text::jsonb) AS e (tenant uuid, endpoint uuid, hour bigint, app uuid, attempts bigint,
        delivered bigint, latencies text, failure text, http_status integer, failed_at bigint, delivered_at bigint)"
);
const WRITE_ON_SQLITE: &str = write_hours!(
    "(SELECT unhex(value ->> 'tenant') AS tenant, unhex(value ->> 'endpoint') AS endpoint, value ->> 'hour' AS hour,
        unhex(value ->> 'app') AS app, value ->> 'attempts' AS attempts, value ->> 'delivered' AS delivered,
        value ->> 'latencies' AS latencies, value ->> 'failure' AS failure, value ->> 'http_status' AS http_status,
        value ->> 'failed_at' AS failed_at, value ->> 'delivered_at' AS delivered_at FROM json_each($1)) AS e"
);

/// As much more of these days, of tenants that stay.
macro_rules! add_days {
    ($days:literal) => {
        concat!(
            "INSERT INTO tenant_usage (tenant, day, accepted, payload_bytes, attempts, delivered, failed)
            SELECT tenant, day, accepted, payload_bytes, attempts, delivered, failed FROM ",
            $days,
            " WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = e.tenant AND t.status <> 'deleting')
            ON CONFLICT (tenant, day) DO UPDATE SET accepted = tenant_usage.accepted + excluded.accepted,
                payload_bytes = tenant_usage.payload_bytes + excluded.payload_bytes,
                attempts = tenant_usage.attempts + excluded.attempts,
                delivered = tenant_usage.delivered + excluded.delivered,
                failed = tenant_usage.failed + excluded.failed"
        )
    };
}
const ADD_ON_POSTGRES: &str = add_days!(
    "jsonb_to_recordset($1::text::jsonb) AS e (tenant uuid, day bigint, accepted bigint, payload_bytes bigint,
        attempts bigint, delivered bigint, failed bigint)"
);
const ADD_ON_SQLITE: &str = add_days!(
    "(SELECT unhex(value ->> 'tenant') AS tenant, value ->> 'day' AS day, value ->> 'accepted' AS accepted,
        value ->> 'payload_bytes' AS payload_bytes, value ->> 'attempts' AS attempts,
        value ->> 'delivered' AS delivered, value ->> 'failed' AS failed FROM json_each($1)) AS e"
);

const OF_ENDPOINT: &str = "
SELECT tenant, endpoint, hour, attempts, delivered, latencies, failure, http_status, failed_at, delivered_at
FROM endpoint_stats WHERE tenant = {tenant} AND endpoint = $1 AND app = $2 AND hour >= $3";

const USAGE: &str = "
SELECT day, accepted, payload_bytes, attempts, delivered, failed FROM tenant_usage
WHERE tenant = {tenant} AND day >= $1 AND day < $2 ORDER BY day";

/// An hour as it goes into a batch.
#[derive(Serialize)]
struct HourInBatch {
    tenant: String,
    endpoint: String,
    hour: i64,
    app: String,
    attempts: u64,
    delivered: u64,
    latencies: String,
    failure: Option<&'static str>,
    http_status: Option<u16>,
    failed_at: Option<i64>,
    delivered_at: Option<i64>,
}

impl HourInBatch {
    fn of(key: &Key, (application, figures): &(ApplicationId, EndpointFigures)) -> Result<Self, StoreError> {
        let pairs: Vec<(u8, u64)> = figures
            .latencies
            .classes()
            .map(|(class, count)| (class.0, count))
            .collect();
        let failure = figures.last_failure;
        Ok(Self {
            tenant: hex(key.0),
            endpoint: hex(key.1),
            hour: key.2,
            app: hex(application.as_uuid()),
            attempts: figures.attempts,
            delivered: figures.delivered,
            latencies: serde_json::to_string(&pairs).map_err(|why| corrupt("latencies", why))?,
            failure: failure.map(|failure| failure.class.as_str()),
            http_status: failure.and_then(|failure| failure.http_status),
            failed_at: failure.map(|failure| failure.at.as_micros()),
            delivered_at: figures.last_delivered_at.map(Timestamp::as_micros),
        })
    }
}

/// A day as it goes into a batch.
#[derive(Serialize)]
struct DayInBatch {
    tenant: String,
    day: i64,
    accepted: u64,
    payload_bytes: u64,
    attempts: u64,
    delivered: u64,
    failed: u64,
}

/// Tenant, endpoint and hour.
type Key = (Uuid, Uuid, i64);

#[derive(FromQueryResult)]
struct HourRow {
    tenant: Uuid,
    endpoint: Uuid,
    hour: i64,
    attempts: i64,
    delivered: i64,
    latencies: String,
    failure: Option<String>,
    http_status: Option<i32>,
    failed_at: Option<i64>,
    delivered_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct DayRow {
    day: i64,
    accepted: i64,
    payload_bytes: i64,
    attempts: i64,
    delivered: i64,
    failed: i64,
}

fn count(count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(|why| corrupt("figure", why))
}

impl HourRow {
    fn key(&self) -> Key {
        (self.tenant, self.endpoint, self.hour)
    }

    fn figures(&self) -> Result<EndpointFigures, StoreError> {
        let pairs: Vec<(u8, u64)> =
            serde_json::from_str(&self.latencies).map_err(|why| corrupt("latencies", why))?;
        let mut latencies = Latencies::default();
        for (class, count) in pairs {
            latencies.add(LatencyClass(class), count);
        }
        let http_status = self.http_status.map(u16::try_from).transpose();
        let http_status = http_status.map_err(|why| corrupt("HTTP status of the last failure", why))?;
        let last_failure = match (self.failure.as_deref().map(FailureClass::parse), self.failed_at) {
            (Some(Some(class)), Some(at)) => Some(LastFailure {
                class,
                http_status,
                at: timestamp(at),
            }),
            (None, None) => None,
            _ => return Err(corrupt("last failure", "its class is unknown, or it has no time")),
        };
        Ok(EndpointFigures {
            attempts: count(self.attempts)?,
            delivered: count(self.delivered)?,
            latencies,
            last_failure,
            last_delivered_at: self.delivered_at.map(timestamp),
        })
    }
}

fn hours(rows: &[QueryResult]) -> Result<Vec<HourRow>, StoreError> {
    rows.iter()
        .map(|row| HourRow::from_query_result(row, "").or_store_error())
        .collect()
}

fn json(rows: &[impl Serialize]) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(|why| corrupt("figures", why))
}

/// Reads what is known, and writes it back with what is new. Whoever does so holds the lock of the figures.
async fn add_hours(
    transaction: &Transaction,
    dialect: Dialect,
    new: &[EndpointHour],
) -> Result<(), StoreError> {
    let mut all: BTreeMap<Key, (ApplicationId, EndpointFigures)> = BTreeMap::new();
    for hour in new {
        let key = (
            hour.tenant.as_uuid(),
            hour.endpoint.as_uuid(),
            hour.hour.as_micros(),
        );
        let known = all
            .entry(key)
            .or_insert_with(|| (hour.application, EndpointFigures::default()));
        known.1.merge(&hour.figures);
    }
    let keys: Vec<_> = all
        .iter()
        .map(|(key, of)| HourInBatch::of(key, of))
        .collect::<Result<_, _>>()?;
    let known = dialect.choose(KNOWN_ON_POSTGRES, KNOWN_ON_SQLITE);
    let known = dialect.exactly(known, [json(&keys)?.into()]);
    let known = transaction.query_all_raw(known).await.or_store_error()?;
    for row in hours(&known)? {
        if let Some((_, figures)) = all.get_mut(&row.key()) {
            figures.merge(&row.figures()?);
        }
    }
    let rows: Vec<_> = all
        .iter()
        .map(|(key, of)| HourInBatch::of(key, of))
        .collect::<Result<_, _>>()?;
    let write = dialect.choose(WRITE_ON_POSTGRES, WRITE_ON_SQLITE);
    let write = dialect.exactly(write, [json(&rows)?.into()]);
    transaction.execute_raw(write).await.or_store_error().map(drop)
}

async fn add_days(transaction: &Transaction, dialect: Dialect, new: &[TenantDay]) -> Result<(), StoreError> {
    let mut all: BTreeMap<(Uuid, i64), UsageFigures> = BTreeMap::new();
    for day in new {
        let key = (day.tenant.as_uuid(), day.day.as_micros());
        all.entry(key).or_default().merge(&day.figures);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|((tenant, day), figures)| DayInBatch {
            tenant: hex(tenant),
            day,
            accepted: figures.accepted,
            payload_bytes: figures.payload_bytes,
            attempts: figures.attempts,
            delivered: figures.delivered,
            failed: figures.failed,
        })
        .collect();
    let add = dialect.choose(ADD_ON_POSTGRES, ADD_ON_SQLITE);
    let add = dialect.exactly(add, [json(&rows)?.into()]);
    transaction.execute_raw(add).await.or_store_error().map(drop)
}

#[async_trait]
impl FigureStore for SqlStore {
    async fn add_figures(&self, endpoints: &[EndpointHour], tenants: &[TenantDay]) -> Result<(), StoreError> {
        if endpoints.is_empty() && tenants.is_empty() {
            return Ok(());
        }
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Engine).await?;
        // One node at a time: what is read must be what is written over.
        transaction.take_turn(advisory_lock::FIGURES).await?;
        for some in endpoints.chunks(AT_ONCE) {
            add_hours(&transaction, dialect, some).await?;
        }
        for some in tenants.chunks(AT_ONCE) {
            add_days(&transaction, dialect, some).await?;
        }
        transaction.commit().await
    }

    async fn forget_figures(&self, hours: Timestamp, days: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let dialect = self.database.dialect();
        let transaction = self.database.begin(Scope::Engine).await?;
        let mut gone = 0;
        for (table, key, when, before) in [
            ("endpoint_stats", "tenant, endpoint, hour", "hour", hours),
            ("tenant_usage", "tenant, day", "day", days),
        ] {
            let some = format!("{when} < $1 ORDER BY {when} LIMIT $2");
            let values = [before.as_micros().into(), i64::from(limit).into()];
            let remove = dialect.exactly(delete_some(dialect, table, key, &some), values);
            let removed = transaction.execute_raw(remove).await.or_store_error()?;
            gone += u32::try_from(removed.rows_affected()).unwrap_or(u32::MAX);
        }
        transaction.commit().await?;
        Ok(gone)
    }
}

impl FigureViews for SqlStore {
    async fn endpoint_figures(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        endpoint: EndpointId,
        since: Timestamp,
    ) -> Result<EndpointFigures, StoreError> {
        let tenant = scope.tenant();
        let values = [
            endpoint.as_uuid().into(),
            application.as_uuid().into(),
            since.as_micros().into(),
        ];
        let statement = self.database.dialect().of_tenant(tenant, OF_ENDPOINT, values)?;
        let reading = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = reading.query_all_raw(statement).await.or_store_error()?;
        let mut all = EndpointFigures::default();
        for row in hours(&rows)? {
            all.merge(&row.figures()?);
        }
        Ok(all)
    }

    async fn usage(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<TenantDay>, StoreError> {
        let tenant: TenantId = scope.tenant();
        let values = [from.as_micros().into(), to.as_micros().into()];
        let statement = self.database.dialect().of_tenant(tenant, USAGE, values)?;
        let reading = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = reading.query_all_raw(statement).await.or_store_error()?;
        let day = |row| {
            let row = DayRow::from_query_result(row, "").or_store_error()?;
            Ok(TenantDay {
                tenant,
                day: timestamp(row.day),
                figures: UsageFigures {
                    accepted: count(row.accepted)?,
                    payload_bytes: count(row.payload_bytes)?,
                    attempts: count(row.attempts)?,
                    delivered: count(row.delivered)?,
                    failed: count(row.failed)?,
                },
            })
        };
        rows.iter().map(day).collect()
    }
}
