//! Prometheus' rules: their form, their tests, their entries in the runbook, and the operator's copy.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::Value;

use super::ground::{Ground, LIMIT, list, text};
use super::metrics::expressions_of;
use super::programs::Program;
use super::table::Verdict;
use super::{Options, runbook};
use crate::{cargo, process};

const FOLDER: &str = "deploy/prometheus";
const ALERTS: &str = "deploy/prometheus/rules/alerts.yml";
const RECORDING: &str = "deploy/prometheus/rules/recording.yml";
/// The same rules as a resource of the Prometheus operator.
const OPERATORS: &str = "deploy/kubernetes/components/monitoring/prometheus-rule.yaml";
const SEVERITIES: [&str; 2] = ["critical", "warning"];

/// promtool.
pub(super) fn promtool() -> anyhow::Result<Program> {
    Program::get("promtool", "prometheus")
}

/// The rules and the configuration, by promtool.
pub(super) fn lint(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let promtool = promtool()?;
    let mut rules = promtool.command();
    rules.args(["check", "rules", "--lint=all", "--lint-fatal"]);
    rules.args([ALERTS, RECORDING]).current_dir(&ground.root);
    process::capture(&mut rules, LIMIT)?;
    let mut configuration = promtool.command();
    configuration
        .args(["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"])
        .current_dir(ground.root.join(FOLDER));
    process::capture(&mut configuration, LIMIT)?;
    Ok(Verdict::Clean(format!(
        "promtool {}",
        promtool.version("--version")
    )))
}

/// The rules' unit tests.
pub(super) fn test(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let tests = test_files(ground)?;
    let mut command = promtool()?.command();
    command
        .args(["test", "rules"])
        .args(&tests)
        .current_dir(&ground.root);
    process::capture(&mut command, LIMIT)?;
    let count: usize = ground
        .yaml(&tests.iter().map(String::as_str).collect::<Vec<_>>())?
        .iter()
        .map(|file| list(&file["tests"]).len())
        .sum();
    Ok(Verdict::Clean(format!("{count} tests in {} files", tests.len())))
}

fn test_files(ground: &Ground) -> anyhow::Result<Vec<String>> {
    ground.files("deploy/prometheus/tests", ".yml")
}

/// The names of the recorded series.
pub(super) fn recorded(ground: &Ground) -> anyhow::Result<BTreeSet<String>> {
    let file = ground.yaml_one(RECORDING)?;
    let rules = list(&file["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]));
    Ok(rules.map(|rule| text(&rule["record"]).to_owned()).collect())
}

/// All expressions, with where they stand.
pub(super) fn expressions(ground: &Ground) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for file in [RECORDING, ALERTS] {
        all.extend(expressions_of(file, &ground.yaml_one(file)?["groups"]));
    }
    Ok(all)
}

/// Every alert says what it must, is tested both ways and has an entry in the runbook, and the other way round.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let file = ground.yaml_one(ALERTS)?;
    let alerts: Vec<&Value> = list(&file["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .collect();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| text(&alert["alert"])).collect();
    let mut findings: Vec<String> = alerts.iter().flat_map(|alert| faults(alert)).collect();
    if names.len() != alerts.len() {
        findings.push(format!("{ALERTS}: two alerts of one name"));
    }

    let entries = runbook::alerts(&ground.text(runbook::PAGE)?);
    let entries: BTreeSet<&str> = entries.iter().map(String::as_str).collect();
    findings.extend(differences(
        &names,
        &entries,
        "has no entry in the runbook",
        "is an entry of the runbook without an alert",
    ));

    let paths = test_files(ground)?;
    let tests = ground.yaml(&paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    let tried = tried(&tests);
    for name in &names {
        match tried.get(*name) {
            None => findings.push(format!("{name} has no test")),
            Some(Tried { fires: false, .. }) => findings.push(format!("no test shows {name} fire")),
            Some(Tried { rests: false, .. }) => findings.push(format!("no test shows {name} not fire")),
            Some(_) => {}
        }
    }
    findings.extend(
        tried
            .keys()
            .filter(|name| !names.contains(name.as_str()))
            .map(|name| format!("a test asks for {name}, which is no alert")),
    );

    if ground.text(OPERATORS)? != operators(&ground.text(RECORDING)?, &ground.text(ALERTS)?)? {
        findings.push(format!(
            "{OPERATORS} is not current: run `cargo xtask check-deploy --write`"
        ));
    }
    Ok(Verdict::of(
        findings,
        format!("{} alerts, each tested both ways", names.len()),
    ))
}

/// What an alert lacks.
fn faults(alert: &Value) -> Vec<String> {
    let name = text(&alert["alert"]);
    let mut findings = Vec::new();
    let severity = text(&alert["labels"]["severity"]);
    if !SEVERITIES.contains(&severity) {
        findings.push(format!(
            "{name}: severity {severity:?} is none of {}",
            SEVERITIES.join(", ")
        ));
    }
    for annotation in ["summary", "description"] {
        if text(&alert["annotations"][annotation]).is_empty() {
            findings.push(format!("{name}: no {annotation}"));
        }
    }
    let wanted = format!("{}#{}", runbook::PAGE, name.to_ascii_lowercase());
    if text(&alert["annotations"]["runbook_url"]) != wanted {
        findings.push(format!("{name}: runbook_url is not {wanted}"));
    }
    findings
}

fn differences(ours: &BTreeSet<&str>, theirs: &BTreeSet<&str>, missing: &str, surplus: &str) -> Vec<String> {
    ours.difference(theirs)
        .map(|name| format!("{name} {missing}"))
        .chain(theirs.difference(ours).map(|name| format!("{name} {surplus}")))
        .collect()
}

/// How an alert was tried.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tried {
    fires: bool,
    rests: bool,
}

fn tried(files: &[Value]) -> BTreeMap<String, Tried> {
    let mut tried: BTreeMap<String, Tried> = BTreeMap::new();
    let tests = files.iter().flat_map(|file| list(&file["tests"]));
    for case in tests.flat_map(|test| list(&test["alert_rule_test"])) {
        let alert = tried.entry(text(&case["alertname"]).to_owned()).or_default();
        if list(&case["exp_alerts"]).is_empty() {
            alert.rests = true;
        } else {
            alert.fires = true;
        }
    }
    tried
}

/// Writes the operator's copy.
pub(super) fn write() -> anyhow::Result<()> {
    let root = cargo::workspace_root();
    let read = |file: &str| std::fs::read_to_string(root.join(file)).with_context(|| file.to_owned());
    std::fs::write(
        root.join(OPERATORS),
        operators(&read(RECORDING)?, &read(ALERTS)?)?,
    )
    .context(OPERATORS)
}

/// The rules as a `PrometheusRule`: the text of their groups, two columns to the right.
fn operators(recording: &str, alerts: &str) -> anyhow::Result<String> {
    let mut resource = "\
# Written from deploy/prometheus/rules by `cargo xtask check-deploy --write`: do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: postrider
  labels:
    app.kubernetes.io/name: postrider
spec:
  groups:
"
    .to_owned();
    for file in [recording, alerts] {
        let (_, groups) = file
            .split_once("\ngroups:\n")
            .context("no groups among the rules")?;
        for line in groups.lines() {
            if !line.is_empty() {
                resource.push_str("  ");
                resource.push_str(line);
            }
            resource.push('\n');
        }
    }
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_alert_that_says_too_little_is_found() {
        let good = json!({
            "alert": "Up", "labels": { "severity": "critical" },
            "annotations": { "summary": "s", "description": "d", "runbook_url": "docs/runbook.md#up" },
        });
        assert_eq!(faults(&good), Vec::<String>::new());
        let bad =
            json!({ "alert": "Up", "labels": { "severity": "page" }, "annotations": { "summary": "s" } });
        assert_eq!(faults(&bad).len(), 3);
    }

    #[test]
    fn a_test_shows_that_an_alert_fires_or_that_it_does_not() {
        let files = [json!({ "tests": [
            { "alert_rule_test": [
                { "alertname": "A", "exp_alerts": [] },
                { "alertname": "A", "exp_alerts": [{ "exp_labels": {} }] },
            ] },
            { "alert_rule_test": [{ "alertname": "B", "exp_alerts": [{}] }] },
        ] })];
        let tried = tried(&files);
        assert_eq!(
            tried["A"],
            Tried {
                fires: true,
                rests: true
            }
        );
        assert_eq!(
            tried["B"],
            Tried {
                fires: true,
                rests: false
            }
        );
    }

    #[test]
    fn the_operators_copy_holds_the_groups_of_both_files() {
        let copy = operators(
            "# why\ngroups:\n  - name: a\n\n    rules: []\n",
            "\ngroups:\n  - name: b\n",
        )
        .unwrap();
        assert!(copy.ends_with("spec:\n  groups:\n    - name: a\n\n      rules: []\n    - name: b\n"));
        assert!(operators("", "").is_err());
    }
}
