//! The version, wherever it stands: the workspace's.

use anyhow::Context;

use super::Options;
use super::ground::Ground;
use super::table::Verdict;

/// Where Postrider's stands, by what stands before it in its line.
const PLACES: [(&str, &str); 6] = [
    ("Dockerfile", "ARG VERSION="),
    ("docker-compose.yml", "  image: postrider:"),
    (
        "deploy/kubernetes/base/deployment.yaml",
        "          image: postrider:",
    ),
    (
        "deploy/kubernetes/migrate/job.yaml",
        "          image: postrider:",
    ),
    (
        "deploy/kubernetes/overlays/production/kustomization.yaml",
        "    newTag: ",
    ),
    (".github/workflows/ci.yml", "          tags: postrider:"),
];
/// Where Rust's stands: for developers, and for the image.
const RUST: [(&str, &str); 2] = [
    ("rust-toolchain.toml", "channel = "),
    ("Dockerfile", "ARG RUST_VERSION="),
];

/// One version of Postrider, and one of Rust.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let manifest: toml::Table = ground.text("Cargo.toml")?.parse()?;
    let version = manifest["workspace"]["package"]["version"]
        .as_str()
        .context("no version")?;
    let mut findings = Vec::new();
    for (file, before) in PLACES {
        let found = after(&ground.text(file)?, before)?;
        if found != version {
            findings.push(format!("{file}: {found} instead of {version}"));
        }
    }
    let mut rust = Vec::new();
    for (file, before) in RUST {
        rust.push(after(&ground.text(file)?, before)?);
    }
    if rust[0] != rust[1] {
        findings.push(format!(
            "the image is built with Rust {}, everything else with {}",
            rust[1], rust[0]
        ));
    }
    Ok(Verdict::of(
        findings,
        format!("Postrider {version} in {} places, Rust {}", PLACES.len(), rust[0]),
    ))
}

fn after(text: &str, before: &str) -> anyhow::Result<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(before))
        .map(|rest| rest.trim().trim_matches('"').to_owned())
        .with_context(|| format!("no line {before:?}"))
}
