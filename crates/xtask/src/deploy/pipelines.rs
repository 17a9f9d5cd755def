//! Configurations of the OpenTelemetry Collector, and of Jaeger, which is built on it: no pipeline names what is not
//! there, and nothing is there that no pipeline uses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Options;
use super::ground::{Ground, list, text};
use super::table::Verdict;

const FILES: [&str; 2] = ["deploy/otel/collector.yaml", "deploy/compose/jaeger.yaml"];
const KINDS: [&str; 3] = ["receivers", "processors", "exporters"];

/// Both files.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let mut findings = Vec::new();
    let mut pipelines = 0;
    for file in FILES {
        let configuration = ground.yaml_one(file)?;
        pipelines += configuration["service"]["pipelines"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        findings.extend(
            faults(&configuration)
                .into_iter()
                .map(|fault| format!("{file}: {fault}")),
        );
    }
    Ok(Verdict::of(
        findings,
        format!("{pipelines} pipelines in {} files", FILES.len()),
    ))
}

fn faults(configuration: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let service = &configuration["service"];
    let mut used: Vec<(&str, BTreeSet<&str>)> = KINDS.iter().map(|kind| (*kind, BTreeSet::new())).collect();
    used.push((
        "extensions",
        list(&service["extensions"]).iter().map(text).collect(),
    ));
    let pipelines = service["pipelines"].as_object();
    if pipelines.is_none_or(serde_json::Map::is_empty) {
        findings.push("no pipelines".to_owned());
    }
    for (name, pipeline) in pipelines.into_iter().flatten() {
        for (kind, names) in &mut used {
            names.extend(list(&pipeline[*kind]).iter().map(text));
        }
        for kind in ["receivers", "exporters"] {
            if list(&pipeline[kind]).is_empty() {
                findings.push(format!("the pipeline {name} has no {kind}"));
            }
        }
        // Whoever is not limited first dies instead of refusing.
        let processors = list(&pipeline["processors"]);
        if processors.iter().any(|one| one == "memory_limiter") && processors[0] != "memory_limiter" {
            findings.push(format!("the pipeline {name} limits its memory late"));
        }
    }
    for (kind, used) in used {
        let there: BTreeSet<&str> = configuration[kind]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys().map(String::as_str))
            .collect();
        findings.extend(
            used.difference(&there)
                .map(|name| format!("{name} of {kind} is used and not there")),
        );
        findings.extend(
            there
                .difference(&used)
                .map(|name| format!("{name} of {kind} is there and not used")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_named_is_there_and_the_other_way_round() {
        let mut configuration = json!({
            "receivers": { "otlp": {} }, "exporters": { "debug": {} },
            "processors": { "batch": {}, "memory_limiter": {} },
            "service": { "pipelines": { "traces": {
                "receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": ["debug"],
            } } },
        });
        assert_eq!(faults(&configuration), Vec::<String>::new());
        configuration["exporters"] = json!({ "otlp/jaeger": {} });
        configuration["service"]["pipelines"]["traces"]["processors"] = json!(["batch", "memory_limiter"]);
        configuration["service"]["extensions"] = json!(["health_check"]);
        assert_eq!(faults(&configuration).len(), 4);
        assert_eq!(faults(&json!({})), ["no pipelines"]);
    }
}
