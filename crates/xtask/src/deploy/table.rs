//! What the checks found, for people.

use std::process::ExitCode;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to complain of; what was looked at, in figures.
    Clean(String),
    /// What is wrong.
    Unclean(Vec<String>),
    /// Not tried, and why.
    Skipped(String),
}

impl Verdict {
    /// Clean, unless there are findings.
    pub(super) fn of(findings: Vec<String>, looked_at: String) -> Self {
        if findings.is_empty() {
            Self::Clean(looked_at)
        } else {
            Self::Unclean(findings)
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Clean(_) => "clean",
            Self::Unclean(_) => "UNCLEAN",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// What was checked.
    pub(super) what: &'static str,
    /// By what.
    pub(super) with: &'static str,
    /// How it ended.
    pub(super) verdict: Verdict,
}

/// Prints the table, the findings beneath it, and how many passed.
pub(super) fn print(rows: &[Row]) -> ExitCode {
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (first, second) = (width(|row| row.what.len()), width(|row| row.with.len()));
    for row in rows {
        let said = match &row.verdict {
            Verdict::Clean(said) | Verdict::Skipped(said) => said.clone(),
            Verdict::Unclean(findings) => format!("{} findings, see below", findings.len()),
        };
        println!(
            "{:<first$}  {:<second$}  {:<7}  {said}",
            row.what,
            row.with,
            row.verdict.word()
        );
    }
    for row in rows {
        if let Verdict::Unclean(findings) = &row.verdict {
            println!("\n{} ({}):", row.what, row.with);
            for finding in findings {
                println!("  {finding}");
            }
        }
    }
    let count = |word: &str| rows.iter().filter(|row| row.verdict.word() == word).count();
    let failed = count("UNCLEAN");
    println!(
        "\n{} passed, {failed} failed, {} skipped",
        count("clean"),
        count("skipped")
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_finding_is_enough_to_fail_and_a_skipped_check_is_not() {
        let row = |verdict| Row {
            what: "a",
            with: "b",
            verdict,
        };
        let clean = || row(Verdict::of(Vec::new(), "3 files".to_owned()));
        let skipped = || row(Verdict::Skipped("no tool".to_owned()));
        assert_eq!(print(&[clean(), skipped()]), ExitCode::SUCCESS);
        let unclean = row(Verdict::of(vec!["x".to_owned()], String::new()));
        assert_eq!(print(&[clean(), unclean]), ExitCode::FAILURE);
    }
}
