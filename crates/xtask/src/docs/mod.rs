//! The documents, checked: the form and the truth of docs/architecture.md, links of all pages, and the indexes.
//!
//! What is true stands in the code and in docs/openapi.json; what is written, in the Markdown files. Each room compares
//! one with the other and says where they differ.

mod api;
mod code;
mod form;
mod index;
mod links;
mod listed;
mod markdown;
mod repository;
mod schemas;
mod signatures;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

pub use repository::Repository;

use markdown::Page;

/// The document whose form is fixed.
pub(crate) const ARCHITECTURE: &str = "docs/architecture.md";

/// Something in a document that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, from the root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.what, self.mend)
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many Markdown files were read.
    pub pages: usize,
    /// How many links within the repository they have.
    pub links: usize,
    /// All findings, by file and line.
    pub findings: Vec<Finding>,
}

/// Checks all documents of `repository`. An error is something that cannot be compared at all: a file that is missing or
/// cannot be parsed.
pub fn check(repository: &Repository) -> anyhow::Result<Report> {
    let pages = repository
        .markdown()
        .map(|file| Ok(Page::parse(file, &repository.read(file)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut report = Report {
        pages: pages.len(),
        ..Report::default()
    };
    links::check(repository, &pages, &mut report);
    report.findings.extend(index::check(repository, &pages));
    match pages.iter().find(|page| page.file == ARCHITECTURE) {
        Some(page) => report.findings.extend(architecture(repository, page)?),
        None => report
            .findings
            .push(Finding::new(ARCHITECTURE, 1, "is missing", "write it")),
    }
    report.findings.sort();
    report.findings.dedup();
    Ok(report)
}

fn architecture(repository: &Repository, page: &Page) -> anyhow::Result<Vec<Finding>> {
    let mut findings = form::check(page);
    findings.extend(tree::check(repository, page));
    findings.extend(listed::use_cases(page, &code::use_cases(repository)?));
    findings.extend(listed::events(page, &code::events(repository)?));
    findings.extend(listed::stations(page, &code::stations(repository)?));
    let document = api::Document::read(repository)?;
    findings.extend(api::current(&document, &code::operations(repository)?));
    findings.extend(api::check(page, &document));
    findings.extend(schemas::check(page, &document));
    Ok(findings)
}
