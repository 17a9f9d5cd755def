//! The graph against the table.

use std::collections::BTreeSet;

use super::graph::{Graph, Kind, Package};
use super::rules::{Reasons, Rules, fits};
use super::{FILE, Finding};

/// Everything in the graph that the rules do not allow.
pub fn check(rules: &Rules, graph: &Graph) -> Vec<Finding> {
    let ours: BTreeSet<&str> = graph
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for package in &graph.packages {
        findings.extend(check_ours(rules, package, &ours));
        findings.extend(check_third_party(rules, package, &ours));
    }
    findings.extend(unknown_crates(rules, &ours));
    findings.extend(check_beneath(rules, graph));
    findings
}

fn check_ours(rules: &Rules, package: &Package, ours: &BTreeSet<&str>) -> Vec<Finding> {
    let Some(allowed) = rules.crates.get(&package.name) else {
        return vec![Finding::violation(
            format!("{} is not in the table of crates", package.name),
            "every crate of the workspace has its place in the house",
            format!(
                "add it to [crates] in {FILE}, to the table in CONTRIBUTING.md and to the tree in docs/architecture.md, or make it a module"
            ),
        )];
    };
    let mut findings = Vec::new();
    for dependency in package
        .dependencies
        .iter()
        .filter(|dependency| ours.contains(dependency.name.as_str()))
    {
        let name = &dependency.name;
        let (fine, section) = match dependency.kind {
            Kind::Normal => (allowed.contains(name), "dependencies"),
            Kind::Dev => (
                allowed.contains(name)
                    || (rules.dev.anyone.contains(name) && !rules.dev.except.contains(&package.name)),
                "dev-dependencies",
            ),
        };
        if !fine {
            findings.push(Finding::violation(
                format!("{} has {name} in its {section}", package.name),
                format!("{} may know of ours: {}", package.name, list(allowed)),
                "move the code to the side that may know the other, or define a port in the application crate",
            ));
        }
    }
    findings
}

fn check_third_party(rules: &Rules, package: &Package, ours: &BTreeSet<&str>) -> Vec<Finding> {
    let Some(lists) = rules.third_party.get(&package.name) else {
        return Vec::new();
    };
    let foreign = package
        .dependencies
        .iter()
        .filter(|dependency| !ours.contains(dependency.name.as_str()));
    let mut findings = Vec::new();
    for dependency in foreign {
        let (allowed, section): (Vec<&String>, &str) = match dependency.kind {
            Kind::Normal => (lists.normal.keys().collect(), "normal"),
            Kind::Dev => (lists.dev.keys().chain(lists.normal.keys()).collect(), "dev"),
        };
        if !allowed.contains(&&dependency.name) {
            findings.push(Finding::violation(
                format!("{} depends on {} ({section})", package.name, dependency.name),
                format!(
                    "third-party crates of {} are allowed one by one; {section}: {}",
                    package.name,
                    list(allowed)
                ),
                format!(
                    "do the work in an adapter behind a port; if the crate really belongs here, add it with its \
                     reason to [third_party.{}.{section}] in {FILE}",
                    package.name
                ),
            ));
        }
    }
    findings
}

/// Rules about crates that no longer exist would be silently void.
fn unknown_crates(rules: &Rules, ours: &BTreeSet<&str>) -> Vec<Finding> {
    let named = rules
        .crates
        .keys()
        .chain(rules.third_party.keys())
        .chain(rules.forbidden.keys());
    let gone: BTreeSet<&String> = named.filter(|name| !ours.contains(name.as_str())).collect();
    gone.into_iter()
        .map(|name| {
            Finding::violation(
                format!("{FILE} has rules for {name}, which is not in the workspace"),
                "the table names the crates that exist",
                "remove the rules or mend the name",
            )
        })
        .collect()
}

fn check_beneath(rules: &Rules, graph: &Graph) -> Vec<Finding> {
    let none = Reasons::new();
    let mut findings: Vec<Finding> = graph
        .unknown
        .iter()
        .map(|(inner, why)| unknown_tree(inner, why))
        .collect();
    for (inner, forbidden) in &rules.forbidden {
        let Some(beneath) = graph.beneath.get(inner) else {
            continue;
        };
        let excepted = rules.forbidden_exceptions.get(inner).unwrap_or(&none);
        for name in beneath.iter().filter(|name| !excepted.contains_key(*name)) {
            if let Some((_, reason)) = forbidden.iter().find(|(pattern, _)| fits(pattern, name)) {
                findings.push(Finding::violation(
                    format!("{name} is in the tree beneath {inner}"),
                    format!("nothing of the kind beneath {inner}, tests included: {reason}"),
                    format!(
                        "`cargo tree -p {inner} -e normal,dev -i {name}` shows who brings it; drop that crate or \
                         its feature"
                    ),
                ));
            }
        }
    }
    findings
}

fn unknown_tree(inner: &str, why: &str) -> Finding {
    Finding::violation(
        format!("what lies beneath {inner} could not be looked at: {why}"),
        format!("the whole tree beneath {inner} is checked, as Cargo.lock has it"),
        "mend the violations above, then bring Cargo.lock up to date (any cargo build does)",
    )
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Dependency;
    use super::*;
    use std::path::Path;

    fn rules() -> Rules {
        Rules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("arch.toml")).unwrap()
    }

    /// The house as the table has it, with nothing but what is allowed.
    fn house() -> Graph {
        let rules = rules();
        let packages = rules.crates.iter().map(|(name, allowed)| {
            let foreign = rules.third_party.get(name).cloned().unwrap_or_default();
            let normal = allowed
                .iter()
                .chain(foreign.normal.keys())
                .map(|name| (name, Kind::Normal));
            let all = normal.chain(foreign.dev.keys().map(|name| (name, Kind::Dev)));
            Package {
                name: name.clone(),
                dependencies: all
                    .map(|(name, kind)| Dependency {
                        name: name.clone(),
                        kind,
                    })
                    .collect(),
            }
        });
        let mut graph = Graph {
            packages: packages.collect(),
            ..Graph::default()
        };
        let beneath = ["url", "idna", "proptest", "rand"].map(str::to_owned);
        graph
            .beneath
            .insert("postrider-domain".to_owned(), beneath.into());
        graph
    }

    fn with(package: &str, dependency: &str, kind: Kind) -> Vec<Finding> {
        let mut graph = house();
        let found = graph
            .packages
            .iter_mut()
            .find(|known| known.name == package)
            .unwrap();
        found.dependencies.push(Dependency {
            name: dependency.to_owned(),
            kind,
        });
        check(&rules(), &graph)
    }

    #[test]
    fn the_house_as_drawn_is_fine() {
        assert_eq!(check(&rules(), &house()), []);
    }

    #[test]
    fn an_orm_in_the_domain_is_refused_with_a_way_out() {
        let findings = with("postrider-domain", "sea-orm", Kind::Normal);
        assert_eq!(findings.len(), 1);
        let said = findings[0].to_string();
        assert!(said.contains("postrider-domain depends on sea-orm"), "{said}");
        assert!(said.contains("mend:") && said.contains("port"), "{said}");
    }

    #[test]
    fn serde_and_a_runtime_are_refused_in_the_domains_tests_too() {
        assert_eq!(with("postrider-domain", "serde", Kind::Normal).len(), 1);
        assert_eq!(with("postrider-domain", "tokio", Kind::Dev).len(), 1);
    }

    #[test]
    fn the_domains_tests_do_without_the_testkit_and_others_may_have_it() {
        assert_eq!(with("postrider-domain", "postrider-testkit", Kind::Dev).len(), 1);
        assert_eq!(with("postrider-engine", "postrider-testkit", Kind::Dev), []);
        assert_eq!(with("postrider-engine", "postrider-crypto", Kind::Dev), []);
        assert_eq!(
            with("postrider-engine", "postrider-crypto", Kind::Normal).len(),
            1
        );
    }

    #[test]
    fn an_arrow_that_points_outwards_is_refused() {
        assert_eq!(
            with("postrider-application", "postrider-persistence", Kind::Normal).len(),
            1
        );
        assert_eq!(with("postrider-cache", "postrider-crypto", Kind::Normal).len(), 1);
        assert_eq!(with("xtask", "postrider-domain", Kind::Normal).len(), 1);
    }

    #[test]
    fn a_test_crate_of_the_application_stays_out_of_its_product_code() {
        assert_eq!(with("postrider-application", "tokio", Kind::Normal).len(), 1);
        assert_eq!(with("postrider-application", "tracing", Kind::Dev), []);
    }

    #[test]
    fn what_is_brought_along_counts() {
        let mut graph = house();
        let beneath = graph.beneath.get_mut("postrider-domain").unwrap();
        beneath.extend(["sqlx-core".to_owned(), "serde_core".to_owned()]);
        let findings = check(&rules(), &graph);
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().any(|finding| finding.what.contains("sqlx-core")));
    }

    #[test]
    fn a_tree_that_cannot_be_looked_at_is_no_pass() {
        let mut graph = house();
        graph.beneath.clear();
        graph.unknown.insert(
            "postrider-domain".to_owned(),
            "Cargo.lock needs to be updated".to_owned(),
        );
        assert_eq!(check(&rules(), &graph).len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_place_and_a_gone_one_none() {
        let mut graph = house();
        graph.packages.retain(|package| package.name != "postrider-cache");
        graph.packages.push(Package {
            name: "postrider-utils".to_owned(),
            dependencies: Vec::new(),
        });
        let said: Vec<String> = check(&rules(), &graph)
            .iter()
            .map(|finding| finding.what.clone())
            .collect();
        assert!(
            said.iter()
                .any(|what| what.contains("postrider-utils is not in the table")),
            "{said:?}"
        );
        assert!(
            said.iter()
                .any(|what| what.contains("postrider-cache, which is not")),
            "{said:?}"
        );
    }
}
