use std::{net::IpAddr, time::Duration};

use http::Uri;
use postrider_engine::HttpSender;
use postrider_persistence::DatabaseOptions;
use tokio::{net::TcpStream, time::timeout};

use super::report::Report;
use crate::{configuration::Configuration, options, telemetry};

/// How long a name or a connection may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Looks whether names are found, and whether telemetry arrives.
pub(super) async fn examine(configuration: &Configuration, name: &str, report: &mut Report) {
    if let DatabaseOptions::Postgres(postgres) = options::database(&configuration.database)
        && let Some((host, port)) = postgres.host()
    {
        of_system(&host, port, "database.url", report).await;
    }
    of_receivers(name, report).await;
    for (signal, endpoint) in telemetry::otlp_endpoints() {
        otlp(signal, &endpoint, report).await;
    }
}

/// As the database's driver and the exporters look names up.
async fn of_system(host: &str, port: u16, what: &str, report: &mut Report) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let found = timeout(LIMIT, tokio::net::lookup_host((host, port))).await;
    let found = found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()));
    if found {
        report.ok("dns", format!("{host} ({what}) is found"));
    } else {
        report.failed(
            "dns",
            format!("{host} ({what}) is not found"),
            "see to the name, /etc/resolv.conf and the name server",
        );
    }
    found
}

/// As deliveries look names up.
async fn of_receivers(name: &str, report: &mut Report) {
    let advice = "deliveries to names fail as long as this machine finds none: see to /etc/resolv.conf and the way to \
                  its name servers; or look for a name that is known here (--resolve)";
    match timeout(LIMIT, HttpSender::look_up(name)).await {
        Ok(Ok(found)) if found.is_empty() => {
            report.warning(
                "dns",
                format!("{name} is not found, as deliveries look names up"),
                advice,
            );
        }
        Ok(Ok(found)) => report.ok(
            "dns",
            format!(
                "{name} has {} addresses, as deliveries look names up",
                found.len()
            ),
        ),
        Ok(Err(error)) => report.failed("dns", super::super::start::causes(&error), advice),
        Err(_) => report.warning("dns", format!("{name}: no answer within {LIMIT:?}"), advice),
    }
}

async fn otlp(signal: &str, endpoint: &str, report: &mut Report) {
    let Some((host, port)) = target(endpoint) else {
        report.failed(
            "otlp",
            format!("the endpoint of {signal} is not an http:// or https:// URL"),
            "correct OTEL_EXPORTER_OTLP_ENDPOINT",
        );
        return;
    };
    if !of_system(&host, port, "OTEL_EXPORTER_OTLP_ENDPOINT", report).await {
        return;
    }
    match timeout(LIMIT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => report.ok("otlp", format!("{signal}: {host}:{port} takes connections")),
        Ok(Err(error)) => report.warning("otlp", format!("{signal}: {host}:{port}: {error}"), OTLP_ADVICE),
        Err(_) => report.warning(
            "otlp",
            format!("{signal}: {host}:{port}: no connection within {LIMIT:?}"),
            OTLP_ADVICE,
        ),
    }
}

const OTLP_ADVICE: &str = "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT; until then telemetry is lost \
                           and deliveries go on";

/// Host and port; what else is in the URL may be a secret.
fn target(endpoint: &str) -> Option<(String, u16)> {
    let uri: Uri = endpoint.parse().ok()?;
    let port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16().unwrap_or(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_endpoint_only_host_and_port_are_shown() {
        assert_eq!(
            target("http://user:s3cret@collector:4318/v1?key=s3cret"),
            Some(("collector".to_owned(), 4318))
        );
        assert_eq!(target("https://collector"), Some(("collector".to_owned(), 443)));
        assert_eq!(target("http://[::1]:4317"), Some(("::1".to_owned(), 4317)));
        assert_eq!(target("collector:4318"), None);
    }

    #[tokio::test]
    async fn a_collector_that_is_away_is_no_reason_not_to_serve() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut report = Report::default();
        otlp("traces", &endpoint, &mut report).await;
        assert_eq!(report.json()["status"], "ok");
        drop(listener);
        otlp("traces", &endpoint, &mut report).await;
        assert_eq!(report.json()["status"], "warning");
    }
}
