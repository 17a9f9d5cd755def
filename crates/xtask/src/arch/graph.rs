//! Who depends on whom, as cargo sees it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata};

use super::Rules;
use crate::cargo;

/// Our crates with their dependencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// The members of the workspace.
    pub packages: Vec<Package>,
    /// For the inner crates, every crate beneath them on this platform, tests included.
    pub beneath: BTreeMap<String, BTreeSet<String>>,
    /// Inner crates whose tree cargo could not tell, and why.
    pub unknown: BTreeMap<String, String>,
}

/// One of our crates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// What its manifest names, for all platforms, optional ones too.
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package's name, whatever it is called in the code.
    pub name: String,
    /// Which section it stands in.
    pub kind: Kind,
}

/// The section of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `dependencies` and `build-dependencies`
    Normal,
    /// `dev-dependencies`
    Dev,
}

impl Graph {
    /// Asks cargo; without the network if what it needs is there.
    pub fn load(rules: &Rules) -> anyhow::Result<Self> {
        let metadata = ask(&["metadata", "--format-version=1", "--no-deps"])?;
        let metadata: Metadata = serde_json::from_str(&metadata).context("unreadable answer of cargo")?;
        let mut graph = Self {
            packages: packages(&metadata),
            ..Self::default()
        };
        for inner in rules.inner_crates() {
            if graph.packages.iter().any(|package| package.name == inner) {
                graph.look_beneath(inner)?;
            }
        }
        Ok(graph)
    }

    /// Not by the resolve of `cargo metadata`: that one unites the features that anybody in the workspace asks for,
    /// and would show serde beneath the domain because others use uuid's serde feature.
    fn look_beneath(&mut self, inner: &str) -> anyhow::Result<()> {
        let tree = ask(&[
            "tree",
            "--edges=normal,build,dev",
            "--prefix=none",
            "--package",
            inner,
        ]);
        crate::interrupt::check()?;
        match tree {
            Ok(tree) => drop(self.beneath.insert(inner.to_owned(), tree_names(&tree, inner))),
            // Most often a manifest that was changed and not built since: what it names is checked all the same.
            Err(error) => drop(self.unknown.insert(inner.to_owned(), format!("{error:#}"))),
        }
        Ok(())
    }
}

fn ask(arguments: &[&str]) -> anyhow::Result<String> {
    let run = |more: &[&str]| cargo::ask(&[arguments, &["--locked"], more].concat());
    run(&["--offline"]).or_else(|_| run(&[]))
}

fn packages(metadata: &Metadata) -> Vec<Package> {
    let members = metadata.workspace_packages();
    let package = |member: &&cargo_metadata::Package| Package {
        name: member.name.to_string(),
        dependencies: member
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                kind: match dependency.kind {
                    DependencyKind::Development => Kind::Dev,
                    _ => Kind::Normal,
                },
            })
            .collect(),
    };
    members.iter().map(package).collect()
}

/// Names out of lines such as `url v2.5.8` or `thiserror-impl v2.0.21 (proc-macro)`.
fn tree_names(tree: &str, root: &str) -> BTreeSet<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != root && !name.starts_with('['))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_a_tree() {
        let tree = "inner v0.1.0 (/x)\nurl v2.5.8\nidna v1.1.0\nurl v2.5.8 (*)\n[dev-dependencies]\nproptest v1.12.0\n";
        let names: Vec<String> = tree_names(tree, "inner").into_iter().collect();
        assert_eq!(names, ["idna", "proptest", "url"]);
    }
}
