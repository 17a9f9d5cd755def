//! The version, wherever it stands: the workspace's.

use anyhow::{Context, ensure};

use super::Options;
use super::ground::Ground;
use super::table::Verdict;

/// Where Postrider's stands, by what stands before it, each time that this stands there.
const PLACES: [(&str, &str); 6] = [
    ("Dockerfile", "\nARG VERSION="),
    ("docker-compose.yml", IMAGE),
    ("deploy/kubernetes/base/deployment.yaml", IMAGE),
    ("deploy/kubernetes/migrate/job.yaml", IMAGE),
    (
        "deploy/kubernetes/overlays/production/kustomization.yaml",
        "newTag: ",
    ),
    (".github/workflows/ci.yml", IMAGE),
];
const IMAGE: &str = " postrider:";
/// Where Rust's stands: for developers, and for the image.
const RUST: [(&str, &str); 2] = [
    ("rust-toolchain.toml", "\nchannel = "),
    ("Dockerfile", "\nARG RUST_VERSION="),
];

/// One version of Postrider, and one of Rust.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let manifest: toml::Table = ground.text("Cargo.toml")?.parse()?;
    let version = manifest["workspace"]["package"]["version"]
        .as_str()
        .context("no version")?;
    let mut findings = Vec::new();
    let mut places = 0;
    for (file, before) in PLACES {
        for found in behind(&ground.text(file)?, before).with_context(|| file.to_owned())? {
            places += 1;
            if found != version {
                findings.push(format!("{file}: {found} instead of {version}"));
            }
        }
    }
    let mut rust = Vec::new();
    for (file, before) in RUST {
        rust.extend(behind(&ground.text(file)?, before).with_context(|| file.to_owned())?);
    }
    rust.sort_unstable();
    rust.dedup();
    if rust.len() > 1 {
        findings.push(format!(
            "the image is not built with the Rust of everything else: {}",
            rust.join(", ")
        ));
    }
    Ok(Verdict::of(
        findings,
        format!("Postrider {version} in {places} places, Rust {}", rust.join(", ")),
    ))
}

/// What stands behind this, up to the end of the word, without quotes; an error if it stands nowhere.
fn behind(text: &str, before: &str) -> anyhow::Result<Vec<String>> {
    let found: Vec<String> = text
        .split(before)
        .skip(1)
        .map(|rest| rest.split_whitespace().next().unwrap_or_default())
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    ensure!(!found.is_empty(), "no {:?}", before.trim());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_file_is_found() {
        let text = "x:\n  tags: postrider:0.1.0\n  run: docker run postrider:0.2.0 config check\n  at /var/lib/postrider:uid=1\n";
        assert_eq!(behind(text, IMAGE).unwrap(), ["0.1.0", "0.2.0"]);
        assert_eq!(
            behind("a\nchannel = \"1.95.0\"\n", "\nchannel = ").unwrap(),
            ["1.95.0"]
        );
        assert!(behind(text, "newTag: ").is_err());
    }
}
