//! The kustomizations rendered, by kustomize or kubectl where there is one, and by ourselves, which must be the same.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::Options;
use super::ground::{Ground, LIMIT, text};
use super::programs::Program;
use super::table::Verdict;
use crate::process;

/// What somebody would apply.
pub(super) const KUSTOMIZATIONS: [&str; 4] = [
    "deploy/kubernetes/base",
    "deploy/kubernetes/migrate",
    "deploy/kubernetes/overlays/production",
    "deploy/kubernetes/overlays/trial",
];

/// Every kustomization, rendered by ourselves.
pub(super) fn all(ground: &Ground) -> anyhow::Result<Vec<(&'static str, Vec<Value>)>> {
    KUSTOMIZATIONS
        .into_iter()
        .map(|folder| Ok((folder, ground.rendered(folder)?)))
        .collect()
}

/// Our own renderer against the real one.
pub(super) fn compare(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let rendered = all(ground)?;
    let count: usize = rendered.iter().map(|(_, resources)| resources.len()).sum();
    let Some((name, command)) = real() else {
        return Ok(Verdict::Skipped(format!(
            "neither kustomize nor kubectl here to compare {count} resources with"
        )));
    };
    let mut findings = Vec::new();
    for (folder, ours) in &rendered {
        let theirs = by_the_real(ground, &command, folder)?;
        findings.extend(
            differences(ours, &theirs)
                .into_iter()
                .map(|found| format!("{folder}: {found}")),
        );
    }
    Ok(Verdict::of(
        findings,
        format!("{count} resources, the same by {name}"),
    ))
}

/// kustomize or kubectl, and the words that make it render.
fn real() -> Option<(&'static str, (Program, Vec<&'static str>))> {
    if let Some(kustomize) = Program::installed("kustomize") {
        return Some(("kustomize", (kustomize, vec!["build"])));
    }
    Program::installed("kubectl").map(|kubectl| ("kubectl", (kubectl, vec!["kustomize"])))
}

fn by_the_real(
    ground: &Ground,
    (program, words): &(Program, Vec<&str>),
    folder: &str,
) -> anyhow::Result<Vec<Value>> {
    let mut command: Command = program.command();
    command.args(words).arg(folder).current_dir(&ground.root);
    let said = process::capture(&mut command, LIMIT)?;
    let file = ground.folder().join("rendered.yaml");
    std::fs::write(&file, said)?;
    ground.yaml(&[file.to_str().context("the temporary folder's name is not text")?])
}

/// A resource's name among all others.
pub(super) fn name(resource: &Value) -> String {
    let namespace = text(&resource["metadata"]["namespace"]);
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!(
        "{} {namespace}{slash}{}",
        text(&resource["kind"]),
        text(&resource["metadata"]["name"])
    )
}

fn differences(ours: &[Value], theirs: &[Value]) -> Vec<String> {
    let find = |among: &[Value], wanted: &str| among.iter().find(|one| name(one) == wanted).cloned();
    let mut names: Vec<String> = ours.iter().chain(theirs).map(name).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| find(ours, name) != find(theirs, name))
        .map(|name| format!("{name} is rendered differently by ourselves"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_or_is_missing_is_named() {
        let resource = |name: &str, replicas: u32| json!({ "kind": "Deployment", "metadata": { "name": name, "namespace": "n" }, "replicas": replicas });
        let ours = [resource("a", 1), resource("b", 1)];
        assert_eq!(
            differences(&ours, &[resource("b", 1), resource("a", 1)]),
            Vec::<String>::new()
        );
        let found = differences(&ours, &[resource("a", 2), resource("c", 1)]);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("Deployment n/a "));
    }
}
