//! How long a node has to end.

use anyhow::Context;
use serde_json::Value;

use super::super::ground::{list, text};
use super::of_kind;

/// What a node may need beyond its own deadline: to give its lease back, and to flush its telemetry.
const SPARE_S: u64 = 15;

/// A node must be able to end before it is killed, and proxies to notice before it stops listening.
pub(super) fn too_little_grace(resources: &[Value]) -> anyhow::Result<Vec<String>> {
    let Some(deployment) = of_kind(resources, "Deployment").next() else {
        return Ok(Vec::new());
    };
    let pod = &deployment["spec"]["template"]["spec"];
    let map = of_kind(resources, "ConfigMap").next().context("no ConfigMap")?;
    let configuration: toml::Table = text(&map["data"]["postrider.toml"])
        .parse()
        .context("postrider.toml")?;
    let seconds = |key: &str| {
        configuration
            .get("server")
            .and_then(|section| section.get(key))
            .and_then(toml::Value::as_integer)
            .and_then(|number| u64::try_from(number).ok())
            .with_context(|| format!("postrider.toml: no server.{key}"))
    };
    let mut findings = Vec::new();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let needed = seconds("shutdown_timeout_s")? + SPARE_S;
    if grace < needed {
        findings.push(format!("a node has {grace} s to end and may need {needed}"));
    }
    for container in list(&pod["containers"]) {
        let probe = &container["readinessProbe"];
        let noticed =
            probe["periodSeconds"].as_u64().unwrap_or(10) * probe["failureThreshold"].as_u64().unwrap_or(3);
        let waited = seconds("drain_grace_s")?;
        if waited <= noticed {
            findings.push(format!(
                "a node that ends goes on for {waited} s, and it takes {noticed} s to be noticed"
            ));
        }
    }
    Ok(findings)
}
