//! The OpenAPI document under two linters, whose every finding counts. The rules are in `docs/openapi-lint`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::tools;
use crate::process::Group;
use crate::product::Binary;
use crate::{cargo, process};

const REDOCLY: &str = "@redocly/cli@2.30.0";
const SPECTRAL: &str = "@stoplight/spectral-cli@6.15.0";
const DOCUMENT: &str = "docs/openapi.json";
const LIMIT: Duration = Duration::from_mins(3);

/// Lints the stored document, which must be what the binary prints.
pub(super) fn run(binary: &Binary) -> anyhow::Result<()> {
    let root = cargo::workspace_root();
    let printed = process::capture(binary.command().arg("openapi"), LIMIT)?;
    let stored = std::fs::read_to_string(root.join(DOCUMENT)).context(DOCUMENT)?;
    ensure!(
        printed.trim() == stored.trim(),
        "{DOCUMENT} is not what the binary prints; run `cargo xtask generate`"
    );
    let folder = tools::npm("openapi-lint", &[REDOCLY, SPECTRAL])?;
    let mut redocly = tools::npm_program(&folder, "redocly");
    redocly
        .args([
            "lint",
            "--format",
            "stylish",
            "--config",
            "docs/openapi-lint/redocly.yaml",
            // What the recommended rules only warn of is an error.
            "--extends",
            "recommended-strict",
        ])
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    let mut spectral = tools::npm_program(&folder, "spectral");
    spectral.args([
        "lint",
        "--fail-severity",
        "hint",
        "--ruleset",
        "docs/openapi-lint/spectral.yaml",
    ]);
    let mut unclean = Vec::new();
    for (name, command) in [(REDOCLY, redocly), (SPECTRAL, spectral)] {
        if !is_clean(name, command).context(name)? {
            unclean.push(name);
        }
    }
    ensure!(unclean.is_empty(), "findings of {}", unclean.join(" and "));
    Ok(())
}

/// Whether the linter finds nothing; what it finds is printed.
fn is_clean(name: &str, mut command: Command) -> anyhow::Result<bool> {
    command.arg(DOCUMENT).current_dir(cargo::workspace_root());
    let clean = Group::spawn(&mut command)?.wait(Some(LIMIT))?.success();
    if clean {
        println!("  {name}: clean");
    }
    Ok(clean)
}
