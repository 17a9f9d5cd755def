//! `cargo xtask sbom`: what the shipped binary is made of, as `CycloneDX` 1.5 in JSON.
//!
//! The same tree gives the same bytes: no time unless `SOURCE_DATE_EPOCH` is set, a serial number made of the content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use cargo_metadata::{DependencyKind, Metadata, Package};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::conformance::tools;
use crate::{cargo, process};

const PRODUCT: &str = "postrider";
const VALIDATOR_LIMIT: Duration = Duration::from_mins(5);
/// The validator with the schemas of `CycloneDX`.
const VALIDATOR: &str = "cyclonedx-python-lib[json-validation]==11.12.0";
const VALIDATE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1], encoding='utf-8').read())
sys.exit(None if fault is None else str(fault))
";

/// Options of the command.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to write it; to standard output without one
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The platform that the binary is for
    #[arg(long, value_name = "TRIPLE", default_value = "x86_64-unknown-linux-gnu")]
    target: String,
    /// Judge it by `CycloneDX`'s own schema (needs Python)
    #[arg(long)]
    check: bool,
}

/// Writes it, and has it judged.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let document = document(&options.target)?;
    let text = serde_json::to_string_pretty(&document)? + "\n";
    if options.check {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &text)?;
        let python = tools::python("sbom", &[VALIDATOR])?.join("python");
        let mut command = std::process::Command::new(python);
        command.args(["-c", VALIDATE]).arg(file.path());
        process::capture(&mut command, VALIDATOR_LIMIT).context("not CycloneDX 1.5")?;
    }
    match &options.output {
        Some(path) => std::fs::write(path, text).with_context(|| path.display().to_string())?,
        None if options.check => {}
        None => print!("{text}"),
    }
    let components = document["components"].as_array().map_or(0, Vec::len);
    let judged = if options.check {
        ", valid CycloneDX 1.5"
    } else {
        ""
    };
    eprintln!("{components} components for {}{judged}", options.target);
    Ok(ExitCode::SUCCESS)
}

fn document(target: &str) -> anyhow::Result<Value> {
    let metadata = cargo::ask(&[
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        target,
    ])?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("unreadable answer of cargo")?;
    let names = in_the_binary(target)?;
    let lock = std::fs::read_to_string(cargo::workspace_root().join("Cargo.lock")).context("Cargo.lock")?;
    let packages: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| names.contains(&key(package)))
        .collect();
    ensure!(
        packages.len() == names.len(),
        "cargo's tree has {} packages, its metadata {} of them",
        names.len(),
        packages.len()
    );
    let document = describe(&packages, &edges(&metadata, &packages), &checksums(&lock)?)?;
    Ok(with_serial_number(document))
}

/// Name and version of all that is linked in or makes it. Not by the resolve of `cargo metadata`, which unites the
/// features that anybody in the workspace asks for.
fn in_the_binary(target: &str) -> anyhow::Result<BTreeSet<(String, String)>> {
    let tree = cargo::ask(&[
        "tree",
        "--locked",
        "--edges=normal,build",
        "--prefix=none",
        "--format={p}",
        "--package",
        PRODUCT,
        "--target",
        target,
    ])?;
    tree.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().context("an empty line")?;
            let version = words.next().with_context(|| line.to_owned())?;
            Ok((name.to_owned(), version.trim_start_matches('v').to_owned()))
        })
        .collect()
}

fn key(package: &Package) -> (String, String) {
    (package.name.to_string(), package.version.to_string())
}

/// A package's name among all components.
fn reference(package: &Package) -> String {
    format!(
        "pkg:cargo/{}@{}",
        package.name,
        package.version.to_string().replace('+', "%2B")
    )
}

/// Who needs whom, among these.
fn edges(metadata: &Metadata, packages: &[&Package]) -> BTreeMap<String, BTreeSet<String>> {
    let by_id: BTreeMap<_, _> = packages
        .iter()
        .map(|package| (&package.id, reference(package)))
        .collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = by_id
        .values()
        .map(|name| (name.clone(), BTreeSet::new()))
        .collect();
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        let Some(needed) = by_id.get(&node.id).and_then(|name| edges.get_mut(name)) else {
            continue;
        };
        let shipped = node.deps.iter().filter(|dependency| {
            dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        needed.extend(shipped.filter_map(|dependency| by_id.get(&dependency.pkg).cloned()));
    }
    edges
}

/// SHA-256 of the archives, as the lock file has them.
fn checksums(lock: &str) -> anyhow::Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .context("Cargo.lock")?;
    let text = |package: &toml::Value, field: &str| {
        package
            .get(field)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
    };
    Ok(packages
        .iter()
        .filter_map(|package| {
            let name = (text(package, "name")?, text(package, "version")?);
            Some((name, text(package, "checksum")?))
        })
        .collect())
}

fn describe(
    packages: &[&Package],
    edges: &BTreeMap<String, BTreeSet<String>>,
    checksums: &BTreeMap<(String, String), String>,
) -> anyhow::Result<Value> {
    let product = packages
        .iter()
        .find(|package| package.name.as_str() == PRODUCT)
        .context("the product is not among its packages")?;
    let mut components: Vec<Value> = packages
        .iter()
        .filter(|package| package.id != product.id)
        .map(|package| component(package, "library", checksums))
        .collect();
    components.sort_by(|a, b| a["bom-ref"].as_str().cmp(&b["bom-ref"].as_str()));
    let dependencies: Vec<Value> = edges
        .iter()
        .map(|(name, needed)| json!({ "ref": name, "dependsOn": needed }))
        .collect();
    let mut metadata = json!({
        "tools": { "components": [{ "type": "application", "name": "cargo xtask sbom", "version": env!("CARGO_PKG_VERSION") }] },
        "component": component(product, "application", checksums),
    });
    if let Ok(seconds) = std::env::var("SOURCE_DATE_EPOCH") {
        metadata["timestamp"] = json!(timestamp(seconds.parse().context("SOURCE_DATE_EPOCH")?));
    }
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(package: &Package, kind: &str, checksums: &BTreeMap<(String, String), String>) -> Value {
    let name = reference(package);
    let mut component = json!({
        "type": kind,
        "bom-ref": name,
        "name": package.name.as_str(),
        "version": package.version.to_string(),
        "purl": name,
    });
    if let Some(description) = &package.description {
        component["description"] = json!(description.trim());
    }
    if let Some(license) = &package.license {
        // The old way of writing "or".
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(checksum) = checksums.get(&key(package)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if package.source.is_none() {
        // Ours: it cannot be fetched under this name.
        component["properties"] = json!([{ "name": "cargo:source", "value": "workspace" }]);
    }
    if let Some(repository) = package
        .repository
        .as_deref()
        .filter(|url| url.starts_with("https://"))
    {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// A number that follows from the content: of version 8, which leaves its bits to whoever makes it.
fn with_serial_number(mut document: Value) -> Value {
    let digest = Sha256::digest(document.to_string());
    let mut bytes: [u8; 16] = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    document["serialNumber"] = json!(format!("urn:uuid:{}", parts.join("-")));
    document
}

/// Seconds since 1970 as a date and a time of UTC, by the civil calendar.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that the day that leap years add is their last; 400 years have 146,097 days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_civil_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_795_415_400), "2026-11-23T06:30:00Z");
        assert_eq!(timestamp(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn the_serial_number_follows_from_the_content() {
        let of = |value: Value| {
            with_serial_number(value)["serialNumber"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let one = of(json!({ "a": 1 }));
        assert_eq!(one, of(json!({ "a": 1 })));
        assert_ne!(one, of(json!({ "a": 2 })));
        assert_eq!((one.len(), &one[..9], &one[23..24]), (45, "urn:uuid:", "8"));
    }

    #[test]
    fn checksums_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let checksums = checksums(lock).unwrap();
        assert_eq!(checksums.len(), 1);
        assert_eq!(checksums[&("a".to_owned(), "1.0.0".to_owned())], "ff");
    }

    #[test]
    fn the_product_is_described_with_all_that_is_in_it_and_nothing_of_its_tests() {
        let document = document("x86_64-unknown-linux-gnu").unwrap();
        let has = |name: &str| {
            document["components"]
                .as_array()
                .unwrap()
                .iter()
                .any(|component| component["name"] == name)
        };
        assert_eq!(document["metadata"]["component"]["name"], PRODUCT);
        assert!(has("tokio") && has("postrider-domain") && has("aws-lc-sys"));
        assert!(!has("mockall") && !has("postrider-testkit") && !has("xtask"));
        let refs: BTreeSet<&str> = document["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["ref"].as_str())
            .collect();
        assert_eq!(refs.len(), document["components"].as_array().unwrap().len() + 1);
    }
}
