//! Figures of endpoints and tenants.

use std::time::Duration;

use postrider_application::{
    Error,
    endpoints::{self, GetEndpointStats, StatsPeriod},
    ports::TenantDay,
    tenants::{self, GetUsage},
};
use postrider_domain::{InvalidValue, Rule, figures};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Checks, path::EndpointPath, time};
use crate::extract::{StatsQuery, UsageQuery};

/// The query, if all of it is well.
pub(crate) fn stats_query(query: &StatsQuery, path: &EndpointPath) -> Result<GetEndpointStats, Error> {
    let mut checks = Checks::default();
    let (application, endpoint) = path.parts(&mut checks);
    let period = checks.optional("period", query.period.as_deref(), |text| {
        StatsPeriod::parse(text)
            .ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be `1h`, `24h` or `7d`"))
    });
    let (application, endpoint, period) = checks.all((application, endpoint, period))?;
    Ok(GetEndpointStats {
        application,
        endpoint,
        period: period.unwrap_or_default(),
    })
}

/// The query, if all of it is well.
pub(crate) fn usage_query(query: &UsageQuery) -> Result<GetUsage, Error> {
    let mut checks = Checks::default();
    let from = checks.optional("from", query.from.as_deref(), time::parse_date);
    let to = checks.optional("to", query.to.as_deref(), time::parse_date);
    let (from, to) = checks.all((from, to))?;
    Ok(GetUsage { from, to })
}

/// How an endpoint's attempts went.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointStats {
    /// What was asked for.
    #[schema(examples("24h"))]
    period: &'static str,
    /// From when on it is: the beginning of the hour in which the period begins.
    #[schema(format = "date-time", examples("2026-11-21T18:00:00.000000Z"))]
    since: String,
    /// Attempts made.
    #[schema(examples(1_200))]
    attempts: u64,
    /// Those of them that the receiver took.
    #[schema(examples(1_188))]
    delivered: u64,
    /// Those of them that failed.
    #[schema(examples(12))]
    failed: u64,
    /// How many of the attempts the receiver took, from 0 to 1; null without attempts.
    #[schema(required, examples(0.99))]
    success_rate: Option<f64>,
    /// How long attempts took; null without attempts.
    #[schema(required)]
    latency_ms: Option<LatencyStats>,
    /// The last attempt that failed.
    #[schema(required)]
    last_error: Option<LastError>,
    /// When the last attempt began that the receiver took.
    #[schema(required, format = "date-time")]
    last_success_at: Option<String>,
}

/// How long attempts took, in milliseconds, to an eighth.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatencyStats {
    /// Half of them took no longer.
    #[schema(examples(38.9))]
    p50: f64,
    /// 99 of 100 took no longer.
    #[schema(examples(212.9))]
    p99: f64,
}

/// An attempt that failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct LastError {
    /// Where it failed: `policy`, `dns`, `connect`, `tls`, `timeout`, `status`, `body` or `internal`.
    #[schema(examples("status"))]
    class: &'static str,
    /// The receiver's HTTP status, if it answered.
    #[schema(required, examples(503))]
    http_status: Option<u16>,
    /// When it began.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    at: String,
}

impl From<endpoints::EndpointStats> for EndpointStats {
    fn from(stats: endpoints::EndpointStats) -> Self {
        let figures = stats.figures;
        let percentile = |percent| figures.latencies.percentile(percent);
        let millis = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        let latency_ms = percentile(50).zip(percentile(99)).map(|(p50, p99)| LatencyStats {
            p50: millis(p50),
            p99: millis(p99),
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown to a few digits; nobody makes 2^52 attempts a week"
        )]
        let rate = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        Self {
            period: stats.period.as_str(),
            since: time::show(stats.since),
            attempts: figures.attempts,
            delivered: figures.delivered,
            failed: figures.attempts.saturating_sub(figures.delivered),
            success_rate: rate(figures.delivered, figures.attempts),
            latency_ms,
            last_error: figures.last_failure.map(LastError::from),
            last_success_at: figures.last_delivered_at.map(time::show),
        }
    }
}

impl From<figures::LastFailure> for LastError {
    fn from(failure: figures::LastFailure) -> Self {
        Self {
            class: failure.class.as_str(),
            http_status: failure.http_status,
            at: time::show(failure.at),
        }
    }
}

/// What a tenant used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    /// The first day.
    #[schema(format = "date", examples("2026-10-23"))]
    from: String,
    /// The last day.
    #[schema(format = "date", examples("2026-11-22"))]
    to: String,
    /// The days on which something happened, in their order.
    data: Vec<UsageDay>,
}

/// What a tenant used on a day.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageDay {
    /// The day, in UTC.
    #[schema(format = "date", examples("2026-11-22"))]
    date: String,
    /// Messages accepted.
    #[schema(examples(5_000))]
    messages_accepted: u64,
    /// The bytes of their payloads.
    #[schema(examples(1_310_720))]
    payload_bytes: u64,
    /// Attempts made.
    #[schema(examples(5_120))]
    attempts: u64,
    /// Deliveries that came to their receiver.
    #[schema(examples(4_990))]
    deliveries_succeeded: u64,
    /// Deliveries that were given up.
    #[schema(examples(10))]
    deliveries_failed: u64,
}

impl From<tenants::Usage> for Usage {
    fn from(usage: tenants::Usage) -> Self {
        Self {
            from: time::show_date(usage.from),
            to: time::show_date(usage.to),
            data: usage.days.into_iter().map(UsageDay::from).collect(),
        }
    }
}

impl From<TenantDay> for UsageDay {
    fn from(day: TenantDay) -> Self {
        Self {
            date: time::show_date(day.day),
            messages_accepted: day.figures.accepted,
            payload_bytes: day.figures.payload_bytes,
            attempts: day.figures.attempts,
            deliveries_succeeded: day.figures.delivered,
            deliveries_failed: day.figures.failed,
        }
    }
}
