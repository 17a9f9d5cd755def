//! The Kubernetes manifests, rendered: against Kubernetes' schemas, and against what they promise each other.

mod ends;
mod names;
mod pods;

use anyhow::ensure;
use serde_json::Value;

use super::Options;
use super::ground::{Ground, LIMIT, text};
use super::render::{self, name};
use super::table::Verdict;
use crate::process;

/// Resources of other people's definitions, which no schema of Kubernetes knows.
const FOREIGN: &str = "monitoring.coreos.com/";

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
                for fault in pods::faults(pod) {
                    note(format!("{}: {fault}", name(resource)));
                }
            }
        }
        for fault in names::strangers(&resources) {
            note(fault);
        }
        for fault in ends::too_little_grace(&resources)? {
            note(fault);
        }
    }
    ensure!(workloads > 0, "the kustomizations have no workloads");
    Ok(Verdict::of(findings, format!("{workloads} workloads")))
}

/// The pods that a workload makes.
fn pod(resource: &Value) -> Option<&Value> {
    Some(&resource["spec"]["template"]["spec"]).filter(|pod| pod.is_object())
}

fn of_kind<'a>(resources: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    resources.iter().filter(move |resource| resource["kind"] == kind)
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
        let mut found = names::strangers(&resources);
        found.extend(pod(&resources[0]).map(pods::faults).unwrap_or_default());
        found.extend(ends::too_little_grace(&resources).unwrap());
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
        let first = |all: &mut Vec<Value>| spec(all, "initContainers", json!([{ "image": "a" }]));
        assert!(
            found(first)
                .iter()
                .any(|fault| fault.contains("keeps capabilities"))
        );
        assert!(found(|all| spec(all, "containers", json!([]))).contains(&"runs nothing".to_owned()));
        assert!(found(|all| all[0]["spec"]["replicas"] = json!(2))[0].contains("of its own"));
        let name = |all: &mut Vec<Value>| all[1]["metadata"]["name"] = json!("other");
        assert!(found(name)[0].contains("no ConfigMap m"));
    }
}
