//! The Dockerfile, the shell scripts, and the workflows of a public forge.

use std::process::Command;

use super::ground::{Ground, LIMIT};
use anyhow::ensure;

use super::Options;
use super::programs::Program;
use super::table::Verdict;
use crate::arch::Sources;
use crate::process;

const FILE: &str = "Dockerfile";
/// What the image must do, and by which line it does.
const MUST_HAVE: [(&str, &str); 8] = [
    ("runs under a number that is not root's", "\nUSER 65532:65532\n"),
    (
        "asks itself for its health",
        "CMD [\"/usr/local/bin/postrider\", \"health\"]",
    ),
    ("is asked for its health", "\nHEALTHCHECK "),
    (
        "starts without a shell",
        "\nENTRYPOINT [\"/usr/local/bin/postrider\"]\n",
    ),
    (
        "builds what the lock file says",
        "cargo build --profile dist --locked ",
    ),
    (
        "has dependencies in a layer of their own",
        "cargo chef cook --profile dist --locked ",
    ),
    ("can be built the same again", "\nARG SOURCE_DATE_EPOCH="),
    (
        "says what it was built from",
        "org.opencontainers.image.revision=",
    ),
];

/// hadolint, whose every finding counts.
pub(super) fn lint(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let mut command = ground.python_program("hadolint");
    command.args(["--no-color", "--failure-threshold", "style", FILE]);
    process::capture(&mut command, LIMIT)?;
    Ok(Verdict::Clean("no findings of any level".to_owned()))
}

/// What no linter knows.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let text = ground.text(FILE)?;
    let mut findings: Vec<String> = MUST_HAVE
        .iter()
        .filter(|(_, line)| !text.contains(line))
        .map(|(why, line)| format!("{FILE} {why}: no {:?}", line.trim()))
        .collect();
    // What is built from must get in, and what is secret must not.
    let ignored = ground.text(".dockerignore")?;
    for kept_out in [".git", "target", "data", ".env", "deploy", "rust-toolchain.toml"] {
        if !ignored.lines().any(|line| line == kept_out) {
            findings.push(format!(".dockerignore lets {kept_out} in"));
        }
    }
    Ok(Verdict::of(findings, format!("{} properties", MUST_HAVE.len())))
}

/// Every shell script of the repository is one, and as shellcheck likes it where there is a shellcheck.
pub(super) fn scripts(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let mut scripts = Sources::list(&ground.root)?.files;
    scripts.retain(|file| is_script(&std::fs::read(ground.root.join(file)).unwrap_or_default()));
    ensure!(!scripts.is_empty(), "there are no shell scripts");
    for script in &scripts {
        let mut command = Command::new("bash");
        command.arg("-n").arg(script).current_dir(&ground.root);
        process::capture(&mut command, LIMIT)?;
    }
    let Ok(shellcheck) = Program::get("shellcheck", "shellcheck") else {
        return Ok(Verdict::Skipped(format!(
            "no shellcheck here; {} scripts are as bash -n likes them",
            scripts.len()
        )));
    };
    let mut command = shellcheck.command();
    command.args(&scripts).current_dir(&ground.root);
    process::capture(&mut command, LIMIT)?;
    Ok(Verdict::Clean(format!("{} scripts", scripts.len())))
}

/// Whether its first line calls a shell.
fn is_script(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first
        .strip_prefix("#!")
        .and_then(|call| call.rsplit(['/', ' ']).next())
        .is_some_and(|shell| ["sh", "bash"].contains(&shell))
}

/// The forge's own schema of its workflows.
pub(super) fn workflows(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let files = ground.files(".github/workflows", ".yml")?;
    let mut command = ground.python_program("check-jsonschema");
    command
        .args(["--builtin-schema", "vendor.github-workflows"])
        .args(&files);
    process::capture(&mut command, LIMIT)?;
    Ok(Verdict::Clean(format!("{} workflows", files.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_told_by_its_first_line() {
        assert!(is_script(b"#!/bin/sh\nset -eu\n") && is_script(b"#!/usr/bin/env bash\n"));
        assert!(!is_script(b"#!/usr/bin/env python3\n") && !is_script(b"sh\n") && !is_script(b"\xff\xfe"));
    }
}
