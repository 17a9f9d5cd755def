//! `cargo xtask check-arch`: the house as the design draws it, checked.

use std::process::ExitCode;

use crate::arch::{self, Finding};
use crate::cargo;

/// Checks dependencies, layout and sources against `arch.toml`; fails if a rule is broken.
pub fn run() -> anyhow::Result<ExitCode> {
    let root = cargo::workspace_root();
    let rules = arch::Rules::read(&root.join(arch::FILE))?;
    let graph = arch::Graph::load(&rules)?;
    let sources = arch::Sources::list(&root)?;
    let mut findings = arch::check_dependencies(&rules, &graph);
    findings.extend(arch::check_layout(&rules, &sources));
    findings.extend(arch::check_sources(&rules, &sources)?);
    let (warnings, violations): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.is_warning);
    for finding in warnings.iter().chain(&violations) {
        println!("{finding}");
    }
    println!(
        "architecture: {} crates, {} files checked, {} violations, {} warnings",
        graph.packages.len(),
        sources.files.len(),
        violations.len(),
        warnings.len()
    );
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
