//! docs/runbook.md: an entry for each alert, each with the same three parts, and the procedures. (Its links, like those of
//! all pages, are `cargo xtask check-docs`'.)

use super::Options;
use super::ground::Ground;
use super::table::Verdict;

/// The page.
pub(super) const PAGE: &str = "docs/runbook.md";
/// What each entry says, by the words that its paragraphs begin with.
const PARTS: [&str; 3] = ["**Means.**", "**Look.**", "**Do.**"];
/// What the page tells how to do.
const PROCEDURES: [&str; 8] = [
    "Backup of PostgreSQL",
    "Point-in-time restore of PostgreSQL",
    "Backup of SQLite",
    "Restore of SQLite",
    "Rotate the signing key",
    "Rotate the master key",
    "Upgrade",
    "Scale out",
];

/// The alerts that have an entry: headings that are their names.
pub(super) fn alerts(page: &str) -> Vec<String> {
    entries(page).into_iter().map(|(name, _)| name).collect()
}

fn entries(page: &str) -> Vec<(String, String)> {
    page.split("\n### ")
        .skip(1)
        .filter_map(|section| {
            let (heading, body) = section.split_once('\n')?;
            let body = body.split("\n## ").next().unwrap_or_default();
            heading
                .starts_with("Postrider")
                .then(|| (heading.trim().to_owned(), body.to_owned()))
        })
        .collect()
}

/// The page is whole.
pub(super) fn check(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let page = ground.text(PAGE)?;
    let mut findings = Vec::new();
    let entries = entries(&page);
    for (name, body) in &entries {
        for part in PARTS {
            if !body.contains(part) {
                findings.push(format!("{name}: no paragraph {part}"));
            }
        }
    }
    let headings: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    for wanted in PROCEDURES {
        if !headings.contains(&wanted) {
            findings.push(format!("no procedure {wanted:?}"));
        }
    }
    Ok(Verdict::of(
        findings,
        format!("{} alerts, {} procedures", entries.len(), PROCEDURES.len()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end_where_the_next_begins() {
        let page = "# R\n\n## Alerts\n\n### PostriderA\n\na\n\n### PostriderB\n\nb\n\n## Procedures\n\n### Backup\n\nc\n";
        assert_eq!(alerts(page), ["PostriderA", "PostriderB"]);
        assert_eq!(entries(page)[1].1.trim(), "b");
    }
}
