//! Grafana's dashboards: their form, their data sources, their expressions.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::ground::{Ground, LIMIT, list, text};
use super::table::Verdict;
use super::{Options, rules};
use crate::process;

const FOLDER: &str = "deploy/grafana/dashboards";
const SOURCES: &str = "deploy/compose/grafana/provisioning/datasources/postrider.yaml";
/// What every dashboard's panels take their figures from: the variable, so that it can be chosen.
const SOURCE: &str = "${datasource}";
/// Variables of Grafana, as promtool can read them.
const STAND_INS: [(&str, &str); 3] = [
    ("$__rate_interval", "5m"),
    ("$__interval", "1m"),
    ("$__range", "1h"),
];
/// The columns of a dashboard.
const COLUMNS: u64 = 24;
/// The rows that the dashboard must have, by a word of their titles.
const ROWS: [&str; 6] = ["Traffic", "Queue", "Attempts", "Database", "Relay", "Runtime"];

fn read(ground: &Ground) -> anyhow::Result<Vec<(String, Value)>> {
    let files = ground.files(FOLDER, ".json")?;
    ensure!(!files.is_empty(), "{FOLDER} has no dashboard");
    files
        .into_iter()
        .map(|file| {
            let dashboard = serde_json::from_str(&ground.text(&file)?).with_context(|| file.clone())?;
            Ok((file, dashboard))
        })
        .collect()
}

/// All expressions, with where they stand: panels, annotations, variables.
pub(super) fn expressions(ground: &Ground) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (file, dashboard) in read(ground)? {
        let mut note = |what: &str, name: &Value, expression: &Value| {
            if let Some(expression) = expression.as_str() {
                all.push((format!("{file}: {what} {}", text(name)), expression.to_owned()));
            }
        };
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                note("panel", &panel["title"], &target["expr"]);
            }
        }
        for annotation in list(&dashboard["annotations"]["list"]) {
            note("annotation", &annotation["name"], &annotation["expr"]);
        }
        for variable in list(&dashboard["templating"]["list"]) {
            note("variable", &variable["name"], &variable["definition"]);
        }
    }
    Ok(all)
}

/// Panels have titles, figures, a unit and a place of their own, and take them from a source that is there.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let dashboards = read(ground)?;
    let mut findings = Vec::new();
    let mut panels = 0;
    for (file, dashboard) in &dashboards {
        panels += list(&dashboard["panels"]).len();
        findings.extend(
            faults(dashboard)
                .into_iter()
                .map(|fault| format!("{file}: {fault}")),
        );
    }
    let sources = ground.yaml_one(SOURCES)?;
    let kinds: BTreeSet<&str> = list(&sources["datasources"])
        .iter()
        .map(|source| text(&source["type"]))
        .collect();
    for needed in ["prometheus", "jaeger"] {
        if !kinds.contains(needed) {
            findings.push(format!("{SOURCES}: no source of the type {needed}"));
        }
    }
    Ok(Verdict::of(
        findings,
        format!("dashboards: {}, panels and rows: {panels}", dashboards.len()),
    ))
}

fn faults(dashboard: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    for field in ["uid", "title", "description"] {
        if text(&dashboard[field]).is_empty() {
            findings.push(format!("no {field}"));
        }
    }
    let panels = list(&dashboard["panels"]);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = text(&panel["title"]);
        if title.is_empty() {
            findings.push(format!("panel {} has no title", panel["id"]));
        }
        if !ids.insert(panel["id"].as_u64()) {
            findings.push(format!("{title}: the id {} stands twice", panel["id"]));
        }
        if !place(&panel["gridPos"], &mut taken) {
            findings.push(format!("{title}: lies over another panel, or beyond the edge"));
        }
        if panel["type"] != "row" {
            findings.extend(figures(title, panel));
        } else if !list(&panel["panels"]).is_empty() {
            // A folded row keeps its panels inside, where nobody here looks.
            findings.push(format!("{title}: the row is folded"));
        }
    }
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| text(&row["title"]))
        .collect();
    for wanted in ROWS {
        if !rows.iter().any(|title| title.contains(wanted)) {
            findings.push(format!("no row {wanted}"));
        }
    }
    findings
}

fn figures(title: &str, panel: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let targets = list(&panel["targets"]);
    if targets.is_empty() || targets.iter().any(|target| text(&target["expr"]).is_empty()) {
        findings.push(format!("{title}: shows nothing"));
    }
    for source in targets
        .iter()
        .map(|target| &target["datasource"])
        .chain([&panel["datasource"]])
    {
        if source["uid"] != SOURCE {
            findings.push(format!("{title}: its source is not {SOURCE}"));
        }
    }
    if panel["type"] != "table" && text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty() {
        findings.push(format!("{title}: no unit"));
    }
    findings
}

/// Takes the cells of a panel; false if one is taken or there is none.
fn place(grid: &Value, taken: &mut BTreeSet<(u64, u64)>) -> bool {
    let [Some(x), Some(y), Some(width), Some(height)] =
        ["x", "y", "w", "h"].map(|field| grid[field].as_u64())
    else {
        return false;
    };
    let cells = (x..x + width).flat_map(|column| (y..y + height).map(move |line| (column, line)));
    let mut free = x + width <= COLUMNS && width > 0 && height > 0;
    for cell in cells {
        free &= taken.insert(cell);
    }
    free
}

/// Every expression as the rule of a file that promtool reads.
pub(super) fn lint(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let all: Vec<(String, String)> = expressions(ground)?
        .into_iter()
        // A variable's query is a function of Grafana's.
        .filter(|(_, expression)| !expression.starts_with("label_values("))
        .collect();
    let rules: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(number, (_, expression))| {
            json!({ "record": format!("panel:{number}"), "expr": stand_in(expression) })
        })
        .collect();
    let file = ground.folder().join("panels.json");
    // JSON is YAML too.
    std::fs::write(
        &file,
        json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string(),
    )?;
    let mut command = rules::promtool()?.command();
    command.args(["check", "rules", "--lint=none"]).arg(&file);
    process::capture(&mut command, LIMIT)?;
    Ok(Verdict::Clean(format!("{} expressions", all.len())))
}

fn stand_in(expression: &str) -> String {
    STAND_INS
        .iter()
        .fold(expression.to_owned(), |text, (variable, value)| {
            text.replace(variable, value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(id: u64, x: u64) -> Value {
        json!({
            "id": id, "type": "timeseries", "title": format!("p{id}"), "gridPos": { "x": x, "y": 0, "w": 12, "h": 4 },
            "datasource": { "uid": SOURCE }, "fieldConfig": { "defaults": { "unit": "s" } },
            "targets": [{ "expr": "up", "datasource": { "uid": SOURCE } }],
        })
    }

    fn dashboard(panels: Vec<Value>) -> Value {
        let rows = ROWS.iter().zip(10_u64..).map(|(title, y)| {
            json!({ "id": 100 + y, "type": "row", "title": title, "gridPos": { "x": 0, "y": y, "w": 24, "h": 1 } })
        });
        let panels: Vec<Value> = panels.into_iter().chain(rows).collect();
        json!({ "uid": "u", "title": "t", "description": "d", "panels": panels })
    }

    #[test]
    fn panels_lie_beside_each_other_and_show_something() {
        assert_eq!(
            faults(&dashboard(vec![panel(1, 0), panel(2, 12)])),
            Vec::<String>::new()
        );
        assert!(faults(&dashboard(vec![panel(1, 0), panel(2, 6)]))[0].contains("lies over another"));
        assert!(faults(&dashboard(vec![panel(1, 18)]))[0].contains("beyond the edge"));
        assert!(faults(&dashboard(vec![panel(1, 0), panel(1, 12)]))[0].contains("stands twice"));
        let mut blind = panel(1, 0);
        blind["targets"] = json!([]);
        blind["datasource"]["uid"] = json!("prometheus");
        assert_eq!(faults(&dashboard(vec![blind])).len(), 2);
        let mut mute = panel(1, 0);
        mute["targets"][0]["expr"] = json!(null);
        assert!(faults(&dashboard(vec![mute]))[0].contains("shows nothing"));
        let mut folded = dashboard(vec![]);
        folded["panels"][0]["panels"] = json!([panel(1, 0)]);
        assert!(faults(&folded)[0].contains("folded"));
        assert_eq!(
            faults(&json!({ "uid": "u", "title": "t", "description": "d" })).len(),
            ROWS.len()
        );
    }

    #[test]
    fn grafanas_variables_have_stand_ins() {
        assert_eq!(stand_in("rate(a[$__rate_interval])"), "rate(a[5m])");
    }
}
