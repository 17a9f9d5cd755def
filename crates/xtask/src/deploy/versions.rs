//! The version, wherever it stands: the workspace's.

use anyhow::Context;

use super::Options;
use super::ground::Ground;
use super::table::Verdict;

/// Where it stands, by what stands before it in its line.
const PLACES: [(&str, &str); 6] = [
    ("Dockerfile", "ARG VERSION="),
    ("docker-compose.yml", "  image: postrider:"),
    ("deploy/kubernetes/base/deployment.yaml", "          image: postrider:"),
    ("deploy/kubernetes/migrate/job.yaml", "          image: postrider:"),
    ("deploy/kubernetes/overlays/production/kustomization.yaml", "    newTag: "),
    ("rust-toolchain.toml", "channel = \""),
];
/// The toolchain's, which the Dockerfile names too.
const TOOLCHAIN: (&str, &str) = ("Dockerfile", "ARG RUST_VERSION=");

/// One version of Postrider, and one of Rust.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let manifest: toml::Table = ground.text("Cargo.toml")?.parse()?;
    let version = manifest["workspace"]["package"]["version"].as_str().context("no version")?;
    let mut findings = Vec::new();
    let (toolchain, own) = PLACES.split_last().context("no places")?;
    for (file, before) in own {
        let found = after(&ground.text(file)?, before)?;
        if found != version {
            findings.push(format!("{file}: {found} instead of {version}"));
        }
    }
    let rust = after(&ground.text(toolchain.0)?, toolchain.1)?;
    let image = after(&ground.text(TOOLCHAIN.0)?, TOOLCHAIN.1)?;
    if rust != image {
        findings.push(format!("the Dockerfile builds with Rust {image}, everybody else with {rust}"));
    }
    Ok(Verdict::of(findings, format!("Postrider {version} in {} places, Rust {rust}", own.len())))
}

fn after(text: &str, before: &str) -> anyhow::Result<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(before))
        .map(|rest| rest.trim().trim_matches('"').to_owned())
        .with_context(|| format!("no line {before:?}"))
}
