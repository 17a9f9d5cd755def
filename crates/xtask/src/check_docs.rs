//! `cargo xtask check-docs`: documents that say what is so, and links that lead somewhere.

use std::process::ExitCode;

use crate::cargo;
use crate::docs::{self, Repository};

/// Checks the Markdown files of the repository; fails if anything is found.
pub fn run() -> anyhow::Result<ExitCode> {
    let report = docs::check(&Repository::open(&cargo::workspace_root())?)?;
    for finding in &report.findings {
        println!("{finding}");
    }
    println!(
        "documents: {} pages, {} links within the repository, {} findings",
        report.pages,
        report.links,
        report.findings.len()
    );
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
