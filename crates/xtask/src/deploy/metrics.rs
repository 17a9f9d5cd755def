//! docs/metrics.md against the alerts and the dashboard that name metrics, and against a node that shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::ground::{Ground, LIMIT, list, text};
use super::promql::{self, Named};
use super::table::Verdict;
use super::{Options, dashboards, rules};
use crate::http::Client;

/// The list.
const PAGE: &str = "docs/metrics.md";
/// Series that Prometheus makes itself, and labels that it adds.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];
const LABELS_OF_PROMETHEUS: [&str; 5] = ["job", "instance", "alertname", "alertstate", "severity"];
/// What the exporter adds to every series.
const LABELS_OF_THE_EXPORTER: [&str; 3] = ["otel_scope_name", "otel_scope_version", "otel_scope_schema_url"];
/// Endings of a histogram's series.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A metric of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    kind: String,
    labels: BTreeSet<String>,
    /// Labels that are there only if they were switched on.
    optional: BTreeSet<String>,
}

/// The list.
pub(super) type Metrics = BTreeMap<String, Metric>;

/// Every metric and label that an alert, a recording rule or a panel names is in the list.
pub(super) fn named(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let metrics = read(&ground.text(PAGE)?)?;
    let recorded = rules::recorded(ground)?;
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    let mut expressions = rules::expressions(ground)?;
    expressions.extend(dashboards::expressions(ground)?);
    for (place, expression) in &expressions {
        judge(
            place,
            &promql::named(expression),
            &metrics,
            &recorded,
            &mut used,
            &mut findings,
        );
    }
    let unused: Vec<&str> = metrics
        .keys()
        .filter(|name| !used.contains(*name))
        .map(String::as_str)
        .collect();
    // Not wrong, but who never looks at a metric need not have it.
    let rest = if unused.is_empty() {
        String::new()
    } else {
        format!("; nobody looks at {}", unused.join(", "))
    };
    Ok(Verdict::of(
        findings,
        format!(
            "{} expressions name {} of {} metrics{rest}",
            expressions.len(),
            used.len(),
            metrics.len()
        ),
    ))
}

fn judge(
    place: &str,
    named: &Named,
    metrics: &Metrics,
    recorded: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
    findings: &mut Vec<String>,
) {
    let mut possible: BTreeSet<&str> = LABELS_OF_PROMETHEUS.into_iter().chain(["le"]).collect();
    for (series, labels) in &named.series {
        if OF_PROMETHEUS.contains(&series.as_str()) || recorded.contains(series) {
            continue;
        }
        let Some((name, metric, is_bucket)) = metric_of(series, metrics) else {
            findings.push(format!(
                "{place}: {series} is not in {PAGE}, or is a histogram without its ending"
            ));
            continue;
        };
        used.insert(name.to_owned());
        let of_metric = metric.labels.union(&metric.optional).map(String::as_str);
        let known: BTreeSet<&str> = of_metric
            .chain(LABELS_OF_PROMETHEUS)
            .chain(is_bucket.then_some("le"))
            .collect();
        for label in labels.iter().filter(|label| !known.contains(label.as_str())) {
            findings.push(format!("{place}: {series} has no label {label} in {PAGE}"));
        }
        possible.extend(known);
    }
    for label in named
        .grouping
        .iter()
        .filter(|label| !possible.contains(label.as_str()))
    {
        findings.push(format!(
            "{place}: grouped by {label}, which none of its metrics has"
        ));
    }
}

/// The metric that this series belongs to, its name, and whether the series has buckets.
fn metric_of<'a>(series: &str, metrics: &'a Metrics) -> Option<(&'a str, &'a Metric, bool)> {
    for ending in OF_HISTOGRAMS {
        if let Some((name, metric)) = series
            .strip_suffix(ending)
            .and_then(|name| metrics.get_key_value(name))
            && metric.kind == "histogram"
        {
            return Some((name, metric, ending == "_bucket"));
        }
    }
    let (name, metric) = metrics.get_key_value(series)?;
    (metric.kind != "histogram").then_some((name, metric, false))
}

/// The tables of the page: metric, type, labels, meaning.
fn read(page: &str) -> anyhow::Result<Metrics> {
    let mut metrics = Metrics::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, _] = cells.as_slice() else {
            bail!("{PAGE}: not four cells: {line}");
        };
        ensure!(
            ["counter", "gauge", "histogram"].contains(kind),
            "{PAGE}: {kind} is no type of a metric: {line}"
        );
        let mut metric = Metric {
            kind: (*kind).to_owned(),
            labels: BTreeSet::new(),
            optional: BTreeSet::new(),
        };
        // Names stand in backticks, values in parentheses; (T) marks what must be switched on.
        let mut parts = labels.split('`').skip(1);
        while let Some(label) = parts.next() {
            let after = parts.next().unwrap_or_default();
            let labels = if after.trim_start().starts_with("(T)") {
                &mut metric.optional
            } else {
                &mut metric.labels
            };
            labels.insert(label.to_owned());
        }
        let known = metrics.insert(name.trim_matches('`').to_owned(), metric);
        ensure!(known.is_none(), "{PAGE}: {name} stands twice");
    }
    ensure!(!metrics.is_empty(), "{PAGE}: no metrics");
    Ok(metrics)
}

/// The list and what a node shows are the same: names, types, labels.
pub(super) fn shown(ground: &Ground, options: &Options) -> anyhow::Result<Verdict> {
    let Some(source) = &options.metrics else {
        return Ok(Verdict::Skipped("no --metrics FILE|URL".to_owned()));
    };
    let metrics = read(&ground.text(PAGE)?)?;
    let exposition = if source.starts_with("http://") {
        fetch(source)?
    } else {
        std::fs::read_to_string(source).with_context(|| source.clone())?
    };
    let shown = exposed(&exposition);
    ensure!(!shown.is_empty(), "{source} shows no metrics");
    Ok(Verdict::of(
        compare(&metrics, &shown),
        format!("{} metrics in {source}, all as listed", shown.len()),
    ))
}

fn compare(metrics: &Metrics, shown: &Metrics) -> Vec<String> {
    let mut findings = Vec::new();
    for name in metrics.keys().filter(|name| !shown.contains_key(*name)) {
        findings.push(format!("{name} is listed and not shown"));
    }
    for (name, seen) in shown {
        let Some(metric) = metrics.get(name) else {
            findings.push(format!("{name} is shown and not listed"));
            continue;
        };
        if metric.kind != seen.kind {
            findings.push(format!(
                "{name} is listed as a {} and shown as a {}",
                metric.kind, seen.kind
            ));
        }
        let allowed: BTreeSet<&String> = metric.labels.union(&metric.optional).collect();
        for label in seen.labels.iter().filter(|label| !allowed.contains(label)) {
            findings.push(format!(
                "{name} is shown with the label {label}, which is not listed"
            ));
        }
        // A metric that has had no event yet is shown by its head alone.
        if !seen.labels.is_empty() {
            for label in metric.labels.difference(&seen.labels) {
                findings.push(format!("{name} is shown without its label {label}"));
            }
        }
    }
    findings
}

/// What an exposition in Prometheus' text form declares, with the labels of its series.
fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            // OpenTelemetry's own description of who exports.
            if name != "target_info" {
                metrics.insert(
                    name.to_owned(),
                    Metric {
                        kind: kind.trim().to_owned(),
                        labels: BTreeSet::new(),
                        optional: BTreeSet::new(),
                    },
                );
            }
        } else if !line.starts_with('#') {
            note_labels(&mut metrics, line);
        }
    }
    metrics
}

fn note_labels(metrics: &mut Metrics, line: &str) {
    let named = promql::named(line.rsplit_once(' ').map_or(line, |(series, _)| series));
    let Some((series, labels)) = named.series.into_iter().next() else {
        return;
    };
    let name = OF_HISTOGRAMS
        .iter()
        .filter_map(|ending| series.strip_suffix(ending))
        .find(|name| {
            metrics
                .get(*name)
                .is_some_and(|metric| metric.kind == "histogram")
        })
        .unwrap_or(&series)
        .to_owned();
    if let Some(metric) = metrics.get_mut(&name) {
        metric.labels.extend(
            labels
                .into_iter()
                .filter(|label| label != "le" && !LABELS_OF_THE_EXPORTER.contains(&label.as_str())),
        );
    }
}

/// GET of a URL without TLS.
fn fetch(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("not an http:// URL")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
    let address: SocketAddr = host
        .to_socket_addrs()
        .with_context(|| format!("{host} is not host:port"))?
        .next()
        .with_context(|| format!("{host} has no address"))?;
    let answer = Client::new(address, LIMIT).get(&format!("/{path}"), &[])?;
    ensure!(answer.status == 200, "{url}: {}", answer.status);
    String::from_utf8(answer.body).context("not text")
}

/// The expressions of a list of rules, with where they stand.
pub(super) fn expressions_of(file: &str, groups: &Value) -> Vec<(String, String)> {
    list(groups)
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .map(|rule| {
            let name = [&rule["alert"], &rule["record"]]
                .into_iter()
                .find_map(Value::as_str)
                .unwrap_or("?");
            (format!("{file}: {name}"), text(&rule["expr"]).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "\
| metric | type | labels | meaning |
|---|---|---|---|
| `a_total` | counter | `kind` (x, y), `tenant` (T) | how many |
| `b_seconds` | histogram | - | how long |
| `c` | gauge | `pool` | now |
";

    fn findings(expression: &str) -> Vec<String> {
        let (mut used, mut findings) = (BTreeSet::new(), Vec::new());
        let recorded = BTreeSet::from(["r:a".to_owned()]);
        let metrics = read(LISTED).unwrap();
        judge(
            "here",
            &promql::named(expression),
            &metrics,
            &recorded,
            &mut used,
            &mut findings,
        );
        findings
    }

    #[test]
    fn what_is_listed_may_be_named() {
        for good in [
            "sum by (kind) (rate(a_total{job=\"j\", tenant=\"t\"}[5m]))",
            "histogram_quantile(0.5, sum by (le) (rate(b_seconds_bucket[5m])))",
            "b_seconds_sum / b_seconds_count > r:a and on (instance) up == 1",
            "max by (pool) (c)",
        ] {
            assert_eq!(findings(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn what_is_not_listed_is_found() {
        assert!(findings("d_total")[0].contains("d_total is not in"));
        assert!(findings("rate(b_seconds[5m])")[0].contains("without its ending"));
        assert!(findings("a_total{knd=\"x\"}")[0].contains("no label knd"));
        assert!(findings("c{le=\"1\"}")[0].contains("no label le"));
        assert!(findings("sum by (pol) (c)")[0].contains("grouped by pol"));
    }

    #[test]
    fn a_node_shows_what_is_listed_and_nothing_else() {
        let metrics = read(LISTED).unwrap();
        let good = "\
# HELP a_total How many.
# TYPE a_total counter
a_total{kind=\"x\",otel_scope_name=\"postrider\"} 1
# TYPE b_seconds histogram
b_seconds_bucket{le=\"+Inf\"} 1
b_seconds_sum 0.1
# TYPE c gauge
c{pool=\"a b{\"} 1
# TYPE target_info gauge
target_info{service_name=\"postrider\"} 1
";
        assert_eq!(compare(&metrics, &exposed(good)), Vec::<String>::new());
        let bad = good
            .replace("c{pool=", "c{pol=")
            .replace("TYPE a_total counter", "TYPE a_total gauge")
            .replace("b_seconds", "e_seconds");
        let found = compare(&metrics, &exposed(&bad));
        for expected in [
            "b_seconds is listed and not shown",
            "e_seconds is shown and not listed",
            "a_total is listed as a counter and shown as a gauge",
            "c is shown with the label pol, which is not listed",
            "c is shown without its label pool",
        ] {
            assert!(
                found.iter().any(|finding| finding == expected),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn a_page_that_cannot_be_read_is_an_error() {
        assert!(read("nothing").is_err());
        assert!(read("| `a` | timer | - | x |").is_err());
        assert!(read("| `a` | gauge | - | x |\n| `a` | gauge | - | x |").is_err());
    }
}
