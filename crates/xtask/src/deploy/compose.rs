//! docker-compose.yml, as Compose reads it: bounded, without rights or secrets, every name meaning something.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Map, Value};

use super::Options;
use super::ground::{Ground, LIMIT, list, text};
use super::table::Verdict;
use crate::process;

const FILE: &str = "docker-compose.yml";
/// Services that cannot ask themselves, or whom there is nothing to ask; the file says why at each.
const UNASKED: [&str; 4] = ["migrate", "receiver", "otel-collector", "jaeger"];

/// What Compose makes of the file. It does not run anything.
fn resolved(ground: &Ground) -> anyhow::Result<Value> {
    let mut command = ground.packaged_program("compose", "docker-compose")?;
    command
        .args([
            "--file",
            FILE,
            "--env-file",
            "/dev/null",
            "config",
            "--format",
            "json",
        ])
        .env("POSTRIDER_RECEIVE_SECRET", "whsec_")
        .env_remove("COMPOSE_FILE")
        .env_remove("COMPOSE_PROFILES");
    let said = process::capture(&mut command, LIMIT)?;
    // A warning on standard error would stand before it, and is a finding too.
    serde_json::from_str(&said).with_context(|| format!("docker compose config: {}", process::tail(&said, 3)))
}

/// Compose reads it, without a warning.
pub(super) fn read(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let services = resolved(ground)?;
    let mut refused = ground.packaged_program("compose", "docker-compose")?;
    refused
        .args(["--file", FILE, "--env-file", "/dev/null", "config", "--quiet"])
        .env_remove("POSTRIDER_RECEIVE_SECRET");
    let findings = if process::capture(&mut refused, LIMIT).is_ok() {
        vec!["it starts without POSTRIDER_RECEIVE_SECRET".to_owned()]
    } else {
        Vec::new()
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

/// Names in other files that must be services here, and networks that must be the ones told of.
fn strangers(ground: &Ground, whole: &Value, services: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
    let mut named: Vec<(String, String)> = Vec::new();
    let prometheus = ground.yaml_one("deploy/prometheus/prometheus.yml")?;
    for job in list(&prometheus["scrape_configs"]) {
        for target in list(&job["static_configs"])
            .iter()
            .flat_map(|group| list(&group["targets"]))
        {
            named.push((
                "deploy/prometheus/prometheus.yml".to_owned(),
                text(target).to_owned(),
            ));
        }
    }
    for line in ground.text("deploy/haproxy/haproxy.cfg")?.lines() {
        if let Some(server) = line.trim().strip_prefix("server ") {
            let address = server.split_whitespace().nth(1).unwrap_or_default();
            named.push(("deploy/haproxy/haproxy.cfg".to_owned(), address.to_owned()));
        }
    }
    let collector = ground.yaml_one("deploy/otel/collector.yaml")?;
    for exporter in collector["exporters"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
    {
        if let Some(endpoint) = exporter["endpoint"].as_str() {
            named.push(("deploy/otel/collector.yaml".to_owned(), endpoint.to_owned()));
        }
    }
    let mut findings: Vec<String> = named
        .iter()
        .filter(|(_, address)| {
            let host = address.split(':').next().unwrap_or_default();
            host != "localhost" && !services.contains_key(host)
        })
        .map(|(file, address)| format!("{file}: {address} is no service"))
        .collect();

    let subnets: BTreeSet<String> = whole["networks"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .flat_map(|network| list(&network["ipam"]["config"]))
        .map(|config| text(&config["subnet"]).to_owned())
        .collect();
    for (name, service) in services {
        for variable in [
            "POSTRIDER_SERVER__TRUSTED_PROXIES",
            "POSTRIDER_DELIVERY__ALLOWED_NETWORKS",
        ] {
            let Some(value) = service["environment"][variable].as_str() else {
                continue;
            };
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
