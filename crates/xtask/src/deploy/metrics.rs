//! docs/metrics.md against the alerts and the dashboard that name metrics, and against a node that shows them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::ground::{Ground, LIMIT, list, text};
use super::promql::{self, Named};
use super::table::Verdict;
use super::{Options, dashboards, rules};
use crate::http::Client;
use crate::metrics_page::{self, Metric, Metrics, OF_HISTOGRAMS, PAGE, Since};

/// Series that Prometheus makes itself, and labels that it adds.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];
const LABELS_OF_PROMETHEUS: [&str; 5] = ["job", "instance", "alertname", "alertstate", "severity"];
/// Every metric and label that an alert, a recording rule or a panel names is in the list.
pub(super) fn named(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let metrics = metrics_page::listed(&ground.text(PAGE)?)?;
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

/// The list and what a node shows are the same: names, types, labels.
pub(super) fn shown(ground: &Ground, options: &Options) -> anyhow::Result<Verdict> {
    let Some(source) = &options.metrics else {
        return Ok(Verdict::Skipped("no --metrics FILE|URL".to_owned()));
    };
    let metrics = metrics_page::listed(&ground.text(PAGE)?)?;
    let exposition = if source.starts_with("http://") {
        fetch(source)?
    } else {
        std::fs::read_to_string(source).with_context(|| source.clone())?
    };
    let shown = metrics_page::exposed(&exposition);
    ensure!(!shown.is_empty(), "{source} shows no metrics");
    Ok(Verdict::of(
        metrics_page::compare(&metrics, &shown, Since::Start),
        format!("{} metrics in {source}, all as listed", shown.len()),
    ))
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
        let metrics = metrics_page::listed(LISTED).unwrap();
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
}
