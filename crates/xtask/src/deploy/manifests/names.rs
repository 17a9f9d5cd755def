//! What resources select and name of each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::ground::{list, text};
use super::super::render::name;
use super::{of_kind, pod};

/// Selectors that select nothing, and names of what is not there.
pub(super) fn strangers(resources: &[Value]) -> Vec<String> {
    let known = Known::of(resources);
    let named = resources.iter().flat_map(|resource| {
        let faults = known.faults(resource, resources).into_iter();
        faults.map(move |what| format!("{}: {what}", name(resource)))
    });
    named.chain(missing_mounts(resources)).collect()
}

/// What may be selected and named.
struct Known<'r> {
    /// The labels of pods.
    pods: Vec<&'r Value>,
    /// The names of their ports.
    ports: BTreeSet<&'r str>,
    /// The labels of Services.
    services: Vec<&'r Value>,
    /// The names of their ports.
    service_ports: BTreeSet<&'r str>,
}

impl<'r> Known<'r> {
    fn of(resources: &'r [Value]) -> Self {
        let templates = || {
            let templates = resources.iter().map(|one| &one["spec"]["template"]);
            templates.filter(|one| one.is_object())
        };
        let services = || of_kind(resources, "Service");
        Self {
            pods: templates()
                .map(|template| &template["metadata"]["labels"])
                .collect(),
            ports: templates()
                .flat_map(|template| list(&template["spec"]["containers"]))
                .flat_map(|container| list(&container["ports"]))
                .map(|port| text(&port["name"]))
                .collect(),
            services: services().map(|one| &one["metadata"]["labels"]).collect(),
            service_ports: services()
                .flat_map(|service| list(&service["spec"]["ports"]))
                .map(|port| text(&port["name"]))
                .collect(),
        }
    }

    /// What `resource` selects or names, and what is not there.
    fn faults(&self, resource: &Value, resources: &[Value]) -> Vec<String> {
        let spec = &resource["spec"];
        match text(&resource["kind"]) {
            "Service" => {
                let targets = list(&spec["ports"]).iter().map(|port| &port["targetPort"]);
                self.on_pods(&spec["selector"], targets)
            }
            "Deployment" | "PodDisruptionBudget" => {
                self.on_pods(&spec["selector"]["matchLabels"], std::iter::empty())
            }
            "NetworkPolicy" => {
                let ports = list(&spec["ingress"])
                    .iter()
                    .flat_map(|rule| list(&rule["ports"]));
                self.on_pods(
                    &spec["podSelector"]["matchLabels"],
                    ports.map(|port| &port["port"]),
                )
            }
            "ServiceMonitor" => self.on_services(spec),
            "HorizontalPodAutoscaler" => scaled(spec, resources),
            _ => Vec::new(),
        }
    }

    fn on_pods<'p>(&self, selector: &Value, ports: impl Iterator<Item = &'p Value>) -> Vec<String> {
        let nobody = (!selects(selector, &self.pods)).then(|| "selects no pod".to_owned());
        let absent = ports.map(text).filter(|port| !self.ports.contains(port));
        let absent = absent.map(|port| format!("no pod has a port {port}"));
        nobody.into_iter().chain(absent).collect()
    }

    fn on_services(&self, spec: &Value) -> Vec<String> {
        let selected = selects(&spec["selector"]["matchLabels"], &self.services);
        let nobody = (!selected).then(|| "selects no Service".to_owned());
        let ports = list(&spec["endpoints"])
            .iter()
            .map(|endpoint| text(&endpoint["port"]));
        let absent = ports.filter(|port| !self.service_ports.contains(port));
        let absent = absent.map(|port| format!("no Service has a port {port}"));
        nobody.into_iter().chain(absent).collect()
    }
}

/// What an autoscaler scales must be there, and leave its number to it.
fn scaled(spec: &Value, resources: &[Value]) -> Vec<String> {
    let target = text(&spec["scaleTargetRef"]["name"]);
    let found = of_kind(resources, "Deployment").find(|one| one["metadata"]["name"] == target);
    match found {
        None => vec![format!("there is no Deployment {target}")],
        // Applying it would set their number back.
        Some(deployment) if !deployment["spec"]["replicas"].is_null() => {
            vec![format!("Deployment {target} has a number of replicas of its own")]
        }
        Some(_) => Vec::new(),
    }
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
