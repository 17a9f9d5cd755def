//! docs/metrics.md, and whether a node shows what stands there: names, types, labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure};

/// The list.
pub(crate) const PAGE: &str = "docs/metrics.md";
/// Endings of a histogram's series.
pub(crate) const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// OpenTelemetry's own description of who exports.
const OF_OPENTELEMETRY: &str = "target_info";

/// A metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    /// Labels of every series.
    pub(crate) labels: BTreeSet<String>,
    /// Labels that are there only if they were switched on.
    pub(crate) optional: BTreeSet<String>,
}

/// Metrics by name.
pub(crate) type Metrics = BTreeMap<String, Metric>;

/// The tables of the page: metric, type, labels, meaning.
pub(crate) fn listed(page: &str) -> anyhow::Result<Metrics> {
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
            ..Metric::default()
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

/// What an exposition in Prometheus' text form declares, with the labels of its series.
pub(crate) fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            if name != OF_OPENTELEMETRY {
                let kind = kind.trim().to_owned();
                let metric = Metric {
                    kind,
                    ..Metric::default()
                };
                metrics.insert(name.to_owned(), metric);
            }
        } else if !line.starts_with('#') {
            note_labels(&mut metrics, line);
        }
    }
    metrics
}

fn note_labels(metrics: &mut Metrics, line: &str) {
    let end = line.find(['{', ' ']).unwrap_or(line.len());
    let series = &line[..end];
    let of_histogram =
        |metrics: &Metrics, name: &str| metrics.get(name).is_some_and(|metric| metric.kind == "histogram");
    let name = OF_HISTOGRAMS
        .iter()
        .filter_map(|ending| series.strip_suffix(ending))
        .find(|name| of_histogram(metrics, name))
        .unwrap_or(series);
    if let Some(metric) = metrics.get_mut(name) {
        let labels = label_names(&line[end..])
            .into_iter()
            .filter(|label| label != "le");
        metric.labels.extend(labels);
    }
}

/// The names in `{a="x",b="y"}`; values may hold anything, quotes with a backslash before them.
fn label_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let Some(text) = text.strip_prefix('{') else {
        return names;
    };
    let (mut name, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '=' => names.push(std::mem::take(&mut name)),
            ',' => {}
            '}' => break,
            _ => name.push(c),
        }
    }
    names
}

/// What a node has been through since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// It has just begun: of a metric that has had no event yet only the head may be shown.
    Start,
    /// Every metric has had an event.
    Use,
}

/// In what they differ.
pub(crate) fn compare(listed: &Metrics, shown: &Metrics, since: Since) -> Vec<String> {
    let mut findings = Vec::new();
    for name in listed.keys().filter(|name| !shown.contains_key(*name)) {
        findings.push(format!("{name} is listed and not shown"));
    }
    for (name, seen) in shown {
        let Some(metric) = listed.get(name) else {
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
        if since == Since::Use || !seen.labels.is_empty() {
            for label in metric.labels.difference(&seen.labels) {
                findings.push(format!("{name} is shown without its label {label}"));
            }
        }
    }
    findings
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
    const SHOWN: &str = "\
# HELP a_total How many.
# TYPE a_total counter
a_total{kind=\"x\"} 1
# TYPE b_seconds histogram
b_seconds_bucket{le=\"+Inf\"} 1
b_seconds_sum 0.1
# TYPE c gauge
c{pool=\"a b{=,\\\"}\"} 1
# TYPE target_info gauge
target_info{service_name=\"postrider\"} 1
";

    #[test]
    fn a_node_shows_what_is_listed_and_nothing_else() {
        let metrics = listed(LISTED).unwrap();
        assert_eq!(
            compare(&metrics, &exposed(SHOWN), Since::Use),
            Vec::<String>::new()
        );
        let bad = SHOWN
            .replace("c{pool=", "c{pol=")
            .replace("TYPE a_total counter", "TYPE a_total gauge")
            .replace("b_seconds", "e_seconds");
        let found = compare(&metrics, &exposed(&bad), Since::Use);
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
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn what_has_had_no_event_needs_no_labels_at_the_start() {
        let metrics = listed(LISTED).unwrap();
        let fresh = exposed(&SHOWN.replace("a_total{kind=\"x\"} 1\n", ""));
        assert_eq!(compare(&metrics, &fresh, Since::Start), Vec::<String>::new());
        assert_eq!(
            compare(&metrics, &fresh, Since::Use),
            ["a_total is shown without its label kind"]
        );
    }

    #[test]
    fn labels_are_told_from_their_values() {
        assert_eq!(label_names(r#"{a="x,b=\"y\"}",c="\\"} 1"#), ["a", "c"]);
        assert_eq!(label_names(" 1"), Vec::<String>::new());
    }

    #[test]
    fn a_page_that_cannot_be_read_is_an_error() {
        assert!(listed("nothing").is_err());
        assert!(listed("| `a` | timer | - | x |").is_err());
        assert!(listed("| `a` | gauge | - | x |\n| `a` | gauge | - | x |").is_err());
    }
}
