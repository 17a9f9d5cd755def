//! Configurations in deploy/, read by the binary that they are for.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

use super::Options;
use super::ground::{Ground, LIMIT, list, text};
use super::render;
use super::table::Verdict;
use crate::product::Binary;
use crate::{chance, process};

/// Settings of the compose stack that stand in its file, by the service that has them.
const COMPOSE: &str = "docker-compose.yml";
const SYSTEMD: &str = "deploy/systemd/postrider.toml";

/// A configuration: where it stands, its file's text, its environment.
struct Configuration {
    place: String,
    file: String,
    environment: BTreeMap<String, String>,
}

/// `postrider config check` takes each of them, and refuses one that is wrong.
pub(super) fn check(ground: &Ground, options: &Options) -> anyhow::Result<Verdict> {
    if options.without_binary {
        return Ok(Verdict::Skipped("--without-binary".to_owned()));
    }
    let binary = Binary::get(&options.which)?;
    let mut all = vec![Configuration {
        place: SYSTEMD.to_owned(),
        file: ground.text(SYSTEMD)?,
        environment: BTreeMap::new(),
    }];
    all.extend(of_kubernetes(ground)?);
    all.push(of_compose(ground)?);
    let mut findings = Vec::new();
    for configuration in &all {
        if let Err(error) = read(ground, &binary, configuration) {
            findings.push(format!("{}: {error:#}", configuration.place));
        }
    }
    // Or the check would say nothing.
    let wrong = Configuration {
        place: "a wrong one".to_owned(),
        file: "[server]\nport = 1\n".to_owned(),
        environment: BTreeMap::new(),
    };
    if read(ground, &binary, &wrong).is_ok() {
        findings.push("the binary takes a configuration with an unknown key".to_owned());
    }
    Ok(Verdict::of(findings, format!("{} configurations", all.len())))
}

fn read(ground: &Ground, binary: &Binary, configuration: &Configuration) -> anyhow::Result<()> {
    let file = ground.folder().join("postrider.toml");
    std::fs::write(&file, &configuration.file)?;
    let mut command = binary.command();
    command
        .args(["config", "check", "--config"])
        .arg(&file)
        .envs(&configuration.environment)
        .current_dir(ground.folder());
    process::capture(&mut command, LIMIT).map(drop)
}

/// The `ConfigMap` with the environment of each Deployment. Secrets have stand-ins.
fn of_kubernetes(ground: &Ground) -> anyhow::Result<Vec<Configuration>> {
    let mut found = Vec::new();
    for (folder, resources) in render::all(ground)? {
        let map = resources.iter().find(|one| one["kind"] == "ConfigMap");
        let file = map
            .map_or("", |map| text(&map["data"]["postrider.toml"]))
            .to_owned();
        for workload in resources.iter().filter(|one| one["spec"]["template"].is_object()) {
            for container in list(&workload["spec"]["template"]["spec"]["containers"]) {
                let environment = list(&container["env"])
                    .iter()
                    .filter_map(|variable| setting(text(&variable["name"]), &variable["value"]).transpose())
                    .collect::<anyhow::Result<_>>()?;
                found.push(Configuration {
                    place: format!("{folder}: {}", render::name(workload)),
                    file: file.clone(),
                    environment,
                });
            }
        }
    }
    Ok(found)
}

/// The environment of the nodes, beside a file as secrets.sh writes it.
fn of_compose(ground: &Ground) -> anyhow::Result<Configuration> {
    let file = ground.yaml_one(COMPOSE)?;
    let environment = file["services"]["postrider-a"]["environment"]
        .as_object()
        .context("postrider-a has no environment")?
        .iter()
        .filter_map(|(name, value)| setting(name, value).transpose())
        .collect::<anyhow::Result<_>>()?;
    let secrets = format!(
        "[database]\nurl = \"postgres://postrider:x@postgres:5432/postrider\"\n\n[security]\nmaster_key = \"{}\"\n\
         operator_token_hashes = [\"{}\"]\n",
        chance::secret_hex(32)?,
        chance::secret_hex(32)?
    );
    Ok(Configuration {
        place: COMPOSE.to_owned(),
        file: secrets,
        environment,
    })
}

/// A variable of ours with its value, or with a stand-in where it comes from a Secret.
fn setting(name: &str, value: &Value) -> anyhow::Result<Option<(String, String)>> {
    if !name.starts_with("POSTRIDER_") || name == "POSTRIDER_CONFIG" {
        return Ok(None);
    }
    let value = match (value.as_str(), name) {
        (Some(value), _) => value.to_owned(),
        (None, "POSTRIDER_SECURITY__MASTER_KEY") => chance::secret_hex(32)?,
        (None, "POSTRIDER_SECURITY__OTHER_MASTER_KEYS" | "POSTRIDER_SECURITY__OPERATOR_TOKEN_HASHES") => {
            "[]".to_owned()
        }
        (None, "POSTRIDER_DATABASE__URL" | "POSTRIDER_DATABASE__ADMIN_URL") => {
            "postgres://a:b@c/d".to_owned()
        }
        (None, _) => anyhow::bail!("{name} has no value, and no stand-in is known for it"),
    };
    Ok(Some((name.to_owned(), value)))
}
