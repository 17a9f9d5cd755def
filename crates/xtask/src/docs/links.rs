//! Links within the repository: the file or folder exists, and the page has the heading.

use super::markdown::Link;
use super::{Finding, Page, Report, Repository};

pub(super) fn check(repository: &Repository, pages: &[Page], report: &mut Report) {
    for page in pages {
        for link in page.links() {
            if is_elsewhere(&link.target) {
                continue;
            }
            report.links += 1;
            report.findings.extend(judge(repository, pages, page, &link));
        }
    }
}

/// With a scheme: `https:`, `mailto:`.
fn is_elsewhere(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn judge(repository: &Repository, pages: &[Page], page: &Page, link: &Link) -> Option<Finding> {
    let finding = |what: String, mend: &str| Some(Finding::new(&page.file, link.line, what, mend));
    let target = &link.target;
    if target.starts_with('[') {
        return finding(
            format!("the reference {target} is defined nowhere"),
            "define it, or link directly",
        );
    }
    if target.starts_with('/') {
        return finding(
            format!("the link {target} begins at no page"),
            "write it relative to this page",
        );
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() {
        page.file.clone()
    } else {
        let Some(file) = resolve(&page.file, &decoded(path)) else {
            return finding(
                format!("the link {target} leaves the repository"),
                "link to what is in it",
            );
        };
        file
    };
    if !repository.has_file(&file) && !repository.has_folder(&file) {
        return finding(
            format!("the link {target} is dead: {file} does not exist"),
            "link to what there is",
        );
    }
    let anchor = anchor?;
    // Only Markdown has headings; of a folder and of other files nothing is known.
    let linked = pages.iter().find(|page| page.file == file)?;
    if linked.anchors().iter().any(|known| *known == decoded(anchor)) {
        return None;
    }
    finding(
        format!("the anchor of {target} is dead: {file} has no heading #{anchor}"),
        "link to a heading that there is",
    )
}

/// The path from the root that `path` means on the page `from`; none if that is above the root.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Without percent-encoding.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let coded = bytes
            .get(at..at + 3)
            .filter(|coded| coded[0] == b'%')
            .and_then(|coded| std::str::from_utf8(&coded[1..]).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(coded.unwrap_or(bytes[at]));
        at += if coded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_page() {
        assert_eq!(resolve("docs/a.md", "b.md").as_deref(), Some("docs/b.md"));
        assert_eq!(resolve("docs/a.md", "../c/./d/").as_deref(), Some("c/d"));
        assert_eq!(resolve("a.md", "../b.md"), None);
        assert_eq!(decoded("a%20b%c3%A9%zz"), "a bé%zz");
    }

    #[test]
    fn other_places_are_told_by_their_scheme() {
        assert!(is_elsewhere("https://example.com/a#b") && is_elsewhere("mailto:a@b.example"));
        assert!(!is_elsewhere("a.md#b:c") && !is_elsewhere("#a") && !is_elsewhere("../a"));
    }
}
