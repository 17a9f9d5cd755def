//! The Kubernetes manifests, rendered: against Kubernetes' schemas, and against what they promise each other.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::Value;

use super::Options;
use super::ground::{Ground, LIMIT, list, text};
use super::render::{self, name};
use super::table::Verdict;
use crate::process;

/// Resources of other people's definitions, which no schema of Kubernetes knows.
const FOREIGN: &str = "monitoring.coreos.com/";
/// What a node may need beyond its own deadline: to give its lease back, and to flush its telemetry.
const SPARE_S: u64 = 15;

/// Strictly, by the schemas of Kubernetes.
pub(super) fn validate(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let mut files = Vec::new();
    let mut count = 0;
    for (folder, resources) in render::all(ground)? {
        let known = resources
            .iter()
            .filter(|resource| !text(&resource["apiVersion"]).starts_with(FOREIGN));
        for (number, resource) in known.enumerate() {
            let file = ground
                .folder()
                .join(format!("{}-{number}.yaml", folder.replace('/', "-")));
            // JSON is YAML too.
            std::fs::write(&file, resource.to_string())?;
            files.push(file);
            count += 1;
        }
    }
    let mut command = ground.python_program("kubernetes-validate");
    command.args(["--strict", "--quiet"]).args(&files);
    let said = process::capture(&mut command, LIMIT)?;
    // What it does not know it only warns of.
    let findings = said
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .map(str::to_owned)
        .collect();
    Ok(Verdict::of(
        findings,
        format!("{count} resources, against Kubernetes 1.37"),
    ))
}

/// What no schema knows: rights, and names that must mean something.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let mut findings = Vec::new();
    let mut workloads = 0;
    for (folder, resources) in render::all(ground)? {
        let mut note = |found: String| findings.push(format!("{folder}: {found}"));
        for resource in &resources {
            if let Some(pod) = pod(resource) {
                workloads += 1;
                for fault in pod_faults(pod) {
                    note(format!("{}: {fault}", name(resource)));
                }
            }
        }
        for fault in strangers(&resources) {
            note(fault);
        }
        for fault in too_little_grace(&resources)? {
            note(fault);
        }
    }
    Ok(Verdict::of(findings, format!("{workloads} workloads")))
}

/// The pods that a workload makes.
fn pod(resource: &Value) -> Option<&Value> {
    Some(&resource["spec"]["template"]["spec"]).filter(|pod| pod.is_object())
}

/// Where a pod falls short of the restricted standard, and of what Postrider needs besides.
fn pod_faults(pod: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    must(
        pod["automountServiceAccountToken"] == false,
        "has a token of Kubernetes",
    );
    // POSTRIDER_SERVICE_HOST and its like would be unknown keys of the configuration.
    must(pod["enableServiceLinks"] == false, "gets variables of Services");
    must(pod["securityContext"]["runAsNonRoot"] == true, "may be root");
    must(
        pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        "may make any system call",
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        must(pod[field] != true, &format!("has {field}"));
    }
    for container in list(&pod["containers"]) {
        let security = &container["securityContext"];
        must(
            security["allowPrivilegeEscalation"] == false,
            "may gain privileges",
        );
        must(security["privileged"] != true, "is privileged");
        must(
            security["readOnlyRootFilesystem"] == true,
            "its root file system can be written to",
        );
        must(
            list(&security["capabilities"]["drop"])
                .iter()
                .any(|one| one == "ALL"),
            "keeps capabilities",
        );
        let resources = &container["resources"];
        must(
            ["cpu", "memory"]
                .iter()
                .all(|kind| !resources["requests"][*kind].is_null()),
            "asks for no CPU and memory",
        );
        must(!resources["limits"]["memory"].is_null(), "has no limit of memory");
        must(
            resources["limits"]["cpu"].is_null(),
            "has a limit of CPU, which stops the beat of the lease",
        );
        let tag = text(&container["image"]).rsplit_once(':').map(|(_, tag)| tag);
        must(
            tag.is_some_and(|tag| tag.contains('.')),
            "its image is not of a certain version",
        );
    }
    findings
}

/// Selectors that select nothing, and names of what is not there.
fn strangers(resources: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let templates: Vec<&Value> = resources
        .iter()
        .map(|one| &one["spec"]["template"])
        .filter(|one| one.is_object())
        .collect();
    let pods: Vec<&Value> = templates
        .iter()
        .map(|template| &template["metadata"]["labels"])
        .collect();
    let services: Vec<&Value> = of_kind(resources, "Service")
        .map(|one| &one["metadata"]["labels"])
        .collect();
    let ports: BTreeSet<&str> = templates
        .iter()
        .flat_map(|template| list(&template["spec"]["containers"]))
        .flat_map(|container| list(&container["ports"]))
        .map(|port| text(&port["name"]))
        .collect();
    let service_ports: BTreeSet<&str> = of_kind(resources, "Service")
        .flat_map(|service| list(&service["spec"]["ports"]))
        .map(|port| text(&port["name"]))
        .collect();
    for resource in resources {
        let spec = &resource["spec"];
        let mut expect = |holds: bool, what: String| {
            if !holds {
                findings.push(format!("{}: {what}", name(resource)));
            }
        };
        match text(&resource["kind"]) {
            "Service" => {
                expect(selects(&spec["selector"], &pods), "selects no pod".to_owned());
                for port in list(&spec["ports"]) {
                    let target = text(&port["targetPort"]);
                    expect(ports.contains(target), format!("no pod has a port {target}"));
                }
            }
            "Deployment" | "PodDisruptionBudget" => {
                expect(
                    selects(&spec["selector"]["matchLabels"], &pods),
                    "selects no pod".to_owned(),
                );
            }
            "NetworkPolicy" => {
                expect(
                    selects(&spec["podSelector"]["matchLabels"], &pods),
                    "selects no pod".to_owned(),
                );
                for port in list(&spec["ingress"])
                    .iter()
                    .flat_map(|rule| list(&rule["ports"]))
                {
                    let target = text(&port["port"]);
                    expect(ports.contains(target), format!("no pod has a port {target}"));
                }
            }
            "ServiceMonitor" => {
                expect(
                    selects(&spec["selector"]["matchLabels"], &services),
                    "selects no Service".to_owned(),
                );
                for endpoint in list(&spec["endpoints"]) {
                    let port = text(&endpoint["port"]);
                    expect(
                        service_ports.contains(port),
                        format!("no Service has a port {port}"),
                    );
                }
            }
            "HorizontalPodAutoscaler" => {
                let target = text(&spec["scaleTargetRef"]["name"]);
                let scaled = of_kind(resources, "Deployment").find(|one| one["metadata"]["name"] == target);
                expect(scaled.is_some(), format!("there is no Deployment {target}"));
                // Applying it would set their number back.
                let free = scaled.is_none_or(|one| one["spec"]["replicas"].is_null());
                expect(
                    free,
                    format!("Deployment {target} has a number of replicas of its own"),
                );
            }
            _ => {}
        }
    }
    findings.extend(missing_mounts(resources));
    findings
}

fn of_kind<'a>(resources: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    resources.iter().filter(move |resource| resource["kind"] == kind)
}

fn selects(selector: &Value, labels: &[&Value]) -> bool {
    selector.as_object().is_some_and(|wanted| {
        !wanted.is_empty()
            && labels
                .iter()
                .any(|labels| wanted.iter().all(|(key, value)| &labels[key.as_str()] == value))
    })
}

/// Volumes and ports that a pod uses and does not have, and `ConfigMap`s that nobody made.
fn missing_mounts(resources: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let maps: BTreeSet<&str> = of_kind(resources, "ConfigMap")
        .map(|one| text(&one["metadata"]["name"]))
        .collect();
    for resource in resources {
        let Some(pod) = pod(resource) else { continue };
        let volumes: BTreeSet<&str> = list(&pod["volumes"])
            .iter()
            .map(|volume| text(&volume["name"]))
            .collect();
        for container in list(&pod["containers"]) {
            for mount in list(&container["volumeMounts"]) {
                if !volumes.contains(text(&mount["name"])) {
                    findings.push(format!("{}: no volume {}", name(resource), mount["name"]));
                }
            }
            let ports: BTreeSet<&str> = list(&container["ports"])
                .iter()
                .map(|port| text(&port["name"]))
                .collect();
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let asked = &container[probe]["httpGet"];
                if asked.is_object() && !ports.contains(text(&asked["port"])) {
                    findings.push(format!(
                        "{}: {probe} asks a port that is not there",
                        name(resource)
                    ));
                }
            }
        }
        for volume in list(&pod["volumes"]) {
            if let Some(map) = volume["configMap"]["name"].as_str()
                && !maps.contains(map)
            {
                findings.push(format!("{}: no ConfigMap {map}", name(resource)));
            }
        }
    }
    findings
}

/// A node must be able to end before it is killed, and proxies to notice before it stops listening.
fn too_little_grace(resources: &[Value]) -> anyhow::Result<Vec<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "kind": "Deployment", "metadata": { "name": "a" },
            "spec": {
                "selector": { "matchLabels": { "app": "a" } },
                "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
                    "automountServiceAccountToken": false, "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                    "volumes": [{ "name": "config", "configMap": { "name": "m" } }],
                    "containers": [{
                        "image": "a:1.0", "ports": [{ "name": "api" }],
                        "readinessProbe": { "httpGet": { "port": "api" }, "periodSeconds": 3, "failureThreshold": 2 },
                        "volumeMounts": [{ "name": "config" }],
                        "resources": { "requests": { "cpu": 1, "memory": 1 }, "limits": { "memory": 1 } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                } },
            },
        })
    }

    fn rest() -> Vec<Value> {
        let toml = "[server]\nshutdown_timeout_s = 45\ndrain_grace_s = 7\n";
        vec![
            json!({ "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "postrider.toml": toml } }),
            json!({ "kind": "Service", "metadata": { "name": "s", "labels": { "for": "metrics" } },
                "spec": { "selector": { "app": "a" }, "ports": [{ "name": "api", "targetPort": "api" }] } }),
            json!({ "kind": "ServiceMonitor", "metadata": { "name": "w" },
                "spec": { "selector": { "matchLabels": { "for": "metrics" } }, "endpoints": [{ "port": "api" }] } }),
            json!({ "kind": "HorizontalPodAutoscaler", "metadata": { "name": "h" },
                "spec": { "scaleTargetRef": { "name": "a" } } }),
        ]
    }

    fn found(change: impl FnOnce(&mut Vec<Value>)) -> Vec<String> {
        let mut resources = rest();
        resources.insert(0, deployment());
        change(&mut resources);
        let mut found = strangers(&resources);
        found.extend(pod(&resources[0]).map(pod_faults).unwrap_or_default());
        found.extend(too_little_grace(&resources).unwrap());
        found
    }

    #[test]
    fn what_fits_together_is_clean() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_is_found() {
        let spec = |all: &mut Vec<Value>, field: &str, value: Value| {
            all[0]["spec"]["template"]["spec"][field] = value;
        };
        let container = |all: &mut Vec<Value>, field: &str, value: Value| {
            all[0]["spec"]["template"]["spec"]["containers"][0][field] = value;
        };
        assert!(
            found(|all| spec(all, "enableServiceLinks", json!(true)))[0].contains("variables of Services")
        );
        assert!(
            found(|all| spec(all, "terminationGracePeriodSeconds", json!(59)))[0].contains("may need 60")
        );
        let slow = json!({ "httpGet": { "port": "api" }, "periodSeconds": 4, "failureThreshold": 2 });
        assert!(found(|all| container(all, "readinessProbe", slow))[0].contains("8 s to be noticed"));
        assert!(found(|all| spec(all, "volumes", json!([])))[0].contains("no volume"));
        assert!(found(|all| container(all, "image", json!("a:latest")))[0].contains("certain version"));
        assert!(found(|all| container(all, "securityContext", json!({}))).len() >= 3);
        assert!(
            found(|all| container(
                all,
                "readinessProbe",
                json!({ "httpGet": { "port": "x" }, "periodSeconds": 2 })
            ))[0]
                .contains("not there")
        );
        assert!(
            found(|all| all[2]["spec"]["selector"] = json!({ "app": "b" }))[0].contains("selects no pod")
        );
        assert!(
            found(|all| all[2]["spec"]["ports"][0]["name"] = json!("b"))[0]
                .contains("no Service has a port api")
        );
        assert!(found(|all| all[0]["spec"]["replicas"] = json!(2))[0].contains("of its own"));
        let name = |all: &mut Vec<Value>| all[1]["metadata"]["name"] = json!("other");
        assert!(found(name)[0].contains("no ConfigMap m"));
    }
}
