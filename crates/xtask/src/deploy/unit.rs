//! The unit for systemd, by systemd's own analysis.

use std::process::Command;

use super::Options;
use super::ground::{Ground, LIMIT};
use super::programs::Program;
use super::table::Verdict;
use crate::process;

const FILE: &str = "deploy/systemd/postrider.service";
const PROGRAM: &str = "/usr/local/bin/postrider";
/// Of ten, in tenths: what systemd calls well confined ends below two.
const MOST_EXPOSED: &str = "20";
/// What must be in it, whatever systemd says.
const MUST_HAVE: [&str; 8] = [
    "DynamicUser=yes",
    "StateDirectory=postrider",
    "ProtectSystem=strict",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "Restart=on-failure",
    "KillSignal=SIGTERM",
    "WantedBy=multi-user.target",
];

/// Verified, and not more exposed than it must be.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let text = ground.text(FILE)?;
    let mut findings: Vec<String> = MUST_HAVE
        .iter()
        .filter(|wanted| !text.lines().any(|line| line == **wanted))
        .map(|wanted| format!("{FILE}: no {wanted}"))
        .collect();
    let Some(analyze) = Program::installed("systemd-analyze") else {
        return Ok(if findings.is_empty() {
            Verdict::Skipped("no systemd-analyze here; our own list is kept".to_owned())
        } else {
            Verdict::Unclean(findings)
        });
    };
    // The program need not be installed here.
    let file = ground.folder().join("postrider.service");
    std::fs::write(&file, text.replace(PROGRAM, "/bin/true"))?;
    let mut verify = analyze.command();
    verify.args(["verify", "--man=no"]).arg(&file);
    let said = process::capture(&mut verify, LIMIT)?;
    // Of other units of this machine it may say something too.
    findings.extend(
        said.lines()
            .filter(|line| line.contains("postrider.service"))
            .map(str::to_owned),
    );
    let mut security: Command = analyze.command();
    security
        .args(["security", "--offline=yes", "--no-pager", "--threshold"])
        .arg(MOST_EXPOSED)
        .arg(&file);
    let said = process::capture(&mut security, LIMIT)?;
    let exposure = said
        .lines()
        .find_map(|line| line.split("exposure level for postrider.service: ").nth(1))
        .unwrap_or("?");
    let figure = exposure.split_whitespace().next().unwrap_or("?");
    Ok(Verdict::of(findings, format!("exposure {figure} of 10")))
}
