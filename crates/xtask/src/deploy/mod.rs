//! `cargo xtask check-deploy`: everything that puts Postrider to work, judged by the tools that will read it, and held
//! together by checks of our own.

mod compose;
mod configurations;
mod dashboards;
mod ground;
mod image;
mod manifests;
mod metrics;
mod pipelines;
pub(crate) mod programs;
mod promql;
mod proxies;
mod render;
mod rules;
mod runbook;
mod table;
mod unit;
mod versions;

use std::process::ExitCode;

use crate::interrupt;
use crate::product::Which;
use ground::Ground;
use table::{Row, Verdict};

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Write what is generated (the operator's copy of the rules) before it is checked
    #[arg(long)]
    write: bool,
    /// Compare docs/metrics.md with what a node shows: a file, or the URL of its management listener's /metrics
    #[arg(long, value_name = "FILE|URL")]
    metrics: Option<String>,
    /// Do without the binary: the configurations in deploy/ are not read by it
    #[arg(long, conflicts_with_all = ["release", "binary"])]
    without_binary: bool,
    #[command(flatten)]
    which: Which,
}

type Check = fn(&Ground, &Options) -> anyhow::Result<Verdict>;

/// What is checked, in the order of the table: what it is, what judges it, how.
const CHECKS: &[(&str, &str, Check)] = &[
    ("Dockerfile", "hadolint", image::lint),
    ("Dockerfile", "own: what must be in it", image::check),
    ("docker-compose.yml", "docker compose config", compose::read),
    ("docker-compose.yml", "own: bounds, rights, names", compose::check),
    ("shell scripts", "bash -n, shellcheck", image::scripts),
    (
        "kustomizations",
        "kustomize or kubectl, own renderer",
        render::compare,
    ),
    ("manifests", "kubernetes-validate --strict", manifests::validate),
    ("manifests", "own: rights, names, times", manifests::check),
    ("Prometheus rules", "promtool check", rules::lint),
    ("Prometheus rules", "promtool test rules", rules::test),
    (
        "Prometheus rules",
        "own: tests, runbook, operator's copy",
        rules::check,
    ),
    ("dashboard", "own: layout, sources", dashboards::check),
    ("dashboard", "promtool, every expression", dashboards::lint),
    ("metrics", "own: named, so listed", metrics::named),
    ("metrics", "own: listed, so shown", metrics::shown),
    ("collector, Jaeger", "own: pipelines", pipelines::check),
    ("haproxy.cfg", "haproxy -c", proxies::haproxy),
    ("nginx", "nginx -t", proxies::nginx),
    ("systemd unit", "systemd-analyze verify, security", unit::check),
    ("workflows", "check-jsonschema", image::workflows),
    ("runbook", "own: entries, procedures", runbook::check),
    ("versions", "own: one everywhere", versions::check),
    ("configurations", "postrider config check", configurations::check),
];

/// Runs every check and prints a table; fails if anything is not clean.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.write {
        rules::write()?;
    }
    let ground = Ground::lay()?;
    let mut rows = Vec::new();
    for (what, with, check) in CHECKS {
        let verdict = match check(&ground, options) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Unclean(vec![format!("{error:#}")]),
        };
        interrupt::check()?;
        rows.push(Row { what, with, verdict });
    }
    Ok(table::print(&rows))
}
