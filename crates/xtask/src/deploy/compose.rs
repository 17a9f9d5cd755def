//! docker-compose.yml, as Compose reads it: bounded, without rights or secrets, every name meaning something.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Map, Value};

use super::Options;
use super::ground::{Ground, LIMIT, list, text};
use super::table::Verdict;
use crate::process;

const FILE: &str = "docker-compose.yml";
const PROMETHEUS: &str = "deploy/prometheus/prometheus.yml";
const HAPROXY: &str = "deploy/haproxy/haproxy.cfg";
const COLLECTOR: &str = "deploy/otel/collector.yaml";
/// What the receiver must be given, and nobody can guess.
const SECRET: &str = "POSTRIDER_RECEIVE_SECRET";
/// Settings whose values are networks.
const OF_NETWORKS: [&str; 2] = [
    "POSTRIDER_SERVER__TRUSTED_PROXIES",
    "POSTRIDER_DELIVERY__ALLOWED_NETWORKS",
];
/// Services that cannot ask themselves, or whom there is nothing to ask; the file says why at each.
const UNASKED: [&str; 4] = ["migrate", "receiver", "otel-collector", "jaeger"];

/// `docker compose config`, which runs nothing, of all services: those of a profile too.
fn config(ground: &Ground, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = ground.packaged_program("compose", "docker-compose")?;
    command
        .args([
            "--file",
            FILE,
            "--env-file",
            "/dev/null",
            "--profile",
            "*",
            "config",
        ])
        .args(arguments)
        .env_remove("COMPOSE_FILE")
        .env_remove("COMPOSE_PROFILES")
        .env_remove(SECRET);
    Ok(command)
}

/// What Compose makes of the file.
fn resolved(ground: &Ground) -> anyhow::Result<Value> {
    let mut command = config(ground, &["--format", "json"])?;
    let said = process::capture(command.env(SECRET, "whsec_"), LIMIT)?;
    // A warning on standard error would stand before it, and is a finding too.
    serde_json::from_str(&said).with_context(|| format!("docker compose config: {}", process::tail(&said, 3)))
}

/// Compose reads it, without a warning.
pub(super) fn read(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let services = resolved(ground)?;
    let findings = match process::capture(&mut config(ground, &["--quiet"])?, LIMIT) {
        Err(refused) if format!("{refused:#}").contains(SECRET) => Vec::new(),
        Err(other) => vec![format!("without {SECRET}: {other:#}")],
        Ok(_) => vec![format!("it starts without {SECRET}")],
    };
    let count = services["services"].as_object().map_or(0, Map::len);
    Ok(Verdict::of(findings, format!("{count} services")))
}

/// What Compose does not mind, but we do.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let whole = resolved(ground)?;
    let services = whole["services"].as_object().context("no services")?;
    let mut findings = Vec::new();
    for (name, service) in services {
        findings.extend(
            faults(name, service)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    findings.extend(strangers(ground, &whole, services)?);
    Ok(Verdict::of(
        findings,
        format!(
            "{} services, {} networks",
            services.len(),
            members(&whole["networks"])
        ),
    ))
}

fn members(value: &Value) -> usize {
    value.as_object().map_or(0, Map::len)
}

fn faults(name: &str, service: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    let has = |field: &str, wanted: &str| list(&service[field]).iter().any(|one| one == wanted);
    let tag = text(&service["image"]).rsplit_once(':').map(|(_, tag)| tag);
    must(
        tag.is_some_and(|tag| tag.contains('.')),
        "its image is not of a certain version",
    );
    must(
        service["read_only"] == true,
        "its root file system can be written to",
    );
    must(has("cap_drop", "ALL"), "keeps capabilities");
    must(
        has("security_opt", "no-new-privileges:true"),
        "may gain privileges",
    );
    must(service["privileged"] != true, "is privileged");
    let limits = &service["deploy"]["resources"]["limits"];
    must(
        !limits["memory"].is_null() && !limits["cpus"].is_null(),
        "no limits of memory and CPU",
    );
    must(!service["logging"].is_null(), "its log is not bounded");
    let check = &service["healthcheck"];
    let asked = !check.is_null() && check["disable"] != true;
    must(
        asked != UNASKED.contains(&name),
        "no health check, or one where none was thought possible",
    );
    for port in list(&service["ports"]) {
        must(port["host_ip"] == "127.0.0.1", "is published beyond the loopback");
    }
    for (variable, value) in service["environment"].as_object().into_iter().flatten() {
        let secret = ["PASSWORD", "TOKEN", "MASTER_KEY", "DATABASE__URL"]
            .iter()
            .any(|word| variable.contains(word));
        let by_file = variable.ends_with("_FILE") || text(value).starts_with("/run/secrets/");
        must(
            !secret || by_file,
            &format!("{variable} stands in the environment"),
        );
    }
    for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
        // Whoever cannot be asked can only be started.
        let weak = condition["condition"] == "service_started";
        must(
            !weak || UNASKED.contains(&other.as_str()),
            &format!("does not wait until {other} is healthy"),
        );
    }
    findings
}

/// Addresses in other files that are no services here, and networks that services name and that are not there.
fn strangers(ground: &Ground, whole: &Value, services: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for (file, addresses) in [
        (PROMETHEUS, scraped(&ground.yaml_one(PROMETHEUS)?)),
        (HAPROXY, proxied(&ground.text(HAPROXY)?)),
        (COLLECTOR, exported(&ground.yaml_one(COLLECTOR)?)),
    ] {
        ensure!(!addresses.is_empty(), "{file} names no service");
        for address in addresses {
            let host = address.split(':').next().unwrap_or_default();
            if host != "localhost" && !services.contains_key(host) {
                findings.push(format!("{file}: {address} is no service"));
            }
        }
    }
    findings.extend(unknown_networks(whole, services)?);
    Ok(findings)
}

/// Whom Prometheus asks.
fn scraped(prometheus: &Value) -> Vec<String> {
    list(&prometheus["scrape_configs"])
        .iter()
        .flat_map(|job| list(&job["static_configs"]))
        .flat_map(|group| list(&group["targets"]))
        .map(|target| text(target).to_owned())
        .collect()
}

/// To whom the proxy sends.
fn proxied(haproxy: &str) -> Vec<String> {
    haproxy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server "))
        .map(|server| server.split_whitespace().nth(1).unwrap_or_default().to_owned())
        .collect()
}

/// To whom the collector sends.
fn exported(collector: &Value) -> Vec<String> {
    let exporters = collector["exporters"]
        .as_object()
        .into_iter()
        .flat_map(Map::values);
    exporters
        .filter_map(|exporter| exporter["endpoint"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Networks that the settings of services name must be the ones that the services are in.
fn unknown_networks(whole: &Value, services: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
    let subnets: BTreeSet<String> = whole["networks"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .flat_map(|network| list(&network["ipam"]["config"]))
        .map(|config| text(&config["subnet"]).to_owned())
        .collect();
    let mut findings = Vec::new();
    for variable in OF_NETWORKS {
        let set: Vec<(&String, &str)> = services
            .iter()
            .filter_map(|(name, service)| Some((name, service["environment"][variable].as_str()?)))
            .collect();
        ensure!(!set.is_empty(), "no service sets {variable}");
        for (name, value) in set {
            let networks: Vec<String> = serde_json::from_str(value).with_context(|| variable.to_owned())?;
            for network in networks.iter().filter(|network| !subnets.contains(*network)) {
                findings.push(format!(
                    "{name}: {variable} names {network}, which is no network here"
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "image": "a/b:1.2.3", "read_only": true, "cap_drop": ["ALL"], "logging": {},
            "security_opt": ["no-new-privileges:true"], "healthcheck": { "test": ["CMD", "a"] },
            "deploy": { "resources": { "limits": { "memory": "1", "cpus": 1 } } },
            "ports": [{ "host_ip": "127.0.0.1" }], "environment": { "A_PASSWORD_FILE": "/run/secrets/a" },
            "depends_on": { "b": { "condition": "service_healthy" } },
        })
    }

    #[test]
    fn a_bounded_service_is_clean() {
        assert_eq!(faults("a", &good()), Vec::<String>::new());
    }

    #[test]
    fn addresses_are_read_out_of_other_files() {
        let prometheus = json!({ "scrape_configs": [{ "static_configs": [{ "targets": ["a:1", "b:2"] }] }] });
        assert_eq!(scraped(&prometheus), ["a:1", "b:2"]);
        assert_eq!(proxied("backend x\n    server n1 a:1 check\n"), ["a:1"]);
        assert_eq!(
            exported(&json!({ "exporters": { "otlp": { "endpoint": "j:4317" } } })),
            ["j:4317"]
        );
    }

    #[test]
    fn networks_that_settings_name_are_there() {
        let whole = json!({ "networks": { "n": { "ipam": { "config": [{ "subnet": "10.0.1.0/24" }] } } } });
        let found = |proxies: &str| {
            let service = json!({ "environment": { (OF_NETWORKS[0]): proxies, (OF_NETWORKS[1]): "[]" } });
            unknown_networks(&whole, &Map::from_iter([("a".to_owned(), service)]))
        };
        assert_eq!(found("[\"10.0.1.0/24\"]").unwrap(), Vec::<String>::new());
        assert!(found("[\"10.0.2.0/24\"]").unwrap()[0].contains("no network here"));
        assert!(
            unknown_networks(&whole, &Map::new()).is_err(),
            "nothing looked at is no pass"
        );
    }

    #[test]
    fn each_missing_bound_is_found() {
        for (field, value, what) in [
            ("image", json!("a/b:latest"), "certain version"),
            ("read_only", json!(false), "written to"),
            ("cap_drop", json!([]), "capabilities"),
            ("security_opt", json!([]), "gain privileges"),
            ("deploy", json!({}), "no limits"),
            ("healthcheck", json!({ "disable": true }), "no health check"),
            ("ports", json!([{ "published": "80" }]), "beyond the loopback"),
            ("environment", json!({ "DB_PASSWORD": "x" }), "DB_PASSWORD"),
            (
                "depends_on",
                json!({ "b": { "condition": "service_started" } }),
                "until b is healthy",
            ),
        ] {
            let mut service = good();
            service[field] = value;
            let found = faults("a", &service);
            assert!(found.len() == 1 && found[0].contains(what), "{field}: {found:?}");
        }
    }
}
